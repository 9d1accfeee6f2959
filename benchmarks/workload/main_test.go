// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"strings"
	"testing"

	"github.com/millrace-io/millrace/loadgen/keys"
)

func TestOne(t *testing.T) {
	want := keys.Load{Keys: 3, Messages: 4, Dist: keys.Zipf, Seed: 5}
	runs := map[string]Run{Ring: func(l keys.Load) (float64, error) {
		if l != want {
			t.Errorf("load %+v, want %+v", l, want)
		}
		return 6, nil
	}}
	if value, err := one(runs, Args(Ring, want)); value != 6 || err != nil {
		t.Errorf("%v, %v", value, err)
	}
	for _, args := range []string{"", "ring 3 4 zipf", "ring x 4 zipf 5", "ring 3 x zipf 5", "ring 3 4 zipf -1", "relay 3 4 zipf 5"} {
		if value, err := one(runs, strings.Fields(args)); err == nil {
			t.Errorf("%q ran: %v", args, value)
		}
	}
}
