// SPDX-License-Identifier: Apache-2.0

package shard

import "math/bits"

// bitset marks slots of a table, or records of the store. They are dense, so a plain bitset is smaller than a roaring bitmap wherever more
// than a sixteenth of them is dirty, and setting a bit costs a nanosecond instead of thirty
// (docs/adr/0006-dirty-set.md).
type bitset struct {
	words []uint64
	any   bool
}

func (b *bitset) set(s uint32) {
	for int(s>>6) >= len(b.words) {
		b.words = append(b.words, 0)
	}
	b.words[s>>6] |= 1 << (s & 63)
	b.any = true
}

// clear takes a slot out and reports whether it was in.
func (b *bitset) clear(s uint32) bool {
	if int(s>>6) >= len(b.words) || b.words[s>>6]&(1<<(s&63)) == 0 {
		return false
	}
	b.words[s>>6] &^= 1 << (s & 63)
	return true
}

// has reports whether a slot is in.
func (b *bitset) has(s uint32) bool { return b.word(int(s>>6))&(1<<(s&63)) != 0 }

// word returns which of the slots from 64*i on are in.
func (b *bitset) word(i int) uint64 {
	if i >= len(b.words) {
		return 0
	}
	return b.words[i]
}

// take removes the first slots at or after word i into slots, and returns how many there were and the word
// to go on from. None means that the set is empty from there on.
func (b *bitset) take(i int, slots []uint32) (n, next int) {
	for ; i < len(b.words); i++ {
		w := b.words[i]
		for ; w != 0; w &= w - 1 {
			if n == len(slots) {
				b.words[i] = w
				return n, i
			}
			slots[n] = uint32(i<<6 + bits.TrailingZeros64(w))
			n++
		}
		b.words[i] = 0
	}
	b.any = n > 0
	return n, i
}
