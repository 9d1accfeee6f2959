// SPDX-License-Identifier: Apache-2.0

package table

import (
	"encoding/binary"
	"math/bits"
)

// Heap keeps byte strings: ids and state values that do not fit into a row, messages that wait. Blocks
// come in classes, four to each power of two, so that at most a fifth or so is wasted; a freed block
// is reused for the next string of its class.
type Heap struct {
	arena   *Arena
	classes [classCount]class
	large   [][]byte // What is over the largest class, by number; nil is free.
	spare   []uint32 // Free numbers in large.
	used    int64
}

// Ref names a string in a heap. The zero Ref names none. Its upper byte is the class, or largeClass.
type Ref uint64

type class struct {
	size   int
	perRun int
	runs   [][]byte
	free   uint64 // Number of the first free block plus one; each holds the next one's in its first bytes.
	next   uint64 // Blocks that have been handed out at least once.
}

const (
	largestBlock = 64 << 10
	classCount   = 48
	largeClass   = 255
	runBytes     = 256 << 10
)

// NewHeap returns an empty heap.
func NewHeap(arena *Arena) *Heap {
	h := &Heap{arena: arena}
	for i := range h.classes {
		h.classes[i].size = classSize(i)
		h.classes[i].perRun = runBytes / h.classes[i].size
	}
	return h
}

// classSize and classOf: 8 16 24 32, then four to each power of two: 40 48 56 64 80 96 112 128 160 … All
// are multiples of 8, so that blocks are aligned for any value that is kept as a memory image.
func classSize(c int) int {
	if c < 4 {
		return (c + 1) << 3
	}
	return (5 + (c-4)&3) << ((c - 4) >> 2) << 3
}

func classOf(n int) int {
	words := uint(n+7) >> 3
	if words <= 4 {
		return int(words) - 1
	}
	k := bits.Len(words-1) - 3
	return k*4 + int((words-1)>>k)
}

// Put copies b into the heap. An empty b has no Ref.
func (h *Heap) Put(b []byte) Ref {
	if len(b) == 0 {
		return 0
	}
	ref := h.alloc(len(b))
	copy(h.Get(ref, len(b)), b)
	return ref
}

// Get returns the string that Put returned ref for; n is its length. The bytes may be changed in place.
func (h *Heap) Get(ref Ref, n int) []byte {
	if ref == 0 {
		return nil
	}
	if ref>>56 == largeClass {
		return h.large[uint32(ref)][:n]
	}
	return h.block(ref)[:n:n]
}

// Free gives the string's memory back. Freeing the zero Ref does nothing.
func (h *Heap) Free(ref Ref) {
	if ref == 0 {
		return
	}
	if ref>>56 == largeClass {
		h.used -= int64(len(h.large[uint32(ref)]))
		h.large[uint32(ref)] = nil
		h.spare = append(h.spare, uint32(ref))
		return
	}
	c := &h.classes[ref>>56]
	h.used -= int64(c.size)
	binary.LittleEndian.PutUint64(h.block(ref), c.free)
	c.free = uint64(ref)<<8>>8 + 1
}

// Bytes returns how much is in use, rounded up to blocks.
func (h *Heap) Bytes() int64 { return h.used }

func (h *Heap) alloc(n int) Ref {
	if n > largestBlock {
		h.used += int64(n)
		b := make([]byte, n)
		if last := len(h.spare) - 1; last >= 0 {
			number := h.spare[last]
			h.spare = h.spare[:last]
			h.large[number] = b
			return largeClass<<56 | Ref(number)
		}
		h.large = append(h.large, b)
		return largeClass<<56 | Ref(len(h.large)-1)
	}
	number := classOf(n)
	c := &h.classes[number]
	h.used += int64(c.size)
	if c.free != 0 {
		// Block 0 of class 0 must not be the zero Ref: refs count blocks from 1.
		ref := Ref(number)<<56 | Ref(c.free-1)
		c.free = binary.LittleEndian.Uint64(h.block(ref))
		return ref
	}
	if int(c.next) == len(c.runs)*c.perRun {
		c.runs = append(c.runs, h.arena.take(runBytes))
	}
	c.next++
	return Ref(number)<<56 | Ref(c.next)
}

// block returns the block that ref names, whole.
func (h *Heap) block(ref Ref) []byte {
	c := &h.classes[ref>>56]
	i := int(uint64(ref)<<8>>8) - 1
	at := i % c.perRun * c.size
	return c.runs[i/c.perRun][at : at+c.size]
}
