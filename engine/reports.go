// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/puzpuzpuz/xsync/v3"

	"github.com/millrace-io/millrace/engine/internal/shard"
)

// reports carries what goes wrong in shards to the log. A log may be slow, or stand still; shards do not
// wait for it.
type reports struct {
	failures  chan shard.Failure
	dropped   atomic.Int64
	suspended *xsync.MapOf[Address, SuspendedAddress] // Those that are suspended now.
	told      map[topic]time.Time                     // Owned by writeReports.
}

// topic is what the log hears of once in a while: the failures of a function type, and its suspensions.
type topic struct {
	typ       FunctionType
	suspended bool
}

// SuspendedAddress is an address that waits to be resumed, or to have its first message skipped.
type SuspendedAddress struct {
	Address Address
	Since   time.Time
	Err     error // What the last attempt ended with.
}

// Suspended returns the addresses that are suspended, in no order.
func (e *Engine) Suspended() []SuspendedAddress {
	list := make([]SuspendedAddress, 0, e.reports.suspended.Size())
	e.reports.suspended.Range(func(_ Address, s SuspendedAddress) bool {
		list = append(list, s)
		return true
	})
	return list
}

// reportsMax is how many failures may wait for the log. What comes on top is counted, not written.
const reportsMax = 256

func newReports() *reports {
	return &reports{
		failures: make(chan shard.Failure, reportsMax), suspended: xsync.NewMapOf[Address, SuspendedAddress](),
		told: map[topic]time.Time{},
	}
}

// add takes note of a failure. It is called by the shards' goroutines and does not wait.
func (r *reports) add(f shard.Failure) {
	switch {
	case f.Resumed:
		r.suspended.Delete(f.Address)
		return
	case f.Suspended:
		r.suspended.Store(f.Address, SuspendedAddress{f.Address, time.Now(), f.Err})
	}
	select {
	case r.failures <- f:
	default:
		r.dropped.Add(1)
	}
}

// restore takes note of an address that was suspended when the checkpoint was made, which the log knows.
func (r *reports) restore(f shard.Failure, since time.Time) {
	r.suspended.Store(f.Address, SuspendedAddress{f.Address, since, f.Err})
}

// writeReports writes the log until ctx is done, and then what is left.
func (w *wiring) writeReports(ctx context.Context) {
	for {
		select {
		case f := <-w.reports.failures:
			w.report(f)
		case <-ctx.Done():
			for len(w.reports.failures) > 0 {
				w.report(<-w.reports.failures)
			}
			return
		}
	}
}

func (w *wiring) report(f shard.Failure) {
	if f.Remote && !f.DeadLetter && !w.reports.tell(topic{f.Address.Type, f.Suspended}) {
		return
	}
	attrs := []any{"address", clip(f.Address.String()), "attempt", f.Attempt, "error", f.Err}
	var p *shard.PanicError
	if errors.As(f.Err, &p) {
		attrs = append(attrs, "stack", string(p.Stack))
	}
	if n := w.reports.dropped.Swap(0); n > 0 {
		attrs = append(attrs, "others_not_logged", n)
	}
	log := w.config.Logger
	switch {
	case f.Suspended:
		log.Error("address suspended: its messages wait until it is resumed", attrs...)
	case f.DeadLetter:
		log.Error("delivery given up: its messages are dead letters", attrs...)
	case f.Exhausted:
		log.Warn("the time for a delivery is over, and another begins", attrs...)
	default:
		log.Warn("invocation failed and will be tried again", attrs...)
	}
}

// tellEvery is how often the log hears of a function type elsewhere that fails: when its endpoint is down, all
// of its addresses do.
const tellEvery = time.Second

// tell reports whether the log should hear of a failure. What it does not hear of is counted.
func (r *reports) tell(t topic) bool {
	if time.Since(r.told[t]) < tellEvery {
		r.dropped.Add(1)
		return false
	}
	r.told[t] = time.Now()
	return true
}
