// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Close shuts down in order, and does all of it while ctx lasts. Close may be called more than once; only the
// first call does anything.
//
// First the doors and sources close. On a durable backend the last epoch is then committed, with all messages
// that are on their way in it (P40): those who wait for that are told, and what shards do afterwards leaves no
// trace. Any other engine runs what is inside to its end before it commits the last epoch; what does not end
// while ctx lasts is cut off, and an error says so. Then the records of the last epoch are delivered: what a sink
// has not delivered in time stays in a durable store, and is lost with any other.
func (e *Engine) Close(ctx context.Context) error {
	e.close.Do(func() {
		e.closing.Store(true)
		if e.isDurable() { // What callers wait for is in the store: they may ask again (P40).
			defer time.AfterFunc(callGrace, func() { close(e.leaving) }).Stop()
		}
		errs := e.closeEntries(ctx)
		errs = append(errs, e.settle(ctx))
		close(e.closed)
		e.end()
		errs = append(errs, e.stop(ctx))
		e.closeErr = errors.Join(errs...)
	})
	<-e.closed
	return e.closeErr
}

// callGrace is how long callers may still get their answers while the doors close.
const callGrace = time.Second

// closeEntries closes the doors that Run has opened, and has the sources read nothing more.
func (e *Engine) closeEntries(ctx context.Context) (errs []error) {
	e.opening.Lock()
	defer e.opening.Unlock()
	first, cancel := sooner(ctx)
	defer cancel()
	for _, d := range e.opened {
		errs = append(errs, d.Close(first))
	}
	for _, p := range e.pumps {
		p.Hush()
	}
	if !e.pumping {
		e.startPumps() // They are senders: without their markers no epoch ends.
	}
	return errs
}

// isDurable reports whether what is committed survives the process.
func (e *Engine) isDurable() bool { return entry{e}.IsDurable() }

// settle commits the last epoch.
func (e *Engine) settle(ctx context.Context) error {
	if e.working.Err() != nil {
		return nil // Doubt: nothing further is committed.
	}
	first, cancel := sooner(ctx)
	defer cancel()
	var unsettled error
	commit := e.epochs.Checkpoint
	if e.isDurable() {
		// What has been accepted is in the checkpoint, taken or not: there is no need to wait until it has run.
		commit = e.epochs.Last
		unsettled = e.waitUntil(first, e.taken)
	} else {
		unsettled = e.waitUntil(first, e.idle)
	}
	if unsettled != nil {
		unsettled = fmt.Errorf("engine: close: messages are still on their way: %w", unsettled)
	}
	// What has come to its end is committed and leaves all the same: one function elsewhere that hangs must not
	// take the records of the others with it.
	if err := e.commits(ctx, commit); err != nil {
		return errors.Join(unsettled, fmt.Errorf("engine: close: last checkpoint: %w", err))
	}
	return unsettled
}

// taken reports whether the shards have taken everything that doors and callers have left for them, or are about
// to leave.
func (e *Engine) taken() bool {
	if e.entering.Load() > 0 {
		return false
	}
	for _, l := range e.loops {
		if !l.Inbox().Empty() {
			return false
		}
	}
	return true
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
	published := make(chan struct{})
	go func() {
		e.drained.Wait()
		close(published)
	}()
	errs := e.publish(ctx, published)
	e.cancel()
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

// publish delivers what has been released and closes the sinks. Then it has the store forget what they have
// delivered: after a restart it would be delivered again.
func (e *Engine) publish(ctx context.Context, published <-chan struct{}) (errs []error) {
	until, cancel := ctx, func() {}
	if e.isDurable() {
		until, cancel = sooner(ctx)
	}
	defer cancel()
	for _, d := range e.drains {
		d.Stop()
	}
	select {
	case <-published:
	case <-until.Done(): // Closing the sinks unblocks those that are stuck.
	}
	for _, d := range e.drains {
		errs = append(errs, d.Close(until))
	}
	if e.isDurable() && e.working.Err() == nil {
		if err := e.commits(ctx, e.epochs.Sweep); err != nil {
			errs = append(errs, fmt.Errorf("engine: close: records that have been delivered are delivered again after a restart: %w", err))
		}
	}
	return errs
}

// patience is done when ctx is, and a moment longer: what only has to notice that it is over gets to it.
func patience(ctx context.Context) <-chan struct{} {
	over := make(chan struct{})
	context.AfterFunc(ctx, func() { time.AfterFunc(patienceTime, func() { close(over) }) })
	return over
}

const patienceTime = 100 * time.Millisecond
