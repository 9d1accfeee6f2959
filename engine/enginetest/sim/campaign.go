// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"
)

// Campaign is many seeds, or one.
type Campaign struct {
	// Seeds is how many there are, from 1 on. Seed is the only one, if it is not 0; Log then gets a line for
	// everything that happens.
	Seeds int
	Seed  uint64
	Log   io.Writer
	// Stop ends the campaign at the first failure.
	Stop bool
	// Disk returns the empty disk that a seed runs on; nil is for a volatile engine.
	Disk func(seed uint64) Disk
}

const (
	// messages is how many take effect, at least, in the run of a seed, if nothing is lost on the way in.
	messages = 1300
	// eventsMin is how many turns and invocations there are, at least.
	eventsMin = 2000
	// againEvery is how many seeds there are for each that is run twice: it must do the same.
	againEvery = 50
	// seedTime is far more than a seed takes. An endless loop within a turn is not seen from the same goroutine.
	seedTime = 2 * time.Minute
)

// Run runs the seeds, as many at a time as there are processors, and tells of those that fail.
func (c Campaign) Run(failed func(seed uint64, err error)) (passed int, all Stats) {
	first, last, workers := uint64(1), uint64(c.Seeds), runtime.GOMAXPROCS(0)
	if c.Seed != 0 {
		first, last, workers = c.Seed, c.Seed, 1
	}
	var mu sync.Mutex // Guards first and what is returned.
	var running sync.WaitGroup
	for range workers {
		running.Go(func() {
			for {
				mu.Lock()
				seed := first
				first++
				mu.Unlock()
				if seed > last {
					return
				}
				result, err := c.runSeed(seed)
				mu.Lock()
				all.Add(result.Stats)
				if err == nil {
					passed++
				} else {
					failed(seed, err)
					if c.Stop {
						first = last + 1
					}
				}
				mu.Unlock()
			}
		})
	}
	running.Wait()
	return passed, all
}

func (c Campaign) runSeed(seed uint64) (Result, error) {
	defer time.AfterFunc(seedTime, func() { panic(fmt.Sprintf("seed %d does not end", seed)) }).Stop()
	result, err := c.run(seed, Seed(seed, messages))
	switch {
	case err != nil:
		if c.Log == nil {
			err = fmt.Errorf("%w\n\tfaults that it takes: %+v", err, c.needed(seed))
		}
		return result, err
	case result.Events < eventsMin:
		return result, fmt.Errorf("only %v", result)
	}
	if of := Seed(seed, messages); of.Config.Steady && c.Disk != nil && c.Disk(seed) != nil {
		if err := c.compare(seed, of, result); err != nil {
			return result, err
		}
	}
	if seed%againEvery != 0 {
		return result, nil
	}
	again, err := c.run(seed, Seed(seed, messages))
	if err == nil && again != result {
		err = fmt.Errorf("another run of the seed differs: %v, then %v", result, again)
	}
	return result, err
}

// compare runs the program of a case once more, without faults, in another layout, in another order, and on the model
// of a store: what has happened in the end is the same.
func (c Campaign) compare(seed uint64, of Case, with Result) error {
	of.Schedule = rand.New(rand.NewPCG(seed, 1))
	of.Config.Layout = of.Config.drawLayout(of.Schedule)
	of.Config.Faults = Faults{}
	result, err := of.Run(Options{Disk: NewModelDisk(), Log: c.Log})
	if err == nil && result.State != with.State {
		err = fmt.Errorf("metamorphic: the program ends in the state %016x, and in another layout in %016x", with.State, result.State)
	}
	return err
}

func (c Campaign) run(seed uint64, of Case) (Result, error) {
	o := Options{Log: c.Log}
	if c.Disk != nil {
		o.Disk = c.Disk(seed)
	}
	return of.Run(o)
}

// needed switches faults off, one after the other, and returns those without which the seed passes.
func (c Campaign) needed(seed uint64) Faults {
	of := Seed(seed, messages)
	needed := of.Config.Faults
	for _, off := range eachFault {
		fewer := needed
		if off(&fewer); fewer == needed {
			continue
		}
		of = Seed(seed, messages)
		of.Config.Faults = fewer
		if _, err := c.run(seed, of); err != nil {
			needed = fewer
		}
	}
	return needed
}
