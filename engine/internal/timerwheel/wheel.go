// SPDX-License-Identifier: Apache-2.0

package timerwheel

import (
	"math"
	"math/bits"
)

const (
	levelBits  = 8
	levelSlots = 1 << levelBits
	levelMask  = levelSlots - 1
	slotCount  = 64 / levelBits * levelSlots
)

// Handle names a pending timer. It goes stale when the timer fires or is cancelled and never becomes
// valid again; 0 is never valid. Handles are not portable: a wheel knows only its own, and only while
// the process lives.
type Handle uint64

// Wheel holds pending timers. Instants (due, now) are engine time, ms; every int64 is allowed.
//
// Instants are kept as keys: unsigned numbers in the same order, see [keyOf].
type Wheel struct {
	// cur is the position. Timers due before it have been handed out or are in overdue; all others are
	// in the slot that slotOf(key, cur) names, or in the slot that is being sorted. cur <= now.
	cur uint64
	// now is the latest instant the caller has shown.
	now uint64
	// sorting is the level of the slot that the position has entered and whose timers are being moved
	// to the levels below, 0 when there is none.
	sorting uint32
	// length counts all pending timers.
	length int

	overdue heap

	// words has bit i set when occupied[i] is not 0, occupied has bit s set when slots[s] is not empty.
	words    uint32
	occupied [slotCount / 64]uint64
	slots    [slotCount]list

	blocks blockSlab
	refs   refSlab
}

// New returns an empty wheel at now (engine time, ms).
//
// A wheel that is about to be loaded from a checkpoint should start at the engine time of that
// checkpoint: whatever came due since then is sorted by the wheel. Timers due before now are taken
// as well, at the price of a heap.
func New(now int64) *Wheel {
	w := &Wheel{cur: keyOf(now), now: keyOf(now)}
	w.blocks.init()
	return w
}

// Len counts the pending timers.
func (w *Wheel) Len() int { return w.length }

// Add starts a timer that fires at due (engine time, ms) and hands out payload. A due time that has
// passed is no error: the timer fires at the next Pop, before all timers that are due later. O(1), or
// O(log n) in the n overdue timers if due lies before the position of the wheel.
//
// Nothing is allocated once the wheel has held as many timers as it does now.
func (w *Wheel) Add(due int64, payload uint64) Handle {
	key := keyOf(due)
	h := w.refs.take()
	w.length++
	if key < w.cur {
		w.overdue.push(&w.refs, entry{key: key, payload: payload, h: h})
		return h
	}
	s := slotOf(key, w.cur)
	if s>>levelBits < w.sorting {
		// Timers with this due time may still wait in the slot being sorted; this one comes after them.
		s = slotAt(w.sorting, w.cur)
	}
	w.link(s, entry{key: key, payload: payload, h: h})
	return h
}

// Cancel stops the timer h and returns its payload. It reports ok == false when there is nothing to
// stop: the timer has fired, was cancelled, or h was never handed out by this wheel. So exactly one of
// Pop and Cancel gets a timer. O(1), or O(log n) for one of n overdue timers.
func (w *Wheel) Cancel(h Handle) (payload uint64, ok bool) {
	pos, ok := w.refs.resolve(h)
	if !ok {
		return 0, false
	}
	w.length--
	w.refs.release(h)
	if pos&posOverdue != 0 {
		return w.overdue.remove(&w.refs, pos&^posOverdue).payload, true
	}
	return w.remove(pos), true
}

// Pop removes and returns the first timer, by (due, order of Add), that is due at or before now
// (engine time, ms); ok == false when there is none. A now before an earlier one counts as the
// earlier one: time never runs backwards.
//
// Timers added between two calls take part at once. A timer added while the caller pops at now, with
// due <= now, is returned in the same loop, after those with a smaller or the same due time. A
// function that always starts a timer with no delay therefore keeps such a loop running for ever:
// callers bound it by count.
//
// Pop costs amortised O(1), as a timer moves at most seven times in its life. A single call may have
// to sort a whole slot, though; callers that must not stop for so long ask Advance first.
func (w *Wheel) Pop(now int64) (due int64, payload uint64, ok bool) {
	w.now = max(w.now, keyOf(now))
	var e entry
	if w.overdue.length > 0 {
		e = w.overdue.remove(&w.refs, 0)
	} else {
		// Slot cur of level 0 holds the timers due at cur, the earliest there can be.
		if w.slots[slotAt(0, w.cur)].head == 0 {
			w.settle(math.MaxInt)
		}
		s := slotAt(0, w.cur)
		if w.slots[s].head == 0 {
			return 0, 0, false
		}
		e = w.popFront(s)
	}
	w.length--
	w.refs.release(e.h)
	return dueOf(e.key), e.payload, true
}

// Advance does the sorting that Pop(now) would have to do, at most movesMax timers of it (rounded up
// to a block of timers), and reports whether it is complete. After true the next Pop(now) sorts nothing.
// After false Next is not after now, and the caller goes on with Advance after its other work:
//
//	for n := 0; n < firesMax && w.Advance(now, movesMax); n++ {
//		due, payload, ok := w.Pop(now)
//		…
//	}
//
// How the work is divided has no influence on the order in which timers fire.
func (w *Wheel) Advance(now int64, movesMax int) (ready bool) {
	w.now = max(w.now, keyOf(now))
	return w.overdue.length > 0 || w.slots[slotAt(0, w.cur)].head != 0 || w.settle(movesMax)
}

// Next returns an instant (engine time, ms) that is not after the due time of any pending timer: the
// time to sleep until. It reports ok == false for an empty wheel.
//
// It is exact when the earliest timer is overdue or shares all but the last byte of its due time with
// the position (the position is the latest now once Pop has reported ok == false); else it is the
// start of the slot of the earliest timer. Pop at that time returns a timer or brings Next closer to
// the due time, at most seven times. While Advance has left work undone, Next is not after its now.
func (w *Wheel) Next() (due int64, ok bool) {
	switch {
	case w.overdue.length > 0:
		return dueOf(w.overdue.at(0).key), true
	case w.length == 0:
		return 0, false
	case w.sorting > 0:
		return dueOf(w.cur), true
	}
	_, start := w.first()
	return dueOf(start), true
}

// settle moves the position to the earliest timer or to now, whichever comes first, and sorts every
// slot it enters. It reports false when movesMax was spent before. Afterwards slot cur of level 0
// holds the timers to fire; it is empty when none is due.
func (w *Wheel) settle(movesMax int) bool {
	for {
		for w.sorting > 0 {
			n := w.slots[slotAt(w.sorting, w.cur)].head
			if n == 0 { // Sorted, or cancelled, to the end.
				w.sorting = 0
				break
			}
			if movesMax <= 0 {
				return false
			}
			movesMax -= w.sortBlock(n)
		}
		if w.words == 0 {
			w.cur = w.now
			return true
		}
		s, start := w.first()
		if start > w.now {
			w.cur = w.now // No slot holds now, so each timer keeps its level and its slot.
			return true
		}
		w.cur = start
		w.sorting = s >> levelBits
		if w.sorting == 0 {
			return true
		}
	}
}

// sortBlock moves block n, the first of the slot being sorted, to the levels below and returns the
// number of timers moved. From the front, whole blocks: the order of Add is kept (see the package
// comment).
func (w *Wheel) sortBlock(n uint32) int {
	b := w.blocks.at(n)
	for live := b.live; live != 0; live &= live - 1 {
		e := &b.entries[bits.TrailingZeros32(live)%blockLen]
		w.link(slotOf(e.key, w.cur), *e)
	}
	moves := bits.OnesCount32(b.live)
	w.unlink(n)
	return moves
}

// first returns the first slot that is not empty and the key at which it starts. There must be one.
func (w *Wheel) first() (s uint32, start uint64) {
	word := uint32(bits.TrailingZeros32(w.words)) % uint32(len(w.occupied))
	s = word*64 + uint32(bits.TrailingZeros64(w.occupied[word]))
	shift := s >> levelBits * levelBits
	// On the top level the left shift by 64 yields 0, and the mask covers the whole key.
	mask := uint64(1)<<(shift+levelBits) - 1
	return s, w.cur&^mask | uint64(s&levelMask)<<shift
}

// slotOf returns the slot of a timer with the given key, cur <= key, when the position is cur.
func slotOf(key, cur uint64) uint32 {
	return slotAt(uint32(bits.Len64((key^cur)|1)-1)/levelBits, key)
}

// slotAt returns the slot of key on a level.
func slotAt(level uint32, key uint64) uint32 {
	return level<<levelBits | uint32(key>>(level*levelBits))&levelMask
}

// keyOf maps instants to unsigned numbers in the same order. There is no sum of instants anywhere, so
// nothing can overflow.
func keyOf(instant int64) uint64 { return uint64(instant) ^ 1<<63 }

func dueOf(key uint64) int64 { return int64(key ^ 1<<63) }
