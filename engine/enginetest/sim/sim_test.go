// SPDX-License-Identifier: Apache-2.0

package sim_test

import (
	"flag"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/backendtest"
	"github.com/millrace-io/millrace/engine/enginetest/sim"
)

var (
	seeds = flag.Int("seeds", 50, "how many seeds TestSeeds runs")
	seed  = flag.Uint64("seed", 0, "the one seed to run, telling everything that happens")
)

// messages is how many take effect, or are skipped, at least, in the run of a seed.
const messages = 2000

// TestSeeds runs whole engines, and one in twenty of them twice: the same seed does the same.
func TestSeeds(t *testing.T) {
	first, last, log := uint64(1), uint64(*seeds), io.Writer(nil)
	if *seed != 0 {
		first, last, log = *seed, *seed, os.Stdout
	}
	passed, failed := 0, 0
	for n := first; n <= last; n++ {
		if err := runSeed(n, log); err != nil {
			failed++
			t.Errorf("seed %d: %v\n\tgo test ./engine/enginetest/sim -run='^TestSeeds$' -count=1 -v -args -seed=%d", n, err, n)
			continue
		}
		passed++
	}
	fmt.Printf("sim: %d passed, %d failed\n", passed, failed)
}

func runSeed(n uint64, log io.Writer) error {
	// An endless loop within a turn is not seen from the same goroutine.
	defer time.AfterFunc(time.Minute, func() { panic(fmt.Sprintf("seed %d does not end", n)) }).Stop()
	o := sim.Options{Log: log}
	if n%4 != 0 {
		o.Backend = func(o backend.Options) (backend.Backend, error) { return backendtest.NewModel(o) }
	}
	result, err := sim.Seed(n, messages).Run(o)
	if err != nil {
		return err
	}
	if log != nil {
		fmt.Fprintln(log, result)
	}
	if result.Invocations+result.Skipped < messages {
		return fmt.Errorf("only %v", result)
	}
	if n%20 != 0 {
		return nil
	}
	again, err := sim.Seed(n, messages).Run(o)
	if err == nil && again != result {
		err = fmt.Errorf("another run of the seed differs: %v, then %v", result, again)
	}
	return err
}
