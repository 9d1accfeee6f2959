// SPDX-License-Identifier: Apache-2.0

package mailbox

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/statefun"
)

// yieldSometimes lets the other side get ahead, so that both sides meet in every state.
func yieldSometimes(rng *rand.Rand) {
	if rng.IntN(8) == 0 {
		runtime.Gosched()
	}
}

// A producer and a consumer at full speed: every batch arrives, once and in order, with what the producer
// wrote into it; emptied batches come back one by one; and when all is done the ring does not lag.
func TestRingHammer(t *testing.T) {
	for _, slots := range []int{1, 2, 64} {
		t.Run(fmt.Sprintf("slots=%d", slots), func(t *testing.T) {
			const batches = 100_000
			gate := NewGate(1)
			r := NewRing(slots, gate)
			made := 0
			var both sync.WaitGroup
			both.Go(func() {
				rng := rand.New(rand.NewPCG(1, uint64(slots)))
				for n := range batches {
					b := r.Recycled()
					if b == nil {
						b = envelope.New(1)
						made++
					}
					b.Reset()
					b.Epoch = statefun.Epoch(n)
					b.Append(1, 2, uint64(n), "a")
					r.Push(b)
					yieldSometimes(rng)
				}
			})
			both.Go(func() {
				rng := rand.New(rand.NewPCG(2, uint64(slots)))
				for n := 0; n < batches; {
					b := r.Pop()
					if b == nil {
						runtime.Gosched()
						continue
					}
					if b.Epoch != statefun.Epoch(n) || len(b.Envelopes) != 1 || b.Envelopes[0].Hash != uint64(n) {
						t.Errorf("batch %d is number %d, with %d envelopes", n, b.Epoch, len(b.Envelopes))
						return
					}
					n++
					r.Return(b)
					yieldSometimes(rng)
				}
			})
			both.Wait()
			if b := r.Pop(); b != nil || !r.Empty() || r.Len() != 0 {
				t.Errorf("after the last batch: Pop() = %v, Empty() = %v, Len() = %d", b, r.Empty(), r.Len())
			}
			if r.lagging.Load() || gate.lagging.Load() != 0 || !gate.Open() {
				t.Errorf("lagging %v, %d rings lag at the gate, open %v", r.lagging.Load(), gate.lagging.Load(), gate.Open())
			}
			if made == batches {
				t.Error("no batch was recycled")
			}
		})
	}
}

// One side pushes some while the other takes some, again and again. Whenever both rest, the ring lags if
// more than a segment waits, does not if at most half a segment does, and the gate knows.
func TestRingLagHammer(t *testing.T) {
	for _, slots := range []int{1, 2, 64} {
		t.Run(fmt.Sprintf("slots=%d", slots), func(t *testing.T) {
			const rounds = 20_000
			gate := NewGate(1)
			r := NewRing(slots, gate)
			batch := envelope.New(0)
			var arrived atomic.Int64
			meet := func(n int64) {
				for arrived.Add(1); arrived.Load() < 2*n; {
					runtime.Gosched()
				}
			}
			var consumer sync.WaitGroup
			consumer.Go(func() {
				rng := rand.New(rand.NewPCG(5, uint64(slots)))
				for round := range int64(rounds) {
					meet(2*round + 1)
					for range rng.IntN(3*slots + 1) {
						r.Pop()
					}
					meet(2*round + 2)
				}
			})
			rng := rand.New(rand.NewPCG(6, uint64(slots)))
			failed := false
			for round := range int64(rounds) {
				n, lags := r.Len(), r.lagging.Load()
				counted := gate.lagging.Load()
				if !failed && (n > slots && !lags || n <= slots/2 && lags || (counted == 1) != lags || counted&^1 != 0) {
					t.Errorf("round %d: %d batches wait; lagging %v, %d rings lag at the gate", round, n, lags, counted)
					failed = true
				}
				meet(2*round + 1)
				for range min(rng.IntN(3*slots+1), 8*slots-n) {
					r.Push(batch)
				}
				meet(2*round + 2)
			}
			consumer.Wait()
		})
	}
}

// Many rings at one gate, which lag and catch up all the time, and pumps that wait for credit: they are
// let in whenever no ring lags, and the count of those that do comes out at zero.
func TestRingsAtOneGate(t *testing.T) {
	const rings, batches = 4, 20_000
	bubble(t, func(t *testing.T) {
		gate := NewGate(1)
		var all sync.WaitGroup
		for i := range rings {
			r := NewRing(1, gate)
			wake := NewParker()
			all.Go(func() {
				rng := rand.New(rand.NewPCG(3, uint64(i)))
				for range batches {
					if err := gate.Wait(t.Context()); err != nil {
						t.Error(err)
						return
					}
					for range 1 + rng.IntN(3) {
						r.Push(envelope.New(0))
					}
					wake.Wake()
					yieldSometimes(rng)
				}
				r.Push(&envelope.Batch{Epoch: 1})
				wake.Wake()
			})
			all.Go(func() {
				for {
					b := r.Pop()
					if b == nil {
						wake.Park(func() bool { return !r.Empty() }, -1)
						continue
					}
					if b.Epoch == 1 {
						return
					}
				}
			})
		}
		all.Wait()
		if n := gate.lagging.Load(); n != 0 {
			t.Errorf("%d rings lag", n)
		}
	})
}
