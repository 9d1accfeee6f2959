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

	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/internal/clock"
)

// Engine runs one application. Its methods are safe for concurrent use.
type Engine struct {
	*wiring

	cancel  context.CancelFunc // Ends pumps and epochs.
	ctx     context.Context
	shards  sync.WaitGroup
	drained sync.WaitGroup  // The drains' goroutines.
	workers *errgroup.Group // The pumps and the epochs.
	working context.Context // Done once no epoch is committed any more; its cause says why.

	opening sync.Mutex
	opened  []connector.Door // Guarded by opening.
	pumping bool             // Guarded by opening.

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
	w.failed = e.sourceFailed
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
	if err := e.openInvokers(ctx); err != nil {
		for _, d := range e.drains {
			err = errors.Join(err, d.Close(ctx))
		}
		cancel()
		w.memory.Free()
		return nil, err
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
	e.shards.Go(func() { e.writeReports(e.ctx) })
	e.workers, e.working = errgroup.WithContext(e.ctx)
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
	e.err = errors.Join(err, e.err)
	close(e.fault)
}

// sourceFailed notes that an ingress has stopped. The others go on; Run returns the error in the end.
func (e *Engine) sourceFailed(err error) {
	e.config.Logger.Error("ingress stopped", "error", err)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.err = errors.Join(e.err, err)
}

// Run opens the doors and sources and returns when ctx is done. Without doors it also returns when every
// source has ended and everything that came of its events is done. A source that fails stops alone, is
// logged, and its error is returned in the end; only doubt about what is stored ends Run at once. What is
// open stays open until Close. Run may be called once.
func (e *Engine) Run(ctx context.Context) error {
	if err := e.open(ctx); err != nil {
		return err
	}
	var ended <-chan struct{}
	if len(e.doors) == 0 && len(e.pumps) > 0 {
		ended = e.whenIdle(ctx)
	}
	select {
	case <-ctx.Done():
	case <-ended:
	case <-e.closed:
	case <-e.fault:
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.err
}

// open opens the doors, then the sources.
func (e *Engine) open(ctx context.Context) error {
	e.opening.Lock() // Close waits: it closes what is open.
	defer e.opening.Unlock()
	if e.closing.Load() || e.running.Swap(true) {
		return errors.New("engine: Run was called before, or the engine is closed")
	}
	for i, d := range e.doors {
		e.opened = append(e.opened, d)
		if err := d.Open(ctx, entry{e}); err != nil {
			return fmt.Errorf("engine: door %d (%T): %w", i+1, d, err)
		}
	}
	e.startPumps()
	close(e.ready)
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
	return e.checkpoint(ctx)
}

// checkpoint is Checkpoint, for Close too. It ends when nothing is committed any more.
func (e *Engine) checkpoint(ctx context.Context) error {
	until, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(e.working, cancel)()
	err := e.epochs.Checkpoint(until)
	if err == nil || ctx.Err() != nil {
		return err
	}
	if cause := context.Cause(e.working); !errors.Is(cause, context.Canceled) {
		return fmt.Errorf("engine: commit: %w", cause)
	}
	return ErrClosing
}

// Close shuts down in order: doors and sources close, what is inside is run to its end, a last epoch is
// committed, its records are delivered, and everything stops. When ctx ends first, what is left is cut off
// and ctx's error returned. Close may be called more than once; only the first call does anything.
func (e *Engine) Close(ctx context.Context) error {
	e.close.Do(func() {
		e.closing.Store(true)
		errs := e.closeEntries(ctx)
		errs = append(errs, e.settle(ctx))
		close(e.closed)
		errs = append(errs, e.stop(ctx))
		e.closeErr = errors.Join(errs...)
	})
	<-e.closed
	return e.closeErr
}

// closeEntries closes the doors that Run has opened, and has the sources read nothing more.
func (e *Engine) closeEntries(ctx context.Context) (errs []error) {
	e.opening.Lock()
	defer e.opening.Unlock()
	for _, d := range e.opened {
		errs = append(errs, d.Close(ctx))
	}
	for _, p := range e.pumps {
		p.Hush()
	}
	if !e.pumping {
		e.startPumps() // They are senders: without their markers no epoch ends.
	}
	return errs
}

// settle lets what is inside come to its end and commits it.
func (e *Engine) settle(ctx context.Context) error {
	if e.working.Err() != nil {
		return nil // Doubt: nothing further is committed.
	}
	first, cancel := sooner(ctx)
	defer cancel()
	idle := e.waitIdle(first)
	if idle != nil {
		idle = fmt.Errorf("engine: close: messages are still on their way: %w", idle)
	}
	// What has come to its end is committed and leaves all the same: one function elsewhere that hangs must not
	// take the records of the others with it.
	if err := e.checkpoint(ctx); err != nil {
		return errors.Join(idle, fmt.Errorf("engine: close: last checkpoint: %w", err))
	}
	return idle
}

// sooner is done a moment before ctx is, so that there is time for what comes next.
func sooner(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, deadline.Add(-min(time.Until(deadline)/10, time.Second)))
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
	e.cancel()
	e.announce.Stop()
	for _, l := range e.loops {
		l.Stop()
	}
	stopped := make(chan error, 1)
	go func() {
		<-published
		err := e.workers.Wait()
		e.shards.Wait()
		if closed := e.closeInvokers(ctx); closed != nil {
			err = errors.Join(err, closed) // Somebody may still read what shards have lent.
		} else {
			e.memory.Free()
		}
		stopped <- err
	}()
	select {
	case err := <-stopped:
		errs = append(errs, err)
	case <-patience(ctx):
		errs = append(errs, errors.New("engine: close: a handler, a source or a sink does not return; its goroutine is left behind"))
	}
	return errors.Join(errs...)
}

// patience is done when ctx is, and a moment longer: what only has to notice that it is over gets to it.
func patience(ctx context.Context) <-chan struct{} {
	over := make(chan struct{})
	context.AfterFunc(ctx, func() { time.AfterFunc(patienceTime, func() { close(over) }) })
	return over
}

const patienceTime = 100 * time.Millisecond

func (e *Engine) startPumps() {
	e.pumping = true
	for _, p := range e.pumps {
		e.workers.Go(func() error { return p.Run(e.ctx) })
	}
}
