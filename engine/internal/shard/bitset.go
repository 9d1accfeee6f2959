// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"math/bits"

	"github.com/millrace-io/millrace/engine/internal/table"
)

// bitset marks slots. Slots are dense, so a plain bitset is smaller than a roaring bitmap wherever more
// than a sixteenth of them is dirty, and setting a bit costs a nanosecond instead of thirty
// (docs/adr/0006-dirty-set.md).
type bitset struct {
	words []uint64
	any   bool
}

func (b *bitset) set(s table.Slot) {
	for int(s>>6) >= len(b.words) {
		b.words = append(b.words, 0)
	}
	b.words[s>>6] |= 1 << (s & 63)
	b.any = true
}

// takeFrom removes and returns the first slot at or after word i, and where to go on.
func (b *bitset) takeFrom(i int) (s table.Slot, next int, ok bool) {
	for ; i < len(b.words); i++ {
		if w := b.words[i]; w != 0 {
			b.words[i] = w & (w - 1)
			return table.Slot(i<<6 + bits.TrailingZeros64(w)), i, true
		}
	}
	b.any = false
	return 0, i, false
}
