// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/internal/bridge"
	"github.com/millrace-io/millrace/engine/internal/clock"
	"github.com/millrace-io/millrace/engine/internal/driver"
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

const application = "sim"

func (r *run) assemble() error {
	cfg := r.Case.Config
	config := engine.Config{
		Application: application, Shards: r.layout.Shards, KeyGroups: cfg.KeyGroups, BatchMax: r.layout.BatchMax,
		RingSlots: r.layout.RingSlots, InboxSlots: cfg.InboxSlots, QueueBytesMax: r.layout.QueueBytesMax,
		OutboxBytesMax: r.layout.OutboxBytesMax, PayloadBytesMax: payloadBytesMax, SendsMax: sendsMax, EpochInterval: time.Hour,
		Logger: slog.New(slog.DiscardHandler), Seed: 1,
	}
	if !cfg.epochs() {
		config.EpochInterval = engine.EpochsOff
	}
	if r.recorder != nil {
		config.Backend = r.recorder
	}
	ctx, end := context.WithCancel(context.Background())
	app, err := bridge.Assemble(ctx, config, r.clock, []engine.Module{{Name: application, Bind: r.bind}}, r.sourceFailed)
	if r.disk != nil && r.disk.Dead() {
		r.crash("while it recovers")
	}
	if err != nil {
		end()
		return err
	}
	r.app, r.end = app, end
	r.started, r.first = r.clock.Now(), app.Loops[0].Epoch()
	if cp := r.ledger.cp; cp.Epoch != 0 && (r.first != cp.Epoch+1 && cfg.epochs() || r.started < clock.Instant(cp.CreatedAt)) {
		return fmt.Errorf("recovery: epoch %d at %d begins at %d, after epoch %d at %d (P33, P37)", r.first, r.started, r.clock.Now(), cp.Epoch, cp.CreatedAt)
	}
	r.logf("start   with %d shards in epoch %d at %d", r.layout.Shards, r.first, r.started)
	r.trace.add(uint64(r.layout.Shards), uint64(r.first), uint64(r.started))
	for _, l := range app.Loops {
		l.SetPace(r.layout.Pace)
	}
	for _, p := range app.Pumps {
		p.Open(ctx)
	}
	return nil
}

// sourceFailed is called by the engine when an ingress stops.
func (r *run) sourceFailed(err error) {
	if !errors.Is(err, errFault) {
		r.violate(err)
	}
}

// shutDown has the process stop as one does that is asked to (P40): nothing more comes in, what has come in is
// taken, one more epoch is committed with whatever is under way, its records leave if there is time, and the
// store is closed.
func (r *run) shutDown() {
	r.stopping = true
	for _, p := range r.app.Pumps {
		p.Hush()
	}
	for turns := 0; r.hasMail() && !r.over() && turns < passesMax; turns++ {
		r.loops()
	}
	r.app.Epochs.Finish()
	r.last = r.app.Epoch()
	for turns := 0; r.newest() < r.last && !r.over() && turns < passesMax; turns++ {
		r.epoch(r.app.Epoch() == r.last)
		r.pumps()
		r.loops()
	}
	if r.over() {
		return
	}
	for range r.schedule.IntN(8) {
		r.publish()
	}
	if err := r.app.Epochs.SweepNow(context.Background()); err != nil && !r.over() && !halts(err) {
		r.violate(err)
	}
	if r.over() {
		return
	}
	r.stats.Shutdowns++
	r.crash("when it is asked to stop")
	r.tidy = true
	r.logf("stop    after epoch %d, swept %v", r.last, r.newest() > r.last)
	if err := r.recorder.Close(); err != nil && !halts(err) && !r.disk.Dead() {
		r.dead = false
		r.violate(fmt.Errorf("close: %w", err))
	}
}

// isLate reports whether what a shard does now leaves no trace.
func (r *run) isLate(shard int) bool {
	return r.last != 0 && max(r.app.Epoch(), r.app.Loops[shard].Epoch()) > r.last
}

// hasMail reports whether a shard has not taken what has come through doors.
func (r *run) hasMail() bool {
	return slices.ContainsFunc(r.app.Loops, func(l *driver.Loop) bool { return !l.Inbox().Empty() })
}

func (r *run) close() (err error) {
	if r.app == nil {
		return nil
	}
	if r.recorder != nil && !r.dead {
		err = r.recorder.Close()
	}
	r.end()
	r.app.Memory.Free()
	return err
}

// bind binds everything there is.
func (r *run) bind(b *engine.Binder) error {
	for i := range nears {
		options := []engine.FunctionOption{engine.Retries(r.Case.Config.Retries)}
		if d := kinds[i].idle; d > 0 {
			options = append(options, engine.IdleAfter(time.Duration(d)*time.Millisecond))
		}
		engine.Bind(b, kinds[i].fn, func(s *engine.Schema) actor {
			p := &player{run: r, kind: i, slots: kinds[i].slots(s)}
			r.slots[i] = p.slots
			return p
		}, options...)
	}
	r.bindFar(b)
	engine.RouteFunc(b, ingress, r.route)
	for _, s := range r.sources {
		engine.Connect(b, ingress, s)
	}
	for i, s := range r.sinks {
		engine.Deliver(b, egresses[i], s)
	}
	return nil
}
