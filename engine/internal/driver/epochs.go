// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/internal/checkpoint"
	"github.com/millrace-io/millrace/engine/internal/mailbox"
	"github.com/millrace-io/millrace/engine/internal/shard"
	"github.com/millrace-io/millrace/engine/statefun"
)

// Epochs ends epochs, on the interval or when asked, collects their parts, has them committed, and only
// then lets their effects out (I5). Its fields are owned by its goroutine unless they say otherwise.
type Epochs struct {
	coordinator *checkpoint.Coordinator
	announce    *Announcement
	backend     backend.Backend // nil: volatile.
	template    backend.Checkpoint
	names       func() []byte
	outflow     *Outflow
	gate        *mailbox.Gate
	stuck       func(statefun.Epoch, error)
	interval    time.Duration

	parts     chan shard.Part // Room for one of each shard: a loop never waits here.
	positions chan Position   // And for one of each source.
	asked     chan chan error
	waiting   []chan error // Those who asked for the epoch that is open; they wait for its commit.
	closing   []chan error

	committed atomic.Int64 // Epochs. Anyone may read.
	bytes     atomic.Int64
	failures  atomic.Int64
}

// EpochsConfig is what Epochs is made of.
type EpochsConfig struct {
	Shards, Sources int
	Interval        time.Duration // 0: only when asked.
	Announce        *Announcement
	Backend         backend.Backend
	Template        backend.Checkpoint // What is the same in every checkpoint.
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
		parts:     make(chan shard.Part, c.Shards),
		positions: make(chan Position, c.Sources),
		asked:     make(chan chan error),
		gate:      c.Gate, stuck: c.Stuck, names: c.Names,
	}
	e.coordinator.StartAt(c.Announce.Epoch())
	return e
}

// AddPart and AddPosition are the hooks of loops and pumps.
func (e *Epochs) AddPart(p shard.Part) { e.parts <- p }

// AddPosition takes a source's position.
func (e *Epochs) AddPosition(p Position) { e.positions <- p }

// Committed returns how many epochs have been committed and how many bytes they had. Anyone may call it.
func (e *Epochs) Committed() (epochs, bytes int64) { return e.committed.Load(), e.bytes.Load() }

// Failures returns how many attempts at a commit have failed. Anyone may call it.
func (e *Epochs) Failures() int64 { return e.failures.Load() }

// Checkpoint ends the open epoch and waits until it is committed. Anyone may call it while Run runs.
func (e *Epochs) Checkpoint(ctx context.Context) error {
	done := make(chan error, 1)
	select {
	case e.asked <- done:
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
		select {
		case <-tick:
			e.begin(ctx)
		case done := <-e.asked:
			e.waiting = append(e.waiting, done) // P20: a level of the open epoch, not an edge.
			e.begin(ctx)
		case p := <-e.parts:
			e.coordinator.AddPart(p.Epoch, p.Now, p.Part, p.Egress)
		case p := <-e.positions:
			e.coordinator.AddPosition(p.Epoch, backend.SourcePosition{Source: p.Source, Position: p.Position})
		case <-ctx.Done():
			return nil
		}
		if err := e.commit(ctx); err != nil {
			return err
		}
	}
}

// Turn does, without waiting, what there is to do; it begins an epoch if asked to. For simulations.
func (e *Epochs) Turn(ctx context.Context, begin bool) (busy bool, err error) {
	if begin {
		busy = e.begin(ctx)
	}
	for {
		select {
		case p := <-e.parts:
			e.coordinator.AddPart(p.Epoch, p.Now, p.Part, p.Egress)
		case p := <-e.positions:
			e.coordinator.AddPosition(p.Epoch, backend.SourcePosition{Source: p.Source, Position: p.Position})
		default:
			return busy, e.commit(ctx)
		}
		busy = true
	}
}

func (e *Epochs) begin(ctx context.Context) bool {
	epoch, ok := e.coordinator.Announce()
	if !ok {
		return false // P5. The next tick comes, and whoever waits is looked after at the commit.
	}
	e.closing, e.waiting = e.waiting, nil
	e.announce.Announce(ctx, epoch)
	return true
}

// commit commits the closing epoch if it is complete.
func (e *Epochs) commit(ctx context.Context) error {
	epoch, ok := e.coordinator.Complete()
	if !ok {
		return nil
	}
	if err := e.store(ctx, epoch); err != nil {
		return err
	}
	e.coordinator.Committed()
	e.committed.Add(1)
	e.bytes.Add(epoch.Bytes)
	e.outflow.Release(epoch.Checkpoint.Epoch, epoch.Egress)
	for _, done := range e.closing {
		done <- nil
	}
	e.closing = nil
	if len(e.waiting) > 0 {
		e.begin(ctx)
	}
	return nil
}

// Back-off between attempts at a commit.
const (
	commitRetryFirst = 10 * time.Millisecond
	commitRetryMost  = 5 * time.Second
)

// store hands the epoch to the backend, again and again with the same bytes (P24), until it is
// committed or the backend says that there is doubt.
func (e *Epochs) store(ctx context.Context, epoch checkpoint.Epoch) error {
	if e.backend == nil {
		return nil
	}
	cp := e.template
	cp.Names = e.names()
	cp.Epoch, cp.CreatedAt, cp.Sources = epoch.Checkpoint.Epoch, epoch.Checkpoint.CreatedAt, epoch.Checkpoint.Sources
	for pause := commitRetryFirst; ; pause = min(2*pause, commitRetryMost) {
		err := e.backend.Commit(ctx, cp, epoch.Parts)
		if err == nil || fatal(err) {
			if pause > commitRetryFirst && err == nil {
				e.gate.Hold(false)
				e.stuck(cp.Epoch, nil)
			}
			return err
		}
		if pause == commitRetryFirst {
			e.gate.Hold(true) // What comes in now can only make the next epoch larger.
			e.stuck(cp.Epoch, err)
		}
		e.failures.Add(1)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err
		}
	}
}

// fatal reports whether an error of a backend stops the engine: doubt halts.
func fatal(err error) bool {
	for _, f := range []error{backend.ErrFenced, backend.ErrCorrupt, backend.ErrSync, backend.ErrEpochOrder} {
		if errors.Is(err, f) {
			return true
		}
	}
	return false
}
