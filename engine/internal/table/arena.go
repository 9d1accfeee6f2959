// SPDX-License-Identifier: Apache-2.0

// Package table is a shard's memory: the instances of each function type in slabs, the index that finds
// them, and a heap for bytes. It holds no pointers that the garbage collector has to follow, so that
// ten million idle instances cost it nothing, and it never moves or rehashes more than a few thousand
// entries at once, so that growing stops nobody.
//
// Everything here belongs to one goroutine. Instances are named by slot numbers, which stay the same
// for as long as the instance exists.
package table

// Arena hands out memory for the life of a shard, in pieces of a large region, so that huge pages can
// serve it. Nothing is given back: what is freed is reused by the table or heap that it belonged to.
type Arena struct {
	more func(bytes int) []byte
	free []byte
	used int64

	splitting [segmentEntries]entry // Scratch of the tables: the segment that is being split.
}

// regionBytes is what is asked for at once. A multiple of the common huge page.
const regionBytes = 4 << 20

// NewArena returns an arena on top of more, which returns zeroed memory aligned to a cache line.
func NewArena(more func(bytes int) []byte) *Arena { return &Arena{more: more} }

// take returns n zeroed bytes aligned to a cache line. n is a multiple of 64.
func (a *Arena) take(n int) []byte {
	a.used += int64(n)
	if n > regionBytes/4 {
		return a.more(n)
	}
	if len(a.free) < n {
		a.free = a.more(regionBytes)
	}
	b := a.free[:n:n]
	a.free = a.free[n:]
	return b
}

// Bytes returns how much has been handed out.
func (a *Arena) Bytes() int64 { return a.used }
