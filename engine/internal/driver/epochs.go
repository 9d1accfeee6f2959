// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/internal/checkpoint"
	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/internal/mailbox"
	"github.com/millrace-io/millrace/engine/internal/planted"
	"github.com/millrace-io/millrace/engine/statefun"
)

// Epochs ends epochs, on the interval, when asked, or as soon as it can while somebody waits; it collects their
// parts, has them committed, and only then lets their effects out (I5). Its fields are owned by its goroutine
// unless they say otherwise.
type Epochs struct {
	coordinator *checkpoint.Coordinator
	announce    *Announcement
	backend     backend.Backend    // nil: volatile.
	template    backend.Checkpoint // Then the last that was committed.
	names       func() []byte
	outflow     *Outflow
	gate        *mailbox.Gate
	stuck       func(statefun.Epoch, error)
	interval    time.Duration
	shards      int
	laps        laps

	parts     chan Part     // Room for one of each shard: a loop never waits here.
	positions chan Position // And for one of each source.
	asked     chan request
	waiting   []chan error // Those who asked for the epoch that is open; they wait for its commit.
	closing   []chan error
	tickets   []*envelope.Ticket // Those who wait for the commit of the closing epoch.
	numbers   uint64
	last      bool // The open epoch, or the closing one, is the last.
	ended     bool // The last epoch has been ended.

	committed atomic.Int64 // Epochs. Anyone may read.
	bytes     atomic.Int64
	failures  atomic.Int64
}

// request is what somebody asks for, and where the outcome is to go.
type request struct {
	what wish
	done chan error
}

type wish uint8

const (
	anEpoch      wish = iota // That the open epoch ends and is committed.
	theLastEpoch             // Likewise, and no other after it.
	aSweep                   // That records that are done are forgotten, after the last epoch.
)

// EpochsConfig is what Epochs is made of.
type EpochsConfig struct {
	Shards, Sources int
	Interval        time.Duration // 0: only when asked.
	Announce        *Announcement
	Backend         backend.Backend
	Template        backend.Checkpoint // What is the same in every checkpoint.
	// Numbers is the greatest number of a message that the store has known so far (P11), and Carried are the
	// positions in it of sources that there are none of now (P38).
	Numbers uint64
	Carried []backend.SourcePosition
	// Names returns the names in the checkpoints: there may be more in later ones. It is called when an
	// epoch is complete, so that they are all there.
	Names   func() []byte
	Outflow *Outflow
	Gate    *mailbox.Gate
	// Stuck is told when a commit first fails, and with a nil error when it has succeeded after all.
	Stuck func(statefun.Epoch, error)
}

// NewEpochs returns a coordinator that has announced nothing.
func NewEpochs(c EpochsConfig) *Epochs {
	e := &Epochs{
		coordinator: checkpoint.NewCoordinator(c.Shards, c.Sources),
		announce:    c.Announce, backend: c.Backend, template: c.Template, outflow: c.Outflow, interval: c.Interval,
		shards: c.Shards, numbers: c.Numbers,
		parts:     make(chan Part, c.Shards),
		positions: make(chan Position, c.Sources),
		asked:     make(chan request),
		gate:      c.Gate, stuck: c.Stuck, names: c.Names,
	}
	if c.Backend != nil {
		e.laps.bytes = c.Backend.LapBytes()
	}
	e.coordinator.StartAt(c.Announce.Epoch())
	e.coordinator.Carry(c.Carried)
	return e
}

// NoLaps says that the store has entries which no shard can put again. It is called before Run.
func (e *Epochs) NoLaps() { e.laps.bytes = 0 }

// AddPart and AddPosition are the hooks of loops and pumps.
func (e *Epochs) AddPart(p Part) { e.parts <- p }

// AddPosition takes a source's position.
func (e *Epochs) AddPosition(p Position) { e.positions <- p }

// Committed returns how many epochs have been committed and how many bytes they had. Anyone may call it.
func (e *Epochs) Committed() (epochs, bytes int64) { return e.committed.Load(), e.bytes.Load() }

// Failures returns how many attempts at a commit have failed. Anyone may call it.
func (e *Epochs) Failures() int64 { return e.failures.Load() }

// Checkpoint ends the open epoch and waits until it is committed. Anyone may call it while Run runs.
func (e *Epochs) Checkpoint(ctx context.Context) error { return e.ask(ctx, anEpoch) }

// Last ends the open epoch, waits until it is committed, and there is no other: when a shard has handed its part
// over, nothing leaves it any more (P40).
func (e *Epochs) Last(ctx context.Context) error { return e.ask(ctx, theLastEpoch) }

// Sweep commits once more after the last epoch, if sinks are done with records that the store still has: a
// restart would publish them again.
func (e *Epochs) Sweep(ctx context.Context) error { return e.ask(ctx, aSweep) }

func (e *Epochs) ask(ctx context.Context, what wish) error {
	done := make(chan error, 1)
	select {
	case e.asked <- request{what, done}:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Run ends epochs until ctx is done. It returns the error of a commit that must not be tried again.
func (e *Epochs) Run(ctx context.Context) error {
	var tick <-chan time.Time
	if e.interval > 0 {
		ticker := time.NewTicker(e.interval)
		defer ticker.Stop()
		tick = ticker.C
	}
	for {
		var err error
		select {
		case p := <-e.parts:
			e.addPart(p)
		case p := <-e.positions:
			e.addPosition(p)
		case <-e.announce.wants: // Looked at below.
		case r := <-e.asked:
			err = e.take(ctx, r)
		case <-tick:
			if e.announce.Touched() || e.outflow.Unswept() { // An application that does nothing writes nothing.
				e.begin()
			}
		case <-ctx.Done():
			return nil
		}
		if err == nil {
			err = e.proceed(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// Turn does, without waiting, what there is to do; it begins an epoch if asked to. For simulations.
func (e *Epochs) Turn(ctx context.Context, begin bool) (busy bool, err error) {
	if begin {
		busy = e.begin()
	}
	for len(e.parts) > 0 { // In an order that is always the same.
		e.addPart(<-e.parts)
		busy = true
	}
	for len(e.positions) > 0 {
		e.addPosition(<-e.positions)
		busy = true
	}
	return busy, e.proceed(ctx)
}

// Finish does what Last asks for: the epoch that is begun next is behind the last. For simulations.
func (e *Epochs) Finish() { e.last = true }

// SweepNow is Sweep, for simulations.
func (e *Epochs) SweepNow(ctx context.Context) error { return e.sweep(ctx) }

func (e *Epochs) addPart(p Part) {
	e.coordinator.AddPart(p.Epoch, p.Now, p.Shard, p.Changes, p.Egress)
	e.numbers = max(e.numbers, p.Numbers)
	e.tickets = append(e.tickets, p.Tickets...)
}

func (e *Epochs) addPosition(p Position) {
	e.coordinator.AddPosition(p.Epoch, backend.SourcePosition{Source: p.Source, Position: p.Position})
	if p.Ticket != nil {
		e.tickets = append(e.tickets, p.Ticket)
	}
}

// errEnded is for those who ask for an epoch after the last.
var errEnded = errors.New("the last epoch has ended")

func (e *Epochs) take(ctx context.Context, r request) error {
	switch {
	case r.what == aSweep:
		err := e.sweep(ctx)
		if r.done <- err; fatal(err) {
			return err
		}
	case e.last:
		r.done <- errEnded
	default:
		e.last = r.what == theLastEpoch
		e.waiting = append(e.waiting, r.done)
	}
	return nil
}

// begin ends the open epoch, unless the one before it is not committed yet (P5): the next tick comes, and
// whoever waits is looked after at the commit.
func (e *Epochs) begin() bool {
	if e.ended {
		return false
	}
	epoch, ok := e.coordinator.Announce()
	if !ok {
		return false
	}
	e.closing, e.waiting = e.waiting, e.closing[:0]
	e.ended = e.last
	e.announce.Lap(e.laps.next(epoch-1, e.outflow.Oldest(), e.announce))
	e.announce.Announce(epoch, e.last)
	return true
}

// proceed commits the closing epoch if it is complete, and ends the open one if somebody waits for it. That is
// a level and looked at each time, not an edge that could be missed (P20).
func (e *Epochs) proceed(ctx context.Context) error {
	if err := e.commit(ctx); err != nil {
		return err
	}
	if len(e.waiting) > 0 || e.announce.Wanted() && (!planted.WaitingIsAnEdge || e.announce.Epoch()%2 == 0) {
		e.begin()
	}
	return nil
}

// commit commits the closing epoch if it is complete.
func (e *Epochs) commit(ctx context.Context) error {
	epoch, ok := e.coordinator.Complete()
	if !ok {
		return nil
	}
	if planted.AckBeforeCommit {
		e.acknowledge()
	}
	if planted.PublishBeforeCommit {
		e.outflow.Release(epoch.Checkpoint.Epoch, epoch.Egress)
	}
	if e.backend != nil {
		if err := e.store(ctx, &epoch); err != nil {
			return err
		}
	}
	e.committed.Add(1)
	e.bytes.Add(epoch.Bytes)
	e.laps.committed(epoch.Bytes, e.announce)
	e.acknowledge()
	if !planted.PublishBeforeCommit {
		e.outflow.Release(epoch.Checkpoint.Epoch, epoch.Egress)
	}
	for _, done := range e.closing {
		done <- nil
	}
	e.closing = e.closing[:0]
	e.coordinator.Committed()
	return nil
}

// acknowledge tells those who have waited for the commit.
func (e *Epochs) acknowledge() {
	for i, t := range e.tickets {
		e.tickets[i] = nil // It is its sender's again.
		t.Done(t)
	}
	e.tickets = e.tickets[:0]
}
