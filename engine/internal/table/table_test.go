// SPDX-License-Identifier: Apache-2.0

package table

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"unsafe"

	"pgregory.net/rapid"

	"github.com/millrace-io/millrace/engine/internal/invariant"
	"github.com/millrace-io/millrace/engine/statefun"
)

// ident is what tells instances apart.
type ident struct {
	hash uint64
	id   string
}

func (i ident) key() *Key {
	k := &Key{Hash: i.hash, Tag: Tag(i.hash), ID: []byte(i.id), Inline: len(i.id) <= 16}
	if k.Inline {
		var padded [16]byte
		copy(padded[:], i.id)
		k.Lo, k.Hi = binary.LittleEndian.Uint64(padded[:8]), binary.LittleEndian.Uint64(padded[8:])
	}
	return k
}

// model is a table beside the map that it must agree with. Each instance has marks of its own in its
// row, which nothing that happens to others may change.
type model struct {
	t     *rapid.T
	table *Table
	state int
	slots map[ident]Slot
	order []ident // The map's keys, in an order that replays.
}

func newModel(t *rapid.T, state int) *model {
	arena := NewArena(func(n int) []byte { return make([]byte, n) })
	return &model{t: t, table: New(arena, NewHeap(arena), state), state: state, slots: map[ident]Slot{}}
}

func (m *model) bytes(r *Row) []byte { return unsafe.Slice((*byte)(r.State()), m.state) }

func (m *model) marks(i ident) (flags Flags, present uint32, fill byte) {
	h := statefun.KeyHash(i.id) ^ i.hash*3
	return Flags(h) | 1, uint32(h>>8) | 1, byte(h>>40) | 1
}

func (m *model) insert(i ident) {
	if _, there := m.slots[i]; there {
		m.find(i)
		return
	}
	slots := m.table.Slots()
	s := m.table.Insert(i.key())
	if slots == firstRows && int(s) >= slots {
		slots = slabRows // The numbers that the short first slab leaves out.
	}
	if int(s) >= m.table.Slots() || m.table.Slots() > slots+1 {
		m.t.Fatalf("Insert(%v) = slot %d; there were %d and are %d", i, s, slots, m.table.Slots())
	}
	r := m.table.Row(s)
	if r.Hash != i.hash || string(m.table.ID(r)) != i.id || r.IDLen() != len(i.id) {
		m.t.Fatalf("the row of %v says it is %x, %q", i, r.Hash, m.table.ID(r))
	}
	if r.Flags != 0 || r.Present != 0 || !bytes.Equal(m.bytes(r), make([]byte, m.state)) {
		m.t.Fatalf("the row of %v is not zero: flags %x, present %x, state %x", i, r.Flags, r.Present, m.bytes(r))
	}
	if uintptr(r.State())%8 != 0 {
		m.t.Fatalf("the state of %v lies at %p", i, r.State())
	}
	var fill byte
	r.Flags, r.Present, fill = m.marks(i)
	for j := range m.bytes(r) {
		m.bytes(r)[j] = fill
	}
	m.slots[i] = s
	m.order = append(m.order, i)
}

func (m *model) find(i ident) {
	want, there := m.slots[i]
	s, ok := m.table.Find(i.key())
	if ok != there || s != want {
		m.t.Fatalf("Find(%v) = %d, %v; want %d, %v", i, s, ok, want, there)
	}
	first, any := m.table.Candidate(Tag(i.hash))
	if there && !any {
		m.t.Fatalf("Candidate(%x) finds nothing; %v is there", i.hash, i)
	}
	if any && uint32(m.table.Row(first).Hash) != uint32(i.hash) {
		m.t.Fatalf("Candidate(%x) is a row with the hash %x", i.hash, m.table.Row(first).Hash)
	}
	if k := i.key(); any && k.Inline && m.table.Row(first).IsInline(k.Hash, k.Lo, k.Hi, len(k.ID)) != (there && first == want) {
		m.t.Fatalf("IsInline(slot %d, %v) is wrong; it lies in slot %d, %v", first, i, want, there)
	}
}

func (m *model) release(n int) {
	i := m.order[n]
	m.table.Release(m.slots[i], Tag(i.hash))
	delete(m.slots, i)
	m.order[n] = m.order[len(m.order)-1]
	m.order = m.order[:len(m.order)-1]
	m.find(i)
}

func (m *model) check() {
	used := 0
	for d, entries := range m.table.directory {
		if d == 0 || entries != m.table.directory[d-1] {
			used = 0
			for _, e := range entries {
				if e != 0 {
					used++
				}
			}
		}
		if got := m.table.segments[d].used; got != used {
			m.t.Fatalf("place %d of the directory shows %d entries; its segment has %d", d, got, used)
		}
	}
	if m.table.Len() != len(m.slots) {
		m.t.Fatalf("Len() = %d; want %d", m.table.Len(), len(m.slots))
	}
	for _, i := range m.order {
		m.find(i)
		r := m.table.Row(m.slots[i])
		flags, present, fill := m.marks(i)
		if r.Flags != flags || r.Present != present || !bytes.Equal(m.bytes(r), bytes.Repeat([]byte{fill}, m.state)) {
			m.t.Fatalf("the row of %v was changed: flags %x, present %x, state %x", i, r.Flags, r.Present, m.bytes(r))
		}
	}
}

// A table is a map from hash and id to a slot that does not move. Hashes are drawn so that they collide
// in every way: in the whole hash, in the tag, in the segment, in the place within it.
func TestTableModel(t *testing.T) {
	hashes := rapid.Custom(func(t *rapid.T) uint64 {
		tag := rapid.SampledFrom([]uint64{0, 1, 0xfff, 0xfffff000, 0x12345fff}).Draw(t, "tag")
		return tag | rapid.SampledFrom([]uint64{0, 1}).Draw(t, "upper")<<32
	})
	alike := []string{"a", "a\x00", strings.Repeat("i", 15), strings.Repeat("i", 16), strings.Repeat("i", 17)}
	ids := rapid.OneOf(
		rapid.SampledFrom(alike),
		rapid.SampledFrom(alike),
		rapid.StringN(1, 3, 8),
		rapid.Map(rapid.IntRange(17, 4096), func(n int) string { return strings.Repeat("n", n) }),
	)
	idents := rapid.Custom(func(t *rapid.T) ident { return ident{hashes.Draw(t, "hash"), ids.Draw(t, "id")} })
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t, rapid.SampledFrom([]int{0, 8, 32, 40, 300}).Draw(t, "state bytes"))
		grown := 0
		t.Repeat(map[string]func(*rapid.T){
			"insert": func(t *rapid.T) { m.insert(idents.Draw(t, "instance")) },
			"find":   func(t *rapid.T) { m.find(idents.Draw(t, "instance")) },
			"release": func(t *rapid.T) {
				if len(m.order) > 0 {
					m.release(rapid.IntRange(0, len(m.order)-1).Draw(t, "which"))
				}
			},
			// Enough to split segments, spread over all of the index or crowded into a corner of it.
			"grow": func(t *rapid.T) {
				if grown++; grown > 3 {
					return
				}
				corner := rapid.SampledFrom([]uint64{0, 0xff000000, 0x12340000}).Draw(t, "corner")
				for n := range rapid.IntRange(1, 6000).Draw(t, "instances") {
					id := fmt.Sprintf("grown-%d-%d", grown, n)
					hash := statefun.KeyHash(id)
					if corner != 0 {
						hash = hash&^0xffff0000 | corner
					}
					m.insert(ident{hash, id})
				}
			},
			"shrink": func(t *rapid.T) {
				for n := range rapid.IntRange(0, len(m.order)).Draw(t, "instances") {
					m.release(n * 31 % len(m.order))
				}
			},
			"check": func(*rapid.T) { m.check() },
		})
		m.check()
	})
}

// The index ends where 20 bits of a hash no longer tell instances apart: a place stays free in every
// segment, because a search ends there.
func TestTableFull(t *testing.T) {
	for _, tt := range []struct {
		name string
		hash func(n int) uint64
	}{
		{"one segment", func(n int) uint64 { return 0xabcde000 | uint64(n)<<32 | uint64(n)&segmentMask }},
		{"one hash", func(int) uint64 { return 0xabcdefff }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			arena := NewArena(func(n int) []byte { return make([]byte, n) })
			table := New(arena, NewHeap(arena), 0)
			at := func(n int) *Key { return ident{tt.hash(n), fmt.Sprint(n)}.key() }
			for n := range segmentEntries - 1 {
				table.Insert(at(n))
			}
			for n := range segmentEntries - 1 {
				want := Slot(n)
				if n >= firstRows { // Behind the numbers that the short first slab leaves out.
					want += slabRows - firstRows
				}
				if s, ok := table.Find(at(n)); !ok || s != want {
					t.Fatalf("Find(instance %d) = %d, %v", n, s, ok)
				}
			}
			if s, ok := table.Find(at(segmentEntries)); ok {
				t.Fatalf("found instance %d, which is not there, in slot %d", segmentEntries, s)
			}
			defer func() {
				if p, ok := recover().(invariant.Broken); !ok {
					t.Errorf("one instance more went in, or %v", p)
				}
			}()
			table.Insert(at(segmentEntries))
		})
	}
}

// A table of a fixed number of instances whose members change takes no further memory.
func TestTableReuse(t *testing.T) {
	arena := NewArena(func(n int) []byte { return make([]byte, n) })
	table := New(arena, NewHeap(arena), 100)
	var slots []Slot
	at := func(n int) *Key {
		id := fmt.Sprintf("an id that does not fit into its row: %d", n)
		return ident{statefun.KeyHash(id), id}.key()
	}
	const live = 1000
	for n := range live {
		slots = append(slots, table.Insert(at(n)))
	}
	before, rows := arena.Bytes(), table.Slots()
	for n := live; n < 50*live; n++ {
		table.Release(slots[n%live], at(n-live).Tag)
		slots[n%live] = table.Insert(at(n))
	}
	if arena.Bytes() != before || table.Slots() != rows || table.Len() != live {
		t.Errorf("%d bytes, %d slots, %d instances; want %d, %d, %d", arena.Bytes(), table.Slots(), table.Len(), before, rows, live)
	}
}

// A table without instances takes no memory of the arena, and one with few takes little: types can be made up
// by strangers.
func TestTableOfFewIsSmall(t *testing.T) {
	arena := NewArena(func(n int) []byte { return make([]byte, n) })
	table := New(arena, NewHeap(arena), 24)
	if n := arena.Bytes(); n != 0 {
		t.Errorf("an empty table takes %d bytes", n)
	}
	if _, ok := table.Find(ident{1, "absent"}.key()); ok {
		t.Error("there is an instance in an empty table")
	}
	for n := range firstRows {
		table.Insert(ident{uint64(n), fmt.Sprint(n)}.key())
	}
	if n := arena.Bytes(); n > 40<<10 {
		t.Errorf("%d instances take %d bytes", firstRows, n)
	}
}
