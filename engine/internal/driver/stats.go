// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"sync/atomic"
	"time"

	"github.com/millrace-io/millrace/engine/statefun"
)

// LoopStats are a shard's counters as its loop last showed them: at most a few turns old while it is
// busy, exact while it sleeps.
type LoopStats struct {
	Batches, Invocations, Failures, Encoded, Fired, Skipped, Unanswered, Turns, Parks int64

	Instances, Suspended, Delayed, MemoryBytes int64

	Epoch   statefun.Epoch
	MaxStop time.Duration // The longest that a cut or a slice of encoding has stopped the shard.
}

// Stats is how a loop shows its counters. The loop alone writes, anyone reads; nothing here costs the
// hot path more than a store every few dozen turns.
type Stats struct {
	_     [64]byte
	shown [15]atomic.Int64
	held  atomic.Int64

	functions atomic.Pointer[[]*functionStats] // By number; longer when the shard learns of another.
	last      int64                            // What held was last set to. Owned by the loop.
	_         [64]byte
}

// hold shows what waits in the shard: it counts as queued, but nothing moves because of it.
func (s *Stats) hold(bytes int64) {
	if bytes != s.last {
		s.held.Store(bytes)
		s.last = bytes
	}
}

// Held returns the bytes that wait in the shard and will not move by themselves: messages at suspended
// addresses, and egress records of open epochs. Anyone may call it.
func (l *Loop) Held() int64 { return l.stats.held.Load() }

func (l *Loop) publish() {
	l.publishFunctions()
	c := &l.shard.Counts
	for i, v := range [len(l.stats.shown)]int64{
		int64(c.Batches), int64(c.Invocations), int64(c.Failures), int64(c.Encoded), int64(c.Fired),
		int64(l.turns), l.parker.Parks(),
		int64(l.shard.Instances()), c.Suspended, l.shard.Delayed(), l.shard.MemoryBytes(),
		int64(l.shard.Epoch()), int64(l.maxStop), int64(c.Skipped), int64(c.Unanswered),
	} {
		l.stats.shown[i].Store(v)
	}
}

// Stats returns what the loop last showed. Anyone may call it.
func (l *Loop) Stats() LoopStats {
	v := func(i int) int64 { return l.stats.shown[i].Load() }
	return LoopStats{
		Batches: v(0), Invocations: v(1), Failures: v(2), Encoded: v(3), Fired: v(4),
		Turns: v(5), Parks: v(6),
		Instances: v(7), Suspended: v(8), Delayed: v(9), MemoryBytes: v(10),
		Epoch: statefun.Epoch(v(11)), MaxStop: time.Duration(v(12)), Skipped: v(13), Unanswered: v(14),
	}
}
