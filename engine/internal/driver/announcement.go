// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/millrace-io/millrace/engine/statefun"
)

// Announcement is how everybody learns that an epoch is to end. It needs no record and no credit (P3):
// it is a number to look at, and wakes those who sleep or wait.
type Announcement struct {
	epoch atomic.Uint64

	mu     sync.Mutex
	ctx    context.Context // Guarded by mu. Done when the next epoch is announced.
	cancel context.CancelFunc
	wake   []func() // Written before the first announcement.
}

// NewAnnouncement starts in the given epoch. Its contexts end with ctx.
func NewAnnouncement(ctx context.Context, first statefun.Epoch) *Announcement {
	a := &Announcement{}
	a.epoch.Store(uint64(first))
	a.ctx, a.cancel = context.WithCancel(ctx)
	return a
}

// OnAnnounce has wake called at every announcement.
func (a *Announcement) OnAnnounce(wake func()) { a.wake = append(a.wake, wake) }

// Epoch returns the latest announced epoch.
func (a *Announcement) Epoch() statefun.Epoch { return statefun.Epoch(a.epoch.Load()) }

// Context returns a context that is done when an epoch after the one given is announced, so that waits
// can be interrupted for the cut.
func (a *Announcement) Context(parent context.Context, epoch statefun.Epoch) context.Context {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.Epoch() > epoch {
		done, cancel := context.WithCancel(parent)
		cancel()
		return done
	}
	return a.ctx
}

// Announce begins epoch.
func (a *Announcement) Announce(parent context.Context, epoch statefun.Epoch) {
	a.mu.Lock()
	a.epoch.Store(uint64(epoch))
	a.cancel()
	a.ctx, a.cancel = context.WithCancel(parent)
	a.mu.Unlock()
	for _, wake := range a.wake {
		wake()
	}
}

// Stop ends the last context.
func (a *Announcement) Stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cancel()
}
