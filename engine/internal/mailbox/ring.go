// SPDX-License-Identifier: Apache-2.0

package mailbox

import (
	"sync/atomic"

	"github.com/millrace-io/millrace/engine/internal/envelope"
)

// Ring carries batches from one sender to one shard, and empty batches back. It is a queue with a
// single producer and a single consumer that has no bound: a chain of segments of equal size, of which
// two take turns while the consumer keeps up. So a ring and its overflow are one FIFO by construction
// (P1), a push never waits, and a marker needs no slot (P4).
//
// A consumer that is more than one segment behind makes the ring lag, which closes the gate for
// ingress until it has caught up.
type Ring struct {
	slots int
	gate  *Gate

	_ pad
	// Owned by the producer.
	tail      *segment
	tailIndex int
	// taken is what popped was when the producer last looked: that is the consumer's cache line, and costs some
	// hundred nanoseconds to look at.
	taken uint64
	// pushed counts the batches that the consumer may take: storing it publishes the slot and, before
	// that, the link to a further segment. Written by the producer alone.
	pushed atomic.Uint64

	_ pad
	// Owned by the consumer.
	head      *segment
	headIndex int
	// popped counts the batches taken. Written by the consumer alone.
	popped atomic.Uint64

	_ pad
	// lagging is raised by the producer and lowered by whoever finds that it no longer holds.
	lagging atomic.Bool
	// spare is a drained segment on its way back to the producer.
	spare atomic.Pointer[segment]

	returns returns
}

type segment struct {
	slots []*envelope.Batch
	next  *segment // Written by the producer before it publishes the first slot there.
}

type pad [64]byte

// NewRing returns an empty ring whose segments have the given number of slots. The gate, which may be
// nil, is told when the ring lags.
func NewRing(slots int, gate *Gate) *Ring {
	first := &segment{slots: make([]*envelope.Batch, slots)}
	return &Ring{slots: slots, gate: gate, head: first, tail: first, returns: newReturns(slots)}
}

// Push hands a batch over. Only the producer calls it.
func (r *Ring) Push(b *envelope.Batch) {
	if r.tailIndex == r.slots {
		next := r.spare.Swap(nil)
		if next == nil {
			next = &segment{slots: make([]*envelope.Batch, r.slots)}
		}
		r.tail.next = next
		r.tail, r.tailIndex = next, 0
	}
	r.tail.slots[r.tailIndex] = b
	r.tailIndex++
	pushed := r.pushed.Load() + 1
	r.pushed.Store(pushed)
	if pushed-r.taken > uint64(r.slots) {
		if r.taken = r.popped.Load(); pushed-r.taken > uint64(r.slots) {
			r.raise()
		}
	}
}

// Pop takes the oldest batch, or returns nil. Only the consumer calls it.
func (r *Ring) Pop() *envelope.Batch {
	popped := r.popped.Load()
	if popped == r.pushed.Load() {
		return nil
	}
	if r.headIndex == r.slots {
		drained := r.head
		r.head, r.headIndex = drained.next, 0
		drained.next = nil
		r.spare.Store(drained)
	}
	b := r.head.slots[r.headIndex]
	r.head.slots[r.headIndex] = nil
	r.headIndex++
	r.popped.Store(popped + 1)
	if r.lagging.Load() {
		r.lower()
	}
	return b
}

// Empty reports whether there is nothing to take. Either side may ask.
func (r *Ring) Empty() bool { return r.popped.Load() == r.pushed.Load() }

// Len returns how many batches are waiting.
func (r *Ring) Len() int { return int(r.pushed.Load() - r.popped.Load()) }

// raise marks the ring as lagging. The gate counts it first: it may show a lag too many for a moment, and
// never one too few, or ingress would slip in while the ring is long. The consumer may have drained the
// ring between the producer's look and the mark, and would never look again; so the producer looks again
// after marking. All loads and stores are sequentially consistent: at least one of the two sees the other.
func (r *Ring) raise() {
	if r.gate == nil || r.lagging.Load() {
		return
	}
	r.gate.lagging.Add(1)
	if !r.lagging.CompareAndSwap(false, true) {
		r.gate.caughtUp() // It was put back up, see lower.
		return
	}
	r.lower()
}

// lower ends the lag once half a segment is left, so that the gate does not flap. Between the look and
// the mark the producer may have pushed a lot and found the mark still up; so the mark goes up again, and
// the gate has counted it all the while. Whoever ends the lag tells those who wait at the gate: the other
// side may have told them for the last time while it still lagged.
func (r *Ring) lower() {
	for r.Len() <= r.slots/2 && r.lagging.CompareAndSwap(true, false) {
		if r.Len() <= r.slots || !r.lagging.CompareAndSwap(false, true) {
			r.gate.caughtUp()
			return
		}
	}
}

// Return empties a batch and gives it back to the producer. Only the consumer calls it. It is emptied here, because
// a producer that has enough others may leave it for long, and a large arena would stay that long.
func (r *Ring) Return(b *envelope.Batch) {
	b.Reset()
	r.returns.push(b)
}

// Recycled takes an emptied batch for reuse, or returns nil. Only the producer calls it.
func (r *Ring) Recycled() *envelope.Batch { return r.returns.pop() }

// returns is a bounded queue of empty batches on their way back. What does not fit is left to the
// garbage collector, so that a burst does not keep its memory for ever.
type returns struct {
	slots []*envelope.Batch

	_    pad
	head atomic.Uint64 // Written by the producer of the ring, who takes;
	next int           // the slot that head is at.
	_    pad
	tail atomic.Uint64 // Written by the consumer of the ring, who gives;
	free int           // the slot that tail is at;
	seen uint64        // what head was when the consumer last looked.
	_    pad
}

func newReturns(slots int) returns {
	// One more than can be on the way in a ring that does not lag: two segments.
	return returns{slots: make([]*envelope.Batch, 2*slots+1)}
}

func (q *returns) push(b *envelope.Batch) {
	tail := q.tail.Load()
	if tail-q.seen == uint64(len(q.slots)) {
		if q.seen = q.head.Load(); tail-q.seen == uint64(len(q.slots)) {
			return
		}
	}
	q.slots[q.free] = b
	if q.free++; q.free == len(q.slots) {
		q.free = 0
	}
	q.tail.Store(tail + 1)
}

func (q *returns) pop() *envelope.Batch {
	head := q.head.Load()
	if head == q.tail.Load() {
		return nil
	}
	b := q.slots[q.next]
	q.slots[q.next] = nil
	if q.next++; q.next == len(q.slots) {
		q.next = 0
	}
	q.head.Store(head + 1)
	return b
}
