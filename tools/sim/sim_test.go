// SPDX-License-Identifier: Apache-2.0

// Package sim_test runs the simulation of whole engines (engine/enginetest/sim) on real stores, on disks that fail
// and lose power. It has tests only: a store must not know the engine, and the engine no store.
package sim_test

import (
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"testing"

	"github.com/millrace-io/millrace/engine/enginetest/sim"
)

var (
	seeds = flag.Int("seeds", 40, "how many seeds TestSeeds runs")
	stop  = flag.Bool("stop", false, "stop at the first seed that fails")
	seed  = flag.Uint64("seed", 0, "the one seed to run, telling everything that happens")
)

// TestSeeds runs seeds by turns without a store, on one in memory, on the model of a store, on files and on
// Pebble.
func TestSeeds(t *testing.T) {
	c := sim.Campaign{Seeds: *seeds, Seed: *seed, Stop: *stop, Disk: newDisk}
	if *seed != 0 {
		c.Log = os.Stdout
	}
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // There is much garbage, and little else.
	failed := 0
	passed, all := c.Run(func(seed uint64, err error) {
		failed++
		t.Errorf("seed %d: %v\n\tmake sim SEED=%d", seed, err, seed)
	})
	if missing := all.Missing(); *seeds >= 100 && passed >= 100 && len(missing) > 0 {
		t.Errorf("%d seeds have never seen: %v", passed, missing)
	}
	t.Logf("%+v", all)
	fmt.Printf("sim: %d passed, %d failed\n", passed, failed)
}
