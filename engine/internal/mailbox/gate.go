// SPDX-License-Identifier: Apache-2.0

package mailbox

import (
	"context"
	"sync/atomic"
)

// Gate counts what is queued and gives ingress its credit. It is open while fewer bytes are queued than
// the high-water mark and no ring lags; internal senders pass it by (I3).
//
// Bytes count from the moment a batch is pushed until it has been run and what it caused has been
// pushed, so that they never dip in between. Messages that wait at an address count until they run.
type Gate struct {
	max int64

	_       pad
	queued  atomic.Int64
	_       pad
	peak    atomic.Int64
	lagging atomic.Int64 // Rings whose consumer is more than a segment behind.
	held    atomic.Bool

	_       pad
	waiting atomic.Int64 // Goroutines in Wait.
	stalls  atomic.Int64
	// token wakes one of those who wait, who passes it on. One is enough, and costs no allocation.
	token chan struct{}
}

// NewGate returns a gate with a high-water mark of max bytes.
func NewGate(max int64) *Gate { return &Gate{max: max, token: make(chan struct{}, 1)} }

// Add changes the number of queued bytes: once per turn of a shard, once per push of an outsider.
func (g *Gate) Add(bytes int64) {
	if bytes == 0 {
		return
	}
	queued := g.queued.Add(bytes)
	if bytes > 0 {
		for peak := g.peak.Load(); queued > peak && !g.peak.CompareAndSwap(peak, queued); peak = g.peak.Load() {
		}
	}
}

// Open reports whether ingress has credit.
func (g *Gate) Open() bool { return g.queued.Load() < g.max && g.ready() }

func (g *Gate) ready() bool { return g.lagging.Load() == 0 && !g.held.Load() }

// Hold closes the gate, whatever is queued, until it is told otherwise.
func (g *Gate) Hold(held bool) {
	g.held.Store(held)
	g.NotifyOpen()
}

// roomy is when a busy shard wakes those who wait: when there is room for a while, instead of for every
// batch that it has taken.
func (g *Gate) roomy() bool { return g.queued.Load() < g.max-g.max/4 && g.ready() }

// Wait waits until ingress has credit, or returns ctx's error.
func (g *Gate) Wait(ctx context.Context) error {
	if g.Open() {
		return ctx.Err()
	}
	g.stalls.Add(1)
	g.waiting.Add(1)
	defer g.waiting.Add(-1)
	for !g.Open() { // Looks after it has been counted as waiting, so that Notify cannot miss it.
		select {
		case <-g.token:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if g.waiting.Load() > 1 {
		g.wake()
	}
	return ctx.Err()
}

// caughtUp takes back that a ring lags. Those who wait look again: the producer, too, may be the one who
// ends a lag, when the consumer has let them look already and found the ring marked.
func (g *Gate) caughtUp() {
	g.lagging.Add(-1)
	g.Notify()
}

// Notify lets those who wait look again, if there is room. A shard calls it when it has taken something;
// it costs a load when nobody waits.
func (g *Gate) Notify() {
	if g.waiting.Load() != 0 && g.roomy() {
		g.wake()
	}
}

// NotifyOpen lets those who wait look again, if there is any room. A shard calls it before it sleeps: what
// is queued then may stay for long, and leave only a little room.
func (g *Gate) NotifyOpen() {
	if g.waiting.Load() != 0 && g.Open() {
		g.wake()
	}
}

func (g *Gate) wake() {
	select {
	case g.token <- struct{}{}:
	default: // Somebody is being woken already.
	}
}

// Queued returns how many bytes are queued.
func (g *Gate) Queued() int64 { return g.queued.Load() }

// Peak returns the most bytes that have ever been queued.
func (g *Gate) Peak() int64 { return g.peak.Load() }

// Stalls returns how often ingress has had to wait.
func (g *Gate) Stalls() int64 { return g.stalls.Load() }

// Max returns the high-water mark in bytes.
func (g *Gate) Max() int64 { return g.max }
