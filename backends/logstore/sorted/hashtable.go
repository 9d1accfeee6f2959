// SPDX-License-Identifier: Apache-2.0

package sorted

import (
	"encoding/binary"
	"hash/maphash"
	"math"
	"slices"

	"github.com/millrace-io/millrace/engine/backend"
)

// table keeps the latest change of each key of one key group: an index of slots, and an arena in which the
// entries lie one behind the other. Neither has pointers in it, so that the garbage collector does not walk
// over millions of entries. A slot is empty, or 24 bits of the key's hash and the place of its entry. An entry
// is three numbers, key and room for the value:
//
//	key bytes | room bytes | value bytes, or deleted, or dead | key | value, unused room
//
// A value that fits its room, and does not waste it, is overwritten. Otherwise the entry is dead, and another one
// appended; once half of the arena is dead, the living are moved together.
type table struct {
	slots []uint64 // A power of two of them, at most three quarters used.
	used  int
	arena []byte
	dead  int // Bytes of dead entries.
	gone  int // Entries that are deletes.
}

const (
	placeBits = 40

	entryBytes   = 12
	deletedValue = math.MaxUint32
	deadValue    = math.MaxUint32 - 1
	arenaStart   = 1 // No entry has place 0, so that an empty slot is 0.
	slotsMin     = 64
)

// warm reads the table from one end to the other.
func (t *table) warm() (sum byte) {
	const line = 64
	for i := 0; i < len(t.slots); i += line / 8 {
		sum += byte(t.slots[i])
	}
	for i := 0; i < len(t.arena); i += line {
		sum += t.arena[i]
	}
	return sum
}

func (t *table) bytes() int64 { return int64(cap(t.arena)) + int64(len(t.slots))*8 }

// put puts an entry, which is not in the arena and has no unused room.
func (t *table) put(seed maphash.Seed, e entry) {
	if (t.used+1)*4 > len(t.slots)*3 || t.dead*2 > len(t.arena)+4096 {
		t.rebuild(seed)
	}
	hash := maphash.Bytes(seed, e.key())
	slot, at := t.find(hash, e.key())
	if e.deleted() {
		t.gone++
	}
	if at == 0 {
		t.used++
		t.slots[slot] = hash>>placeBits<<placeBits | uint64(len(t.arena))
		t.arena = append(grow(t.arena, len(e)), e...)
		return
	}
	old := t.entry(at)
	if old.deleted() {
		t.gone--
	}
	if old.overwrite(e) {
		return
	}
	t.dead += old.kill()
	t.slots[slot] = hash>>placeBits<<placeBits | uint64(len(t.arena))
	c := e.change()
	t.arena = appendEntry(t.arena, &c, len(c.Value)+len(c.Value)/2) // What has changed its length will do so again.
}

// find returns the slot of a key and the place of its entry, or the slot that it would take and 0.
func (t *table) find(hash uint64, key []byte) (slot int, at uint64) {
	mask := uint64(len(t.slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		s := t.slots[i]
		if s == 0 {
			return int(i), 0
		}
		if s>>placeBits == hash>>placeBits {
			if at = placeOf(s); string(t.entry(at).key()) == string(key) {
				return int(i), at
			}
		}
	}
}

func placeOf(slot uint64) (at uint64) { return slot & (1<<placeBits - 1) }

func (t *table) get(seed maphash.Seed, key []byte) (c backend.Change, ok bool) {
	if t.used == 0 {
		return backend.Change{}, false
	}
	_, at := t.find(maphash.Bytes(seed, key), key)
	if at == 0 {
		return backend.Change{}, false
	}
	return t.entry(at).change(), true
}

// rebuild moves the living entries together and makes the index anew, half as full as it may be.
func (t *table) rebuild(seed maphash.Seed) {
	slots := max(slotsMin, len(t.slots))
	for slots*3 < (t.used+1)*8 {
		slots *= 2
	}
	if slots > len(t.slots) {
		t.slots = make([]uint64, slots)
	} else {
		clear(t.slots)
	}
	from := t.arena
	if living := len(t.arena) - t.dead; cap(t.arena) > 4*living+slotsMin*entryBytes {
		t.arena = make([]byte, 0, 2*living)
	}
	t.arena, t.dead = append(t.arena[:0], make([]byte, arenaStart)...), 0
	mask := uint64(slots - 1)
	for at := arenaStart; at < len(from); {
		e := entry(from[at:])
		e = e[:e.bytes()]
		at += len(e)
		if e.dead() {
			continue
		}
		hash := maphash.Bytes(seed, e.key())
		i := hash & mask
		for t.slots[i] != 0 {
			i = (i + 1) & mask
		}
		t.slots[i] = hash>>placeBits<<placeBits | uint64(len(t.arena))
		t.arena = append(t.arena, e...) // Not in front of where it was, so what is still to be moved stays.
	}
}

// sparse reports whether the table has much more memory than it uses.
func (t *table) sparse() bool {
	return t.used == 0 || len(t.slots) > 8*t.used || cap(t.arena) > 4*len(t.arena)
}

// empty takes all entries away and keeps the memory.
func (t *table) empty() {
	clear(t.slots)
	*t = table{slots: t.slots, arena: t.arena[:arenaStart]}
}

// sorted appends the places of the living entries in the order of their keys.
func (t *table) sorted(order []ordered) []ordered {
	for at := uint64(arenaStart); at < uint64(len(t.arena)); {
		e := t.entry(at)
		if !e.dead() {
			order = append(order, ordered{at: at})
		}
		at += uint64(e.bytes())
	}
	t.sort(order, 0)
	return order
}

// entry is the memory from the beginning of an entry on.
type entry []byte

func (t *table) entry(at uint64) entry { return t.arena[at:] }

// grow makes room for n more bytes, and then for as many as there are: append moves long slices five times as often.
func grow(b []byte, n int) []byte {
	if n > cap(b)-len(b) {
		b = slices.Grow(b, max(n, len(b)))
	}
	return b
}

// appendEntry appends an entry with room for a value.
func appendEntry(dst []byte, c *backend.Change, room int) []byte {
	n := entryBytes + len(c.Key) + room
	dst = grow(dst, n)
	e := entry(dst[len(dst) : len(dst)+n])
	value := uint32(len(c.Value))
	if c.Delete {
		value = deletedValue
	}
	binary.LittleEndian.PutUint32(e, uint32(len(c.Key)))
	binary.LittleEndian.PutUint32(e[4:], uint32(room))
	binary.LittleEndian.PutUint32(e[8:], value)
	copy(e[entryBytes:], c.Key)
	end := entryBytes + len(c.Key) + copy(e[entryBytes+len(c.Key):], c.Value)
	if end < n {
		clear(e[end:])
	}
	return dst[:len(dst)+n]
}

func (e entry) keyBytes() int { return int(binary.LittleEndian.Uint32(e)) }

func (e entry) room() int { return int(binary.LittleEndian.Uint32(e[4:])) }

// state is the length of the value, or deletedValue, or deadValue.
func (e entry) state() uint32 { return binary.LittleEndian.Uint32(e[8:]) }

func (e entry) setState(v uint32) { binary.LittleEndian.PutUint32(e[8:], v) }

func (e entry) bytes() int { return entryBytes + e.keyBytes() + e.room() }

func (e entry) key() []byte {
	to := entryBytes + e.keyBytes()
	return e[entryBytes:to:to]
}

// value returns the value of an entry that is alive; none when it is deleted.
func (e entry) value() []byte {
	if e.deleted() {
		return nil
	}
	from := entryBytes + e.keyBytes()
	to := from + int(e.state())
	return e[from:to:to]
}

func (e entry) change() (c backend.Change) {
	c.Key, c.Value, c.Delete = e.key(), e.value(), e.deleted()
	return c
}

func (e entry) deleted() bool { return e.state() == deletedValue }

func (e entry) dead() bool { return e.state() == deadValue }

func (e entry) kill() (bytes int) {
	e.setState(deadValue)
	return e.bytes()
}

// overwrite takes over the value of an entry of the same key, if there is room and not far too much of it.
func (e entry) overwrite(by entry) bool {
	value, room := by.value(), e.room()
	if len(value) > room || room > 2*len(value)+64 {
		return false
	}
	e.setState(by.state())
	copy(e[entryBytes+e.keyBytes():], value)
	return true
}
