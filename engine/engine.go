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
	"github.com/millrace-io/millrace/engine/internal/driver"
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
	entering atomic.Int64 // Senders outside who have been admitted and not left their messages yet.
	close    sync.Once
	closed   chan struct{}
	closeErr error
	receipts *sync.Pool
	over     chan struct{} // Closed once no epoch is committed any more: by doubt, or by Close.
	end      func()        // Closes over.
	leaving  chan struct{} // Closed when callers need not wait any longer, because the engine stops.

	mu    sync.Mutex
	err   error // Guarded by mu. What Run returns.
	doubt error // Guarded by mu. What has stopped the engine.
	fault chan struct{}
}

func newEngine(w *wiring, life context.Context, cancel context.CancelFunc) *Engine {
	e := &Engine{
		wiring: w, ctx: life, cancel: cancel, ready: make(chan struct{}),
		closed: make(chan struct{}), fault: make(chan struct{}), over: make(chan struct{}), leaving: make(chan struct{}), receipts: newReceipts(),
	}
	e.end = sync.OnceFunc(func() { close(e.over) })
	w.failed = e.sourceFailed
	return e
}

// Open puts the modules together and starts the shards: messages can be submitted, functions run, records
// leave. Sources and doors open with [Engine.Run]. Everything that is wrong with c or with the modules is
// returned at once, joined, and then nothing has been started. Close the engine when done.
//
// When c.Backend holds a checkpoint, the engine goes on from there, with any number of shards: state, messages
// that wait, delayed messages, sources and what has not left are what they were when it was committed. Open
// returns when all of it is in memory, and has written nothing. A checkpoint of another application or number
// of key groups is refused, and so are damaged entries and state values whose type has changed. State and
// messages of function types that no module provides any more stay in the store.
//
// ctx bounds the reading of the checkpoint and the opening of sinks.
func Open(ctx context.Context, c Config, modules ...Module) (*Engine, error) {
	if c.Seed == 0 {
		c.Seed = rand.Uint64()
	}
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	w, err := assemble(ctx, life, c, realClock, modules)
	if err != nil {
		cancel()
		return nil, err
	}
	e := newEngine(w, life, cancel)
	if err := e.prepare(ctx); err != nil {
		cancel()
		w.memory.Free()
		return nil, err
	}
	e.start()
	return e, nil
}

// prepare opens what records and requests leave by, and loads the checkpoint (P29).
func (e *Engine) prepare(ctx context.Context) error {
	for i, d := range e.drains {
		if err := d.Open(ctx); err != nil {
			return errors.Join(fmt.Errorf("engine: egress %s: %w", d.Egress(), err), closeDrains(ctx, e.drains[:i]))
		}
	}
	if err := e.openInvokers(ctx); err != nil {
		return errors.Join(err, closeDrains(ctx, e.drains))
	}
	if err := e.load(ctx); err != nil {
		return errors.Join(err, e.closeInvokers(ctx), closeDrains(ctx, e.drains))
	}
	return nil
}

func closeDrains(ctx context.Context, drains []*driver.Drain) (err error) {
	for _, d := range drains {
		err = errors.Join(err, d.Close(ctx))
	}
	return err
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
	e.err, e.doubt = errors.Join(err, e.err), err
	close(e.fault)
	e.end()
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
		if e.waitUntil(ctx, e.idle) == nil {
			close(idle)
		}
	}()
	return idle
}

// waitUntil waits until something is so.
func (e *Engine) waitUntil(ctx context.Context, is func() bool) error {
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
		if is() {
			quiet++ // Twice in a row: the numbers are read one after the other.
		} else {
			quiet = 0
		}
	}
	return nil
}

// idle reports whether every source has ended and nothing is on its way: what is queued is then only what
// waits at suspended addresses and in sinks. Delayed messages do not count.
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
	return e.commits(ctx, e.epochs.Checkpoint)
}

// commits waits for a commit. It ends when nothing is committed any more.
func (e *Engine) commits(ctx context.Context, commit func(context.Context) error) error {
	until, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(e.working, cancel)()
	err := commit(until)
	if err == nil || ctx.Err() != nil {
		return err
	}
	if cause := context.Cause(e.working); cause != nil && !errors.Is(cause, context.Canceled) {
		return fmt.Errorf("engine: commit: %w", cause)
	}
	return ErrClosing
}

func (e *Engine) startPumps() {
	e.pumping = true
	for _, p := range e.pumps {
		e.workers.Go(func() error { return p.Run(e.ctx) })
	}
}
