// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"encoding/binary"
	"math"
	"slices"
	"sync/atomic"
)

// table holds the entries of one key group: an index of slots, and an arena in which the entries lie one
// behind the other. It holds no pointers, so that the garbage collector does not walk over millions
// of entries. A map from string to bytes makes it do that, and takes nearly twice the memory (120
// against 65 bytes for a key of 18 and a value of 12).
//
// A slot is empty, gone, or 24 bits of the key's hash and the place of its entry in the arena. Slots are
// probed in sequence. A slot that is gone held a key that was deleted: probing goes on behind it.
//
// An entry is three 32-bit numbers, key and room for the value:
//
//	key bytes | room bytes | value bytes, or dead | key | value, unused room
//
// A value that fits its room, and does not waste it, is overwritten. Otherwise the entry is dead and
// another is appended; once half of the arena is dead, or the index is full, the table is rebuilt.
type table struct {
	hash  func(key []byte) uint64
	slots []uint64 // A power of two of them.
	arena []byte
	used  int // Slots that are not empty.
	live  int // Slots that are not empty or gone.
	dead  int // Bytes of dead entries.

	scans atomic.Int32 // How many scans read this table; while there are any, nobody writes to it.
}

const (
	emptySlot = 0
	goneSlot  = 1
	placeBits = 40 // A terabyte in one key group.

	arenaStart  = 2 // Behind the values of slots that have no place.
	headerBytes = 12
	deadValue   = math.MaxUint32

	// fieldBytesMax bounds a key and a value, so that their lengths, with the room to grow, fit 32 bits.
	fieldBytesMax = math.MaxInt32
	slotsMin      = 8
)

func newTable(hash func(key []byte) uint64) *table {
	return &table{hash: hash, slots: make([]uint64, slotsMin), arena: make([]byte, arenaStart)}
}

func (t *table) clone() *table {
	return &table{
		hash: t.hash, slots: slices.Clone(t.slots), arena: slices.Clone(t.arena),
		used: t.used, live: t.live, dead: t.dead,
	}
}

// find returns the slot of a key and the place of its entry, or the slot that it would take and 0.
func (t *table) find(hash uint64, key []byte) (slot int, at uint64) {
	mask := uint64(len(t.slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		switch s := t.slots[i]; {
		case s == emptySlot:
			return int(i), 0
		case s == goneSlot || s>>placeBits != hash>>placeBits:
		default:
			if at = place(s); string(t.key(at)) == string(key) {
				return int(i), at
			}
		}
	}
}

// probable returns where the entry of a key most probably lies: somewhere in the arena.
func (t *table) probable(hash uint64) (at uint64) {
	return place(t.slots[hash&uint64(len(t.slots)-1)])
}

func place(slot uint64) (at uint64) { return slot & (1<<placeBits - 1) }

func (t *table) put(hash uint64, key, value []byte) {
	slot, at := t.find(hash, key)
	room := len(value)
	switch {
	case at == 0:
		t.used++
		t.live++
	case t.overwrite(at, value):
		return
	default:
		t.kill(at)
		room += room / 2 // What has changed its length will do so again.
	}
	t.slots[slot] = hash>>placeBits<<placeBits | uint64(len(t.arena))
	t.append(key, value, room)
	t.tidy()
}

func (t *table) delete(hash uint64, key []byte) {
	slot, at := t.find(hash, key)
	if at == 0 {
		return
	}
	t.kill(at)
	t.slots[slot] = goneSlot
	t.live--
	t.tidy()
}

func (t *table) append(key, value []byte, room int) {
	t.arena = binary.LittleEndian.AppendUint32(t.arena, uint32(len(key)))
	t.arena = binary.LittleEndian.AppendUint32(t.arena, uint32(room))
	t.arena = binary.LittleEndian.AppendUint32(t.arena, uint32(len(value)))
	t.arena = append(t.arena, key...)
	t.arena = append(t.arena, value...)
	t.arena = append(t.arena, make([]byte, room-len(value))...)
}

// header returns the numbers of the entry at a place.
func (t *table) header(at uint64) (keyBytes, room uint64, valueBytes uint32) {
	h := t.arena[at : at+headerBytes]
	return uint64(binary.LittleEndian.Uint32(h)), uint64(binary.LittleEndian.Uint32(h[4:])), binary.LittleEndian.Uint32(h[8:])
}

func (t *table) key(at uint64) []byte {
	from := at + headerBytes
	to := from + uint64(binary.LittleEndian.Uint32(t.arena[at:]))
	return t.arena[from:to:to]
}

func (t *table) value(at uint64) []byte {
	keyBytes, _, valueBytes := t.header(at)
	from := at + headerBytes + keyBytes
	to := from + uint64(valueBytes)
	return t.arena[from:to:to]
}

// overwrite writes a value over the one at a place, if there is room and not far too much of it.
func (t *table) overwrite(at uint64, value []byte) bool {
	keyBytes, room, _ := t.header(at)
	if n := uint64(len(value)); n > room || room > 2*n+64 {
		return false
	}
	binary.LittleEndian.PutUint32(t.arena[at+8:], uint32(len(value)))
	copy(t.arena[at+headerBytes+keyBytes:], value)
	return true
}

func (t *table) kill(at uint64) {
	keyBytes, room, _ := t.header(at)
	binary.LittleEndian.PutUint32(t.arena[at+8:], deadValue)
	t.dead += int(headerBytes + keyBytes + room)
}

// first returns the place of the first live entry of the arena, next that of the one behind another, 0
// when there is none.
func (t *table) first() (at uint64) { return t.alive(arenaStart) }

func (t *table) next(at uint64) uint64 {
	keyBytes, room, _ := t.header(at)
	return t.alive(at + headerBytes + keyBytes + room)
}

func (t *table) alive(at uint64) uint64 {
	for at < uint64(len(t.arena)) {
		keyBytes, room, valueBytes := t.header(at)
		if valueBytes != deadValue {
			return at
		}
		at += headerBytes + keyBytes + room
	}
	return 0
}

// tidy rebuilds the table when three quarters of its slots are used or half of its arena is dead. Its
// entries keep their order: shards commit theirs in much the same order in every epoch, and reading
// ahead in the arena is then reading what comes next.
func (t *table) tidy() {
	if t.used*4 <= len(t.slots)*3 && t.dead*2 <= len(t.arena)+1024 {
		return
	}
	slots := slotsMin
	for slots < t.live*2 {
		slots *= 2
	}
	fresh := &table{hash: t.hash, slots: make([]uint64, slots), arena: make([]byte, arenaStart, len(t.arena)-t.dead)}
	for at := t.first(); at != 0; at = t.next(at) {
		key, value := t.key(at), t.value(at)
		hash := t.hash(key)
		slot, _ := fresh.find(hash, key)
		fresh.slots[slot] = hash>>placeBits<<placeBits | uint64(len(fresh.arena))
		fresh.append(key, value, len(value))
	}
	t.slots, t.arena, t.used, t.dead = fresh.slots, fresh.arena, t.live, 0
}
