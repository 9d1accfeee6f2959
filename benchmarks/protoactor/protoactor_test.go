// SPDX-License-Identifier: Apache-2.0

package protoactor

import (
	"testing"

	"github.com/millrace-io/millrace/loadgen/keys"
)

// A peer that loses messages or counts some twice would make a worthless comparison: both programs
// check their own counters.
func TestCountersAddUp(t *testing.T) {
	for _, program := range []struct {
		name string
		run  func(keys.Load) (float64, error)
	}{{"counter", Counter}, {"relay", Relay}} {
		for _, l := range []keys.Load{
			{Keys: 1, Messages: 1, Dist: keys.Uniform},
			{Keys: 1000, Messages: 100_001, Dist: keys.Zipf},
			{Keys: lockFreeAbove + 1, Messages: 30_000, Dist: keys.Uniform},
		} {
			if _, err := program.run(l); err != nil {
				t.Errorf("%s of %+v: %v", program.name, l, err)
			}
		}
	}
}
