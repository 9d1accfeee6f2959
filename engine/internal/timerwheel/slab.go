// SPDX-License-Identifier: Apache-2.0

package timerwheel

import "math/bits"

// Memory comes in chunks that are never moved, copied or given back: growing costs one allocation of
// about 100 KB, whatever is in the wheel. Nothing in a chunk is a pointer, so the garbage collector
// does not look into it. A timer costs 24 bytes in a block and 8 bytes behind its handle.
const (
	blockLen       = 32 // The bits of block.live. 64 was no faster, and a slot holds at least one block.
	blocksPerChunk = 128
	// blocksMax keeps positions below posOverdue. It is 50 GiB of timers: there is no metric for it.
	blocksMax = posOverdue / blockLen
	// joinMax is the number of timers up to which two neighbours become one block. Well below blockLen,
	// so that a few calls of Add and Cancel cannot make the same block split and join again.
	joinMax = 24

	refsPerChunk = 1 << 13
	refsMax      = posOverdue // So that an index into the heap of overdue timers leaves that bit free.
)

// entry is a pending timer.
type entry struct {
	key     uint64
	payload uint64
	h       Handle
}

// block is a piece of a slot's list, in order of Add.
type block struct {
	live uint32 // Bit i: entries[i] is pending. Never 0 for a block in a list.
	next uint32 // The next block of the list, or of the free list; 0 at the end.
	prev uint32
	slot uint16
	used uint8 // entries[used:] can be appended to.

	entries [blockLen]entry
}

// list is the list of blocks of a slot; head == 0 when it is empty.
type list struct{ head, tail uint32 }

// link appends e to slot s.
func (w *Wheel) link(s uint32, e entry) {
	n := w.slots[s].tail
	b := w.blocks.at(n)
	if b.used == blockLen { // Block 0, the tail of an empty list, counts as full.
		n = w.extend(s)
		b = w.blocks.at(n)
	}
	i := b.used % blockLen
	b.entries[i] = e
	b.live |= 1 << i
	b.used++
	w.refs.at(e.h).pos = n*blockLen + uint32(i)
}

// extend appends an empty block to slot s.
func (w *Wheel) extend(s uint32) uint32 {
	n := w.blocks.take()
	b := w.blocks.at(n)
	l := &w.slots[s]
	b.live, b.next, b.prev, b.slot, b.used = 0, 0, l.tail, uint16(s), 0
	if l.head == 0 {
		l.head = n
		w.occupied[s/64] |= 1 << (s % 64)
		w.words |= 1 << (s / 64)
	} else {
		w.blocks.at(l.tail).next = n
	}
	l.tail = n
	return n
}

// unlink takes block n out of its list and frees it.
func (w *Wheel) unlink(n uint32) {
	b := w.blocks.at(n)
	s := uint32(b.slot)
	l := &w.slots[s]
	if b.prev == 0 {
		l.head = b.next
	} else {
		w.blocks.at(b.prev).next = b.next
	}
	if b.next == 0 {
		l.tail = b.prev
	} else {
		w.blocks.at(b.next).prev = b.prev
	}
	if l.head == 0 {
		if w.occupied[s/64] &^= 1 << (s % 64); w.occupied[s/64] == 0 {
			w.words &^= 1 << (s / 64)
		}
	}
	w.blocks.release(n)
}

// popFront removes the first timer of slot s, which is not empty.
func (w *Wheel) popFront(s uint32) entry {
	n := w.slots[s].head
	b := w.blocks.at(n)
	e := b.entries[bits.TrailingZeros32(b.live)%blockLen]
	if b.live &= b.live - 1; b.live == 0 {
		w.unlink(n)
	}
	return e
}

// remove cancels the timer at pos and returns its payload.
//
// The gap it leaves is not filled. A block whose timers fit into one with those of a neighbour is
// joined with it instead, so that cancelled timers far in the future do not hold memory until they
// would have come due. Looking at the neighbours costs two cache misses: every eighth time will do.
func (w *Wheel) remove(pos uint32) uint64 {
	n := pos / blockLen
	b := w.blocks.at(n)
	payload := b.entries[pos%blockLen].payload
	b.live &^= 1 << (pos % blockLen)
	switch count := bits.OnesCount32(b.live); {
	case count == 0:
		w.unlink(n)
	case count%8 != 0 || count > joinMax:
	case b.next != 0 && count+bits.OnesCount32(w.blocks.at(b.next).live) <= joinMax:
		w.join(n)
	case b.prev != 0 && count+bits.OnesCount32(w.blocks.at(b.prev).live) <= joinMax:
		w.join(b.prev)
	}
	return payload
}

// join moves the timers of block n together, those of the next block behind them, and frees that one.
func (w *Wheel) join(n uint32) {
	b := w.blocks.at(n)
	next := w.blocks.at(b.next)
	used := uint32(0)
	for _, from := range [2]*block{b, next} {
		for live := from.live; live != 0; live &= live - 1 {
			e := from.entries[bits.TrailingZeros32(live)%blockLen]
			b.entries[used] = e
			w.refs.at(e.h).pos = n*blockLen + used
			used++
		}
	}
	b.live, b.used = 1<<used-1, uint8(used)
	w.unlink(b.next)
}

// blockSlab owns the blocks, named by index. Block 0 is never used: it ends lists.
type blockSlab struct {
	chunks []*[blocksPerChunk]block
	count  uint32 // Blocks ever taken, and block 0.
	free   uint32 // First free block, linked by next.
}

func (s *blockSlab) init() {
	s.chunks = append(s.chunks, new([blocksPerChunk]block))
	s.count = 1
	s.at(0).used = blockLen
}

func (s *blockSlab) at(n uint32) *block { return &s.chunks[n/blocksPerChunk][n%blocksPerChunk] }

func (s *blockSlab) take() uint32 {
	if n := s.free; n != 0 {
		s.free = s.at(n).next
		return n
	}
	if s.count == blocksMax {
		panic("timerwheel: too many pending timers")
	}
	if s.count%blocksPerChunk == 0 {
		s.chunks = append(s.chunks, new([blocksPerChunk]block))
	}
	s.count++
	return s.count - 1
}

func (s *blockSlab) release(n uint32) {
	s.at(n).next = s.free
	s.free = n
}

// posOverdue marks positions in the heap of overdue timers.
const posOverdue = 1 << 31

// ref is what a handle refers to. A handle is the index of a ref and, above it, the generation it was
// handed out in. The generation is odd while the timer is pending and even while the ref is free.
type ref struct {
	gen uint32
	// pos says where the timer is: block and index, or index in the heap with posOverdue. For a free ref
	// it is the next free one, plus one.
	pos uint32
}

// refSlab owns the refs.
type refSlab struct {
	chunks []*[refsPerChunk]ref
	count  uint32 // Refs ever taken.
	free   uint32 // First free ref, plus one; 0 when there is none.
}

func (s *refSlab) at(h Handle) *ref {
	i := uint32(h)
	return &s.chunks[i/refsPerChunk][i%refsPerChunk]
}

// take returns a fresh handle. The caller sets the position.
func (s *refSlab) take() Handle {
	i := s.free - 1
	if s.free != 0 {
		s.free = s.at(Handle(i)).pos
	} else {
		if i = s.count; i == refsMax {
			panic("timerwheel: too many pending timers")
		}
		if i%refsPerChunk == 0 {
			s.chunks = append(s.chunks, new([refsPerChunk]ref))
		}
		s.count++
	}
	r := s.at(Handle(i))
	r.gen++
	return Handle(r.gen)<<32 | Handle(i)
}

// resolve returns the position of a pending timer.
func (s *refSlab) resolve(h Handle) (pos uint32, ok bool) {
	gen := uint32(h >> 32)
	if gen%2 == 0 || uint32(h) >= s.count {
		return 0, false
	}
	r := s.at(h)
	return r.pos, r.gen == gen
}

// release makes h stale. A ref whose generations are used up is not handed out again: that loses 8
// bytes in two thousand million timers, and no stale handle ever names a younger timer.
func (s *refSlab) release(h Handle) {
	gen := uint32(h>>32) + 1
	*s.at(h) = ref{gen: gen, pos: s.free} // A store alone: what was there need not be loaded.
	if gen != 0 {
		s.free = uint32(h) + 1
	}
}
