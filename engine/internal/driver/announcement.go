// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/millrace-io/millrace/engine/internal/shard"
	"github.com/millrace-io/millrace/engine/statefun"
)

// Announcement is how everybody learns that an epoch is to end, and how they say that it should. It needs no
// record and no credit (P3): it is a number to look at, and wakes those who sleep or wait.
type Announcement struct {
	life  context.Context
	epoch atomic.Uint64
	last  atomic.Uint64 // The last epoch of all; 0 while there is none.
	wake  []func()      // Written before the first announcement.

	_      [64]byte
	wanted atomic.Uint64 // The newest epoch that somebody waits for (P20).
	wants  chan struct{} // Gets a token when wanted rises.

	touched atomic.Uint64 // The newest epoch in which there was something to do.

	lap  atomic.Pointer[shard.Lap] // That which goes on with the epoch that is announced.
	room atomic.Int64              // What is left of the bytes that it may cost. Below 0 it is given up.

	mu     sync.Mutex
	ctx    context.Context // Guarded by mu. Done when the next epoch is announced; nil while nobody waits for it.
	cancel context.CancelFunc
}

// NewAnnouncement starts in the given epoch. Its contexts end with ctx.
func NewAnnouncement(ctx context.Context, first statefun.Epoch) *Announcement {
	a := &Announcement{life: ctx, wants: make(chan struct{}, 1)}
	a.epoch.Store(uint64(first))
	a.Lap(shard.Lap{})
	return a
}

// OnAnnounce has wake called at every announcement.
func (a *Announcement) OnAnnounce(wake func()) { a.wake = append(a.wake, wake) }

// Epoch returns the latest announced epoch.
func (a *Announcement) Epoch() statefun.Epoch { return statefun.Epoch(a.epoch.Load()) }

// Context returns a context that is done when an epoch after the one given is announced, so that waits
// can be interrupted for the cut.
func (a *Announcement) Context(epoch statefun.Epoch) context.Context {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.Epoch() > epoch {
		return over
	}
	if a.ctx == nil {
		a.ctx, a.cancel = context.WithCancel(a.life)
	}
	return a.ctx
}

// over is a context that is done.
var over = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// Announce begins epoch. If the one that it ends is the last, all learn of that too.
func (a *Announcement) Announce(epoch statefun.Epoch, last bool) {
	a.mu.Lock()
	if last {
		a.last.Store(uint64(epoch) - 1) // First: whoever sees the epoch sees this.
	}
	a.epoch.Store(uint64(epoch))
	a.interrupt()
	a.mu.Unlock()
	for _, wake := range a.wake {
		wake()
	}
}

// interrupt ends the waits. The caller holds mu.
func (a *Announcement) interrupt() {
	if a.ctx != nil {
		a.cancel()
		a.ctx, a.cancel = nil, nil
	}
}

// Last returns the last epoch of all, once the one behind it is announced, and 0 before.
func (a *Announcement) Last() statefun.Epoch { return statefun.Epoch(a.last.Load()) }

// Want says that somebody waits for an epoch that is open: it is to end as soon as it can. That it is wanted
// stays so until it is committed: it is a level, which no commit in between can miss (P20).
func (a *Announcement) Want(epoch statefun.Epoch) {
	if !raise(&a.wanted, epoch) {
		return
	}
	select {
	case a.wants <- struct{}{}:
	default: // There is a token already.
	}
}

// raise makes v the epoch, unless it is that or a later one.
func raise(v *atomic.Uint64, epoch statefun.Epoch) bool {
	for {
		was := v.Load()
		if was >= uint64(epoch) {
			return false
		}
		if v.CompareAndSwap(was, uint64(epoch)) {
			return true
		}
	}
}

// Touch says that there was something to do in an epoch: it is worth a checkpoint.
func (a *Announcement) Touch(epoch statefun.Epoch) { raise(&a.touched, epoch) }

// Touched reports whether there was something to do in the open epoch.
func (a *Announcement) Touched() bool { return a.touched.Load() >= a.epoch.Load() }

// Lap says what comes of the lap with the epoch that is announced next.
func (a *Announcement) Lap(lap shard.Lap) { a.lap.Store(&lap) }

// Wanted reports whether somebody waits for the open epoch.
func (a *Announcement) Wanted() bool { return a.wanted.Load() >= a.epoch.Load() }
