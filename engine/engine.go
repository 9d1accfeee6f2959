// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace-io/millrace/engine/internal/clock"
)

// Engine runs one application. Its methods are safe for concurrent use.
type Engine struct {
	*wiring

	cancel  context.CancelFunc // Ends pumps and epochs.
	ctx     context.Context
	shards  sync.WaitGroup
	drained sync.WaitGroup // The drains' goroutines.
	workers *errgroup.Group

	ready    chan struct{}
	running  atomic.Bool
	closing  atomic.Bool
	close    sync.Once
	closed   chan struct{}
	closeErr error

	mu    sync.Mutex
	err   error // Guarded by mu. The first failure that stops the engine.
	fault chan struct{}
}

// Open puts the modules together and starts the shards: messages can be submitted, functions run, records
// leave. Sources and doors open with [Engine.Run]. Everything that is wrong with c or with the modules is
// returned at once, joined, and then nothing has been started. Close the engine when done.
//
// ctx bounds the opening of sinks only.
func Open(ctx context.Context, c Config, modules ...Module) (*Engine, error) {
	if c.Seed == 0 {
		c.Seed = rand.Uint64()
	}
	if err := unused(ctx, c); err != nil {
		return nil, err
	}
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	w, err := assemble(life, c, clock.NewReal(0), modules)
	if err != nil {
		cancel()
		return nil, err
	}
	e := &Engine{wiring: w, ctx: life, cancel: cancel, ready: make(chan struct{}), closed: make(chan struct{}), fault: make(chan struct{})}
	w.failed = e.fail
	for i, d := range e.drains {
		if err := d.Open(ctx); err != nil {
			for _, opened := range e.drains[:i] {
				err = errors.Join(err, opened.Close(ctx))
			}
			cancel()
			w.memory.Free()
			return nil, fmt.Errorf("engine: egress %s: %w", d.Egress(), err)
		}
	}
	e.start()
	return e, nil
}

// unused refuses a store that holds something: what this version commits it cannot load.
func unused(ctx context.Context, c Config) error {
	if c.Backend == nil {
		return nil
	}
	cp, ok, err := c.Backend.Latest(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("engine: read the latest checkpoint: %w", err)
	case ok:
		return fmt.Errorf("engine: the store holds a checkpoint, of epoch %d: recovery is not part of this version; open an empty store", cp.Epoch)
	}
	return nil
}

func (e *Engine) start() {
	for _, d := range e.drains {
		e.drained.Go(d.Run)
	}
	for _, l := range e.loops {
		e.shards.Go(l.Run)
	}
	e.workers, _ = errgroup.WithContext(e.ctx)
	e.workers.Go(func() error {
		err := e.epochs.Run(e.ctx)
		if err != nil {
			e.fail(fmt.Errorf("engine: commit: %w", err))
		}
		return err
	})
}

// fail notes what stops the engine; Run returns it.
func (e *Engine) fail(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.err == nil {
		e.err = err
		close(e.fault)
	}
}

// Run opens the doors and sources and keeps them open until ctx is done, which is no error, or until one
// fails. Without doors it also returns when every source has ended and everything that came of its events
// is done. Run may be called once. Close the engine afterwards.
func (e *Engine) Run(ctx context.Context) error {
	if e.closing.Load() || e.running.Swap(true) {
		return errors.New("engine: Run was called before, or the engine is closed")
	}
	for i, d := range e.doors {
		if err := d.Open(ctx, entry{e}); err != nil {
			return fmt.Errorf("engine: door %d (%T): %w", i+1, d, err)
		}
	}
	for _, p := range e.pumps {
		e.workers.Go(func() error { return p.Run(e.ctx) })
	}
	close(e.ready)
	var ended <-chan struct{}
	if len(e.doors) == 0 && len(e.pumps) > 0 {
		ended = e.whenIdle(ctx)
	}
	select {
	case <-ctx.Done():
	case <-ended:
	case <-e.closed:
	case <-e.fault:
		e.mu.Lock()
		defer e.mu.Unlock()
		return e.err
	}
	return nil
}

// Ready returns a channel that is closed once Run has opened every door.
func (e *Engine) Ready() <-chan struct{} { return e.ready }

// whenIdle returns a channel that is closed once every source has ended and nothing moves.
func (e *Engine) whenIdle(ctx context.Context) <-chan struct{} {
	idle := make(chan struct{})
	go func() {
		if e.waitIdle(ctx) == nil {
			close(idle)
		}
	}()
	return idle
}

// waitIdle waits until every source has ended and nothing is on its way: what is queued is then only what
// waits at suspended addresses and in sinks. Delayed messages do not count.
func (e *Engine) waitIdle(ctx context.Context) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for quiet := 0; quiet < 2; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		case <-e.closed:
			return ErrClosing
		}
		if e.idle() {
			quiet++ // Twice in a row: the numbers are read one after the other.
		} else {
			quiet = 0
		}
	}
	return nil
}

func (e *Engine) idle() bool {
	for _, p := range e.pumps {
		if !p.Quiet() {
			return false
		}
	}
	return e.moving() == 0
}

// moving is how many bytes are queued and do not merely wait.
func (w *wiring) moving() int64 {
	moving := w.gate.Queued() - w.outflow.Pending()
	for _, l := range w.loops {
		moving -= l.Held()
	}
	return moving
}

// Checkpoint ends the current epoch and returns when it is committed.
func (e *Engine) Checkpoint(ctx context.Context) error {
	if e.closing.Load() {
		return ErrClosing
	}
	return e.epochs.Checkpoint(ctx)
}

// Close shuts down in order: doors and sources close, what is inside is run to its end, a last epoch is
// committed, its records are delivered, and everything stops. When ctx ends first, what is left is cut off
// and ctx's error returned. Close may be called more than once; only the first call does anything.
func (e *Engine) Close(ctx context.Context) error {
	e.close.Do(func() {
		e.closing.Store(true)
		var errs []error
		if e.running.Load() {
			for _, d := range e.doors {
				errs = append(errs, d.Close(ctx))
			}
		}
		for _, p := range e.pumps {
			p.Hush()
		}
		if !e.running.Swap(true) {
			e.startPumps() // They are senders: without their markers no epoch ends.
		}
		errs = append(errs, e.settle(ctx))
		close(e.closed)
		errs = append(errs, e.stop(ctx))
		e.closeErr = errors.Join(errs...)
	})
	<-e.closed
	return e.closeErr
}

// settle lets what is inside come to its end and commits it.
func (e *Engine) settle(ctx context.Context) error {
	select {
	case <-e.fault:
		return nil // Doubt: nothing further is committed.
	default:
	}
	if err := e.waitIdle(ctx); err != nil {
		return fmt.Errorf("engine: close: messages are still on their way: %w", err)
	}
	if err := e.epochs.Checkpoint(ctx); err != nil {
		return fmt.Errorf("engine: close: last checkpoint: %w", err)
	}
	return nil
}

func (e *Engine) stop(ctx context.Context) error {
	var errs []error
	published := make(chan struct{})
	go func() {
		e.drained.Wait()
		close(published)
	}()
	for _, d := range e.drains {
		d.Stop()
	}
	select {
	case <-published:
	case <-ctx.Done(): // Closing the sinks unblocks those that are stuck.
	}
	for _, d := range e.drains {
		errs = append(errs, d.Close(ctx))
	}
	<-published
	e.cancel()
	e.announce.Stop()
	errs = append(errs, e.workers.Wait())
	for _, l := range e.loops {
		l.Stop()
	}
	e.shards.Wait()
	e.memory.Free()
	return errors.Join(errs...)
}

func (e *Engine) startPumps() {
	for _, p := range e.pumps {
		e.workers.Go(func() error { return p.Run(e.ctx) })
	}
}
