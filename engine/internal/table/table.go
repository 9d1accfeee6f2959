// SPDX-License-Identifier: Apache-2.0

package table

import (
	"encoding/binary"
	"unsafe"

	"github.com/millrace-io/millrace/engine/internal/invariant"
)

// Table holds the instances of one function type on one shard.
//
// The index is extendible hashing over segments of linear probing: a full segment is split in two, and
// only its own entries move. A tag of 32 bits finds everything: its upper bits the segment, its lower
// bits the place in it, all of them together tell entries apart before a row is looked at. The tag is a
// hash of the id with a secret seed: ids come from strangers, who can compute KeyHash, which is the same
// everywhere, and could otherwise pile up as many ids as they like in one place.
//
//	tag ── upper bits ──► directory ──► segment ── lower bits ──► entry (tag, slot) ──► row
type Table struct {
	arena  *Arena
	heap   *Heap
	stride int

	directory []*[segmentEntries]entry // By the upper depth bits of the tag.
	segments  []segment                // The same, with what lookups do not need.
	depth     uint
	shift     uint // 32 - depth

	slabs [][]byte
	free  Slot // The first free slot plus one; each holds the next one's in its first bytes.
	next  Slot // Slots that have been handed out at least once.
	count int
}

// Slot numbers an instance of a table.
type Slot uint32

// entry is a tag and, in the lower half, a slot plus one; 0 is empty.
type entry uint64

type segment struct {
	depth uint
	used  int
}

const (
	segmentBits    = 12
	segmentEntries = 1 << segmentBits
	segmentMask    = segmentEntries - 1
	// A segment is split when it is three quarters full: on average segments are then half to three
	// quarters full, that is 12 bytes of index for an instance, and a probe stays within a line or two.
	segmentUsedMax = segmentEntries * 3 / 4
	depthMax       = 32 - segmentBits

	slabBits = 12
	slabRows = 1 << slabBits
	slabMask = slabRows - 1
	// The first slab is short, because many types have few instances, and strangers can make types up. The
	// numbers of the slots that it does not have are left out.
	firstRows = 64
)

// nothing is the segment of all tables that have never had an instance. It is never written.
var nothing [segmentEntries]entry

// New returns an empty table whose rows have room for stateBytes of state.
func New(arena *Arena, heap *Heap, stateBytes int) *Table {
	const line = 64
	stride := (RowHead + stateBytes + line - 1) &^ (line - 1)
	t := &Table{arena: arena, heap: heap, stride: stride, shift: 32}
	t.directory = []*[segmentEntries]entry{&nothing}
	t.segments = []segment{{}}
	return t
}

func (t *Table) newSegment() *[segmentEntries]entry {
	b := t.arena.take(segmentEntries * 8)
	return (*[segmentEntries]entry)(unsafe.Pointer(&b[0]))
}

// Len returns the number of instances.
func (t *Table) Len() int { return t.count }

// Slots returns a number that every slot there has ever been is less than.
func (t *Table) Slots() int { return int(t.next) }

// Next returns the first slot at or after s that there can be.
func (t *Table) Next(s Slot) Slot {
	if s >= firstRows && s < slabRows {
		return slabRows
	}
	return s
}

// Row returns the row of a slot. It stays where it is until the slot is released.
func (t *Table) Row(s Slot) *Row {
	return (*Row)(unsafe.Pointer(&t.slabs[s>>slabBits][int(s&slabMask)*t.stride]))
}

// Place returns where the search for a tag begins. A shard fetches the places for many messages before it needs the
// first, so that their cache misses overlap.
func (t *Table) Place(tag Tag) unsafe.Pointer {
	return unsafe.Pointer(&t.directory[t.at(tag)][tag&segmentMask])
}

// Candidate returns the slot of the first entry with a tag. It is almost always the right one; the row tells. It
// looks at no row, so that those of many messages can then be fetched together.
func (t *Table) Candidate(tag Tag) (s Slot, ok bool) {
	if e := t.directory[t.at(tag)][tag&segmentMask]; Tag(e>>32) == tag && e != 0 {
		return Slot(uint32(e)) - 1, true
	}
	return t.further(tag)
}

func (t *Table) further(tag Tag) (s Slot, ok bool) {
	entries := t.directory[t.at(tag)]
	for i := tag & segmentMask; ; i = (i + 1) & segmentMask {
		e := entries[i]
		if e == 0 {
			return 0, false
		}
		if Tag(e>>32) == tag {
			return Slot(uint32(e)) - 1, true
		}
	}
}

// at returns the place of a tag's segment in the directory. A shift by 32 must give 0, so it is done in
// 64 bits; the mask spares the compiler a comparison.
func (t *Table) at(tag Tag) uint64 { return uint64(tag) >> (t.shift & 63) }

// Find returns the slot of the instance with the key.
func (t *Table) Find(k *Key) (s Slot, ok bool) {
	tag := k.Tag
	entries := t.directory[t.at(tag)]
	for i := tag & segmentMask; ; i = (i + 1) & segmentMask {
		e := entries[i]
		if e == 0 {
			return 0, false
		}
		if Tag(e>>32) == tag {
			s = Slot(uint32(e)) - 1
			if t.matches(t.Row(s), k) {
				return s, true
			}
		}
	}
}

// Insert adds the instance with the key, which must not be there, and returns its slot. Its flags,
// presence and state are zero.
func (t *Table) Insert(k *Key) Slot {
	tag := k.Tag
	if t.directory[0] == &nothing {
		t.directory[0] = t.newSegment()
	}
	for t.segments[t.at(tag)].used >= segmentUsedMax && t.split(tag) {
	}
	s := t.takeSlot()
	r := t.Row(s)
	r.Hash = k.Hash
	t.setID(r, k)
	d := t.at(tag)
	place(t.directory[d], tag, s)
	t.each(d, func(m *segment) { m.used++ })
	t.count++
	return s
}

// Release removes an instance, by its slot and its tag. The slot may be handed out again at once.
func (t *Table) Release(s Slot, tag Tag) {
	r := t.Row(s)
	d := t.at(tag)
	remove(t.directory[d], tag, s)
	t.each(d, func(m *segment) { m.used-- })
	if r.idLen > 16 {
		t.heap.Free(Ref(binary.LittleEndian.Uint64(r.id[:8])))
	}
	row := t.slabs[s>>slabBits][int(s&slabMask)*t.stride:][:t.stride]
	clear(row)
	binary.LittleEndian.PutUint32(row, uint32(t.free))
	t.free = s + 1
	t.count--
}

func (t *Table) takeSlot() Slot {
	if t.free != 0 {
		s := t.free - 1
		row := t.slabs[s>>slabBits][int(s&slabMask)*t.stride:][:8]
		t.free = Slot(binary.LittleEndian.Uint32(row))
		clear(row)
		return s
	}
	switch {
	case len(t.slabs) == 0:
		t.slabs = append(t.slabs, t.arena.take(firstRows*t.stride))
	case int(t.next) == firstRows:
		t.next = slabRows
		fallthrough
	case int(t.next) == len(t.slabs)*slabRows:
		t.slabs = append(t.slabs, t.arena.take(slabRows*t.stride))
	}
	t.next++
	return t.next - 1
}

// place writes an entry into the first empty place. There is one: segments are split before they fill.
func place(entries *[segmentEntries]entry, tag Tag, s Slot) {
	i := tag & segmentMask
	for entries[i] != 0 {
		i = (i + 1) & segmentMask
	}
	entries[i] = entry(tag)<<32 | entry(s+1)
}

// remove takes an entry out and closes the gap: it moves back whatever a search would no longer reach.
func remove(entries *[segmentEntries]entry, tag Tag, s Slot) {
	want := entry(tag)<<32 | entry(s+1)
	gap := tag & segmentMask
	for entries[gap] != want {
		gap = (gap + 1) & segmentMask
	}
	for i := (gap + 1) & segmentMask; entries[i] != 0; i = (i + 1) & segmentMask {
		home := Tag(entries[i]>>32) & segmentMask
		if (i-home)&segmentMask >= (i-gap)&segmentMask {
			entries[gap] = entries[i]
			gap = i
		}
	}
	entries[gap] = 0
}

// split divides the segment of tag by the next bit of its tags. It reports false when there is no such
// bit: then the segment fills up to its last place but one and takes no more.
func (t *Table) split(tag Tag) bool {
	d := t.at(tag)
	old := t.segments[d]
	if old.depth == depthMax {
		if old.used >= segmentEntries-1 {
			invariant.Failf("table: more than four thousand instances of one function type share 20 bits of their tag")
		}
		return false
	}
	if old.depth == t.depth {
		t.double()
		d = t.at(tag)
	}
	left, right := t.directory[d], t.newSegment()
	splitting := &t.arena.splitting
	*splitting = *left
	clear(left[:])
	var leftUsed, rightUsed int
	bit := Tag(1) << (31 - old.depth)
	for _, e := range splitting {
		switch etag := Tag(e >> 32); {
		case e == 0:
		case etag&bit == 0:
			place(left, etag, Slot(uint32(e))-1)
			leftUsed++
		default:
			place(right, etag, Slot(uint32(e))-1)
			rightUsed++
		}
	}
	first, n := t.share(d)
	for i := first; i < first+n; i++ {
		if i < first+n/2 {
			t.directory[i], t.segments[i] = left, segment{depth: old.depth + 1, used: leftUsed}
		} else {
			t.directory[i], t.segments[i] = right, segment{depth: old.depth + 1, used: rightUsed}
		}
	}
	return true
}

func (t *Table) double() {
	directory := make([]*[segmentEntries]entry, 2*len(t.directory))
	segments := make([]segment, 2*len(t.segments))
	for i := range t.directory {
		directory[2*i], directory[2*i+1] = t.directory[i], t.directory[i]
		segments[2*i], segments[2*i+1] = t.segments[i], t.segments[i]
	}
	t.directory, t.segments = directory, segments
	t.depth++
	t.shift--
}

// share returns which places of the directory show the same segment as place d.
func (t *Table) share(d uint64) (first, n uint64) {
	n = 1 << (t.depth - t.segments[d].depth)
	return d &^ (n - 1), n
}

// each applies f to the records of d's segment in every place of the directory that shows it.
func (t *Table) each(d uint64, f func(*segment)) {
	first, n := t.share(d)
	for i := first; i < first+n; i++ {
		f(&t.segments[i])
	}
}
