// SPDX-License-Identifier: Apache-2.0

package mailbox

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/statefun"
)

// A ring is a queue without a bound. It lags from the moment when more batches wait than a segment has
// slots until half a segment is left, and the gate knows.
func TestRingModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		slots := rapid.SampledFrom([]int{1, 2, 3, 8, 64}).Draw(t, "slots")
		gate := NewGate(1)
		r := NewRing(slots, gate)
		var queue, returned []*envelope.Batch
		var next statefun.Epoch
		lags := false
		push := func() {
			b := envelope.New(0)
			next++
			b.Epoch = next
			r.Push(b)
			queue = append(queue, b)
			lags = lags || len(queue) > slots
		}
		pop := func() {
			var want *envelope.Batch
			if len(queue) > 0 {
				want, queue = queue[0], queue[1:]
				lags = lags && len(queue) > slots/2
			}
			if got := r.Pop(); got != want {
				t.Fatalf("Pop() = %+v; want %+v", got, want)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"push": func(*rapid.T) { push() },
			"pop":  func(*rapid.T) { pop() },
			"burst": func(t *rapid.T) {
				for range rapid.IntRange(1, 3*slots).Draw(t, "batches") {
					push()
				}
			},
			"drain": func(t *rapid.T) {
				for range rapid.IntRange(0, len(queue)).Draw(t, "batches") {
					pop()
				}
			},
			"return": func(*rapid.T) {
				b := envelope.New(0)
				r.Return(b)
				if len(returned) < 2*slots+1 { // What does not fit is dropped.
					returned = append(returned, b)
				}
			},
			"recycled": func(*rapid.T) {
				var want *envelope.Batch
				if len(returned) > 0 {
					want, returned = returned[0], returned[1:]
				}
				if got := r.Recycled(); got != want {
					t.Fatalf("Recycled() = %p; want %p", got, want)
				}
			},
			"": func(t *rapid.T) {
				if r.Len() != len(queue) || r.Empty() != (len(queue) == 0) {
					t.Fatalf("Len() = %d, Empty() = %v; want %d", r.Len(), r.Empty(), len(queue))
				}
				if kept := held(r.returns.slots); kept != len(returned) {
					t.Fatalf("%d batches are on their way back; %d are held", len(returned), kept)
				}
				kept := 0
				for s := r.head; s != nil; s = s.next {
					kept += held(s.slots)
				}
				if kept != len(queue) {
					t.Fatalf("%d batches wait; %d are held", len(queue), kept)
				}
				if gate.Open() == lags {
					t.Fatalf("%d of %d slots: gate open %v, ring lags %v", len(queue), slots, gate.Open(), lags)
				}
			},
		})
	})
}

// held counts the batches that the garbage collector cannot have.
func held(slots []*envelope.Batch) (n int) {
	for _, b := range slots {
		if b != nil {
			n++
		}
	}
	return n
}

// Whoever ends the lag lets ingress look again: it may be the last thing that happens for a long time.
func TestRingNotifies(t *testing.T) {
	for _, slots := range []int{1, 2, 64} {
		t.Run(fmt.Sprint(slots), func(t *testing.T) {
			gate := NewGate(1)
			r := NewRing(slots, gate)
			for range slots + 1 {
				r.Push(envelope.New(0))
			}
			gate.waiting.Add(1) // As Wait does.
			for r.Pop() != nil {
			}
			if len(gate.token) != 1 {
				t.Error("the ring no longer lags, and nobody was told")
			}
		})
	}
}

// The consumer may take everything between the producer's look and its mark, and never look again: the
// mark must not stay.
func TestRingDrainedBeforeTheMark(t *testing.T) {
	gate := NewGate(1)
	r := NewRing(1, gate)
	r.Push(envelope.New(0))
	r.Pop()
	gate.waiting.Add(1)
	r.raise() // As a producer does that has found two batches waiting, just before.
	if r.lagging.Load() || !gate.Open() {
		t.Errorf("an empty ring lags; gate open %v", gate.Open())
	}
	if len(gate.token) != 1 {
		t.Error("the ring lagged for a moment, and those who saw it were not told that it is over")
	}
}

// A ring that is kept up with allocates nothing.
func TestRingAllocatesNothing(t *testing.T) {
	r := NewRing(4, NewGate(1))
	b := envelope.New(0)
	turn := func() {
		for range 4 {
			r.Push(b)
		}
		for range 4 {
			r.Return(r.Pop())
			r.Recycled()
		}
	}
	turn()
	if n := testing.AllocsPerRun(1000, turn); n != 0 {
		t.Errorf("%v allocations for four batches", n)
	}
}
