// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"io"
	"math/rand/v2"
	"runtime/debug"

	"github.com/millrace-io/millrace/engine/internal/clock"
	"github.com/millrace-io/millrace/engine/statefun"
)

// Case is everything that a run depends on.
type Case struct {
	Config  Config
	Program Program
	// Schedule decides who takes the next turn. It is used up by a run.
	Schedule Choices
}

// Seed draws a case in which at least so many messages take effect.
func Seed(seed uint64, messages int) Case {
	c := rand.New(rand.NewPCG(seed, 0))
	config := DrawConfig(c)
	return Case{Config: config, Program: DrawProgram(c, config, messages), Schedule: c}
}

// Options are what a run does not depend on.
type Options struct {
	// Disk is empty, and has the engine's store; nil runs a volatile engine.
	Disk Disk
	// Log gets a line for everything that happens; nil logs nothing.
	Log io.Writer
}

// Result says what a run has done.
type Result struct {
	Trace  uint64 // The same for every run of the same case.
	State  uint64 // Of a steady program the same for every run of it, on a store.
	Events int    // Turns, and invocations in them.
	Stats
}

// String returns the result on one line.
func (r Result) String() string {
	return fmt.Sprintf("%d events, trace %016x, %+v", r.Events, r.Trace, r.Stats)
}

// run is a case that is being run.
type run struct {
	Case     Case
	schedule Choices
	disk     Disk
	log      io.Writer

	life     // The process that runs.
	model    *model
	ledger   *ledger
	recorder *recorder // nil: the engine is volatile.
	sources  sources
	sinks    []*sink
	slots    [len(kinds)][]slot
	clients  clients

	left    map[recordName]*record // Records that have left, or may have.
	chains  map[chained]uint64     // What has been seen outside of who counts.
	skipped statefun.Epoch         // When a message was last given up.
	routing *client                // Whose event is being routed, if he has a key,
	written []*client              // and the parts of it that were not there.

	crashes, recoveries, polls int // Faults there have been.

	stats     Stats
	trace     trace
	turns     int
	violation error
}

// start is when runs begin, in engine time.
const start clock.Instant = 1_000_000

// Run runs the case to its end and returns the first violation of what package sim checks.
func (c Case) Run(o Options) (result Result, err error) {
	r := &run{
		Case: c, disk: o.Disk, log: o.Log, schedule: c.Schedule, model: newModel(), ledger: newLedger(),
		left: map[recordName]*record{}, chains: map[chained]uint64{},
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
		if closed := r.close(); err == nil {
			err = closed
		}
		if err != nil {
			err = fmt.Errorf("%w\n\twith %+v", err, c.Config)
		}
		r.stats.tally(r)
		result = Result{Trace: uint64(r.trace), State: r.stateHash(), Events: r.turns + r.model.invocations + r.model.failures, Stats: r.stats}
	}()
	r.model.now = func() clock.Instant { return r.clock.Now() }
	r.connect()
	if err := r.boot(); err != nil {
		return result, err
	}
	r.anyOrder()
	if r.violation == nil {
		r.heal()
	}
	if r.violation == nil {
		r.violate(r.checkEnd())
	}
	return result, r.violation
}

// violate notes the first violation. The run ends with the turn in which it was found.
func (r *run) violate(err error) {
	if r.violation == nil && !r.dead {
		r.violation = err
	}
}

// connect makes what is around the engine.
func (r *run) connect() {
	cfg := r.Case.Config
	for i := range kinds {
		r.slots[i] = kinds[i].slots()
	}
	if r.disk != nil {
		r.recorder = &recorder{run: r}
	}
	for i := range cfg.Sources {
		r.sources = append(r.sources, &source{run: r, number: i, newest: map[statefun.Epoch]int{}})
	}
	for i := range egresses {
		r.sinks = append(r.sinks, &sink{run: r, number: i})
	}
	for i, root := range r.Case.Program.roots {
		if root.from < cfg.Sources {
			r.sources[root.from].roots = append(r.sources[root.from].roots, i)
		} else {
			r.clients.waiting = append(r.clients.waiting, &client{root: root})
		}
	}
}
