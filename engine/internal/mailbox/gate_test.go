// SPDX-License-Identifier: Apache-2.0

package mailbox

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"github.com/millrace-io/millrace/engine/internal/envelope"
)

// Used by one goroutine, a gate is exact: queued is the sum of what was added, the peak its greatest
// value, and there is credit below the mark.
func TestGateCounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.Int64Range(1, 1000).Draw(t, "max")
		gate := NewGate(most)
		var queued, peak int64
		for range rapid.IntRange(0, 50).Draw(t, "turns") {
			bytes := rapid.Int64Range(-queued, 2*most).Draw(t, "bytes")
			gate.Add(bytes)
			queued += bytes
			peak = max(peak, queued)
			if gate.Queued() != queued || gate.Peak() != peak || gate.Max() != most || gate.Open() != (queued < most) {
				t.Fatalf("queued %d, peak %d, max %d, open %v; want %d, %d, %d", gate.Queued(), gate.Peak(), gate.Max(), gate.Open(), queued, peak, most)
			}
		}
	})
}

// Used by two at the same time, the sum is still exact, and no addition is missing from the peak: while
// nothing is taken, it is the sum.
func TestGateAddHammer(t *testing.T) {
	const rounds = 100_000
	gate := NewGate(1)
	var arrived atomic.Int64
	meet := func(n int64) {
		for arrived.Add(1); arrived.Load() < 2*n; {
			runtime.Gosched()
		}
	}
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			for round := range int64(rounds) {
				meet(2*round + 1)
				gate.Add(1)
				meet(2*round + 2)
				if want := 2 * (round + 1); gate.Peak() < want {
					t.Errorf("round %d: peak %d; want %d", round, gate.Peak(), want)
				}
			}
		})
	}
	both.Wait()
	if gate.Queued() != 2*rounds || gate.Peak() != 2*rounds {
		t.Errorf("queued %d, peak %d; want %d", gate.Queued(), gate.Peak(), 2*rounds)
	}
}

// One notice is enough for all who wait: each lets in the next. They are let in at three quarters of the
// mark, so that they are not woken for every batch.
func TestGateWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most, waiters = 100, 10
		gate := NewGate(most)
		if err := gate.Wait(t.Context()); err != nil || gate.Stalls() != 0 {
			t.Fatalf("an open gate: %v, %d stalls", err, gate.Stalls())
		}
		gate.Add(most)
		let := make(chan error, waiters)
		for range waiters {
			go func() { let <- gate.Wait(t.Context()) }()
		}
		synctest.Wait()
		for _, left := range []int64{most - 1, most - most/4} {
			gate.Add(left - gate.Queued())
			gate.Notify()
			synctest.Wait()
			if len(let) != 0 {
				t.Fatalf("%d were let in at %d of %d bytes", len(let), left, most)
			}
		}
		gate.Add(-1)
		gate.Notify()
		synctest.Wait()
		if len(let) != waiters {
			t.Fatalf("%d of %d were let in", len(let), waiters)
		}
		for range waiters {
			if err := <-let; err != nil {
				t.Error(err)
			}
		}
		if gate.waiting.Load() != 0 || gate.Stalls() != waiters {
			t.Errorf("%d still wait, %d stalls; want 0, %d", gate.waiting.Load(), gate.Stalls(), waiters)
		}
	})
}

// Who gives up does not keep the others from being let in.
func TestGateWaitCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := NewGate(1)
		ctx, cancel := context.WithCancel(t.Context())
		gate.Add(1)
		gaveUp, let := make(chan error, 5), make(chan error, 5)
		for range 5 {
			go func() { gaveUp <- gate.Wait(ctx) }()
			go func() { let <- gate.Wait(t.Context()) }()
		}
		synctest.Wait()
		gate.Add(-1)
		cancel() // And the notice, at once: either may come first to any of them.
		gate.Notify()
		synctest.Wait()
		if len(gaveUp) != 5 || len(let) != 5 {
			t.Fatalf("%d of 5 gave up, %d of 5 were let in", len(gaveUp), len(let))
		}
		for range 5 {
			if err := <-gaveUp; !errors.Is(err, context.Canceled) {
				t.Errorf("Wait = %v; want Canceled", err)
			}
			if err := <-let; err != nil {
				t.Errorf("Wait = %v; want nil", err)
			}
		}
		if err := gate.Wait(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("an open gate with a context that is done: %v; want Canceled", err)
		}
	})
}

// The inbox takes what it has slots for, and one more as soon as one was taken.
func TestInboxSlots(t *testing.T) {
	for _, slots := range []int{1, 2, 64, 100} {
		inbox := NewInbox[envelope.Batch](slots)
		if b := inbox.Pop(); b != nil || !inbox.Empty() {
			t.Fatalf("%d slots: a new inbox has %v", slots, b)
		}
		batches := make([]*envelope.Batch, slots+1)
		for i := range batches {
			batches[i] = envelope.New(0)
			if got := inbox.TryPush(batches[i]); got != (i < slots) {
				t.Fatalf("%d slots: batch %d is taken: %v", slots, i+1, got)
			}
		}
		if inbox.Pop() != batches[0] || !inbox.TryPush(batches[slots]) || inbox.TryPush(batches[0]) {
			t.Fatalf("%d slots: there is not room for exactly one after one was taken", slots)
		}
		for i := range slots {
			if inbox.Empty() || inbox.Pop() != batches[i+1] {
				t.Fatalf("%d slots: batch %d is not next", slots, i+2)
			}
		}
		if !inbox.Empty() {
			t.Fatalf("%d slots: not empty after the last", slots)
		}
	}
}
