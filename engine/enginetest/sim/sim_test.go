// SPDX-License-Identifier: Apache-2.0

package sim_test

import (
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"testing"

	"github.com/millrace-io/millrace/engine/enginetest/sim"
)

var (
	seeds = flag.Int("seeds", 50, "how many seeds TestSeeds runs")
	stop  = flag.Bool("stop", false, "stop at the first seed that fails")
	seed  = flag.Uint64("seed", 0, "the one seed to run, telling everything that happens")
)

// TestSeeds runs whole engines on a store that is obviously right. Those on real stores are in tools/sim.
func TestSeeds(t *testing.T) {
	c := sim.Campaign{Seeds: *seeds, Seed: *seed, Stop: *stop, Disk: func(seed uint64) sim.Disk {
		if seed%8 == 0 {
			return nil
		}
		return sim.NewModelDisk()
	}}
	if *seed != 0 {
		c.Log = io.Writer(os.Stdout)
	}
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // There is much garbage, and little else.
	failed := 0
	passed, all := c.Run(func(seed uint64, err error) {
		failed++
		t.Errorf("seed %d: %v\n\tgo test ./engine/enginetest/sim -run='^TestSeeds$' -count=1 -v -args -seed=%d", seed, err, seed)
	})
	if missing := all.Missing(); *seeds >= 100 && passed >= 100 && len(missing) > 0 {
		t.Errorf("%d seeds have never seen: %v", passed, missing)
	}
	t.Logf("%+v", all)
	fmt.Printf("sim: %d passed, %d failed\n", passed, failed)
}
