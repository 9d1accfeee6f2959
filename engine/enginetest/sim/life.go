// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"context"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/internal/bridge"
	"github.com/millrace-io/millrace/engine/internal/clock"
	"github.com/millrace-io/millrace/engine/statefun"
)

// life is one process, and what its end takes away. It starts on what the store has, with another layout than the
// one before:
//
//	open the store ──► compare it, take the model back to it ──► assemble ──► turns ──crash──► open the store …
type life struct {
	layout  Layout
	app     *bridge.Application
	end     context.CancelFunc
	clock   *clock.Virtual
	started clock.Instant
	first   statefun.Epoch
	far     *far
	resumed []address // Those that somebody has asked to be resumed.
	before  tally     // What had happened before.

	inTurn      [shardsMax]bool // The shards in the middle of their turn: more than one when interrupted.
	holding     [shardsMax]bool // Those that hold back who emits records, in this turn (P36).
	interrupted bool
	inEpochs    bool
	starting    bool
	armed       moment // At which the process is going to die.
	dead        bool
	stopping    bool           // The doors are closed.
	last        statefun.Epoch // What shards do after it leaves no trace (P40). 0: there is no last one yet.
	tidy        bool           // It was asked to stop, and has.
}

// survives reports whether there is a store that a crash leaves.
func (r *run) survives() bool { return r.app.Entry.IsDurable() }

// boot starts a process, and another one while they die of it.
func (r *run) boot() error {
	for {
		err := r.start()
		if !r.dead {
			r.starting = false
			if r.disk != nil {
				r.disk.Trouble(Peace, 0)
			}
			return err
		}
		r.bury()
	}
}

// bury lets go of a process that is dead, and decides what of its writes survives.
func (r *run) bury() {
	if r.app != nil {
		r.end()
		r.app.Memory.Free()
	}
	n := r.schedule.IntN(8)
	survives := func() bool { return r.schedule.IntN(2) == 0 }
	switch n {
	case 0:
		survives = func() bool { return false }
	case 1:
		survives = func() bool { return true }
	case 2, 3:
		survives = nil // The system lives on.
	}
	r.disk.Crash(survives)
}

// again starts the next process after one has died.
func (r *run) again() {
	r.bury()
	if err := r.boot(); err != nil {
		r.dead = false
		r.violate(err)
	}
}

// start starts a process.
func (r *run) start() error {
	now, layout := start, r.Case.Config.Layout
	if r.clock != nil {
		now, layout = r.clock.Now(), r.Case.Config.drawLayout(r.schedule)
		if off := r.Case.Config.Faults.Clock; off > 0 {
			now = max(1, now+clock.Instant(r.schedule.IntN(2*off)-off))
		}
	}
	if r.disk != nil {
		if err := r.open(); err != nil || r.dead {
			return err
		}
	}
	old := r.life
	tidy := r.tidy
	if old.app != nil && old.layout.Shards != layout.Shards {
		r.stats.Rescales++
	}
	r.life = life{layout: layout, clock: clock.NewVirtual(now), far: newFar(r, old.far), before: r.model.tally, starting: true}
	r.rollback(tidy)
	for _, s := range r.sinks {
		s.restarted()
	}
	return r.assemble()
}

// open opens the store and compares it with what must be in it. The process may die of it.
func (r *run) open() error {
	r.starting, r.dead = true, false
	if r.recoveries < r.Case.Config.Faults.Recoveries && one(r.schedule, 3) {
		r.recoveries++
		r.disk.Trouble(Death, r.schedule.IntN(troubleMax))
	}
	store, err := r.disk.Open(backend.Options{Application: application, KeyGroups: r.Case.Config.KeyGroups})
	if err == nil {
		err = r.recorder.reopen(context.Background(), store)
	}
	if r.disk.Dead() {
		r.crash("while it opens its store")
		return nil
	}
	return err
}
