// SPDX-License-Identifier: Apache-2.0

// Package dirtyset compares ways to remember which slots an epoch has changed; docs/adr/0006-dirty-set.md
// quotes it.
package dirtyset

import (
	"math/rand/v2"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"
)

const slots = 1_000_000

// draws is a random slot for each message, drawn beforehand.
var draws = func() []uint32 {
	r := rand.New(rand.NewPCG(1, 2))
	d := make([]uint32, 1<<20)
	for i := range d {
		d[i] = r.Uint32N(slots)
	}
	return d
}()

// BenchmarkDirtySet marks a random slot and, once per epoch of as many marks, walks and empties the set.
func BenchmarkDirtySet(b *testing.B) {
	b.Run("set=roaring", func(b *testing.B) {
		set := roaring.New()
		for i := 0; b.Loop(); i++ {
			set.Add(draws[i%len(draws)])
			if i%len(draws) == len(draws)-1 {
				set.Iterate(func(s uint32) bool { walked += uint64(s); return true })
				set.Clear()
			}
		}
	})
	b.Run("set=bits", func(b *testing.B) {
		words := make([]uint64, slots/64+1)
		for i := 0; b.Loop(); i++ {
			s := draws[i%len(draws)]
			words[s>>6] |= 1 << (s & 63)
			if i%len(draws) == len(draws)-1 {
				for w := range words {
					for ; words[w] != 0; words[w] &= words[w] - 1 {
						walked += uint64(w)
					}
				}
			}
		}
	})
	b.Run("set=list", func(b *testing.B) {
		list := make([]uint32, 0, len(draws))
		for i := 0; b.Loop(); i++ {
			if list = append(list, draws[i%len(draws)]); len(list) == cap(list) {
				for _, s := range list {
					walked += uint64(s)
				}
				list = list[:0]
			}
		}
	})
}

var walked uint64
