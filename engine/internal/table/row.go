// SPDX-License-Identifier: Apache-2.0

package table

import (
	"encoding/binary"
	"unsafe"
)

// Row is the head of an instance's row; its state follows. Head and up to 32 bytes of state are one
// cache line, so that an invocation of a cold instance costs one cache miss for the index and one here.
type Row struct {
	Hash uint64

	id    [16]byte // The id, padded with zeros, or the Ref of a longer one.
	idLen uint16

	// Flags and Present belong to the shard; the table only zeroes them.
	Flags   Flags
	_       uint8
	Present uint32 // Which of the state values are there.
}

// RowHead is the size of a Row without its state.
const RowHead = 32

var _ [RowHead]byte = [unsafe.Sizeof(Row{})]byte{}

// Flags are a row's marks.
type Flags uint8

// State returns the address of the row's state, aligned to 8.
func (r *Row) State() unsafe.Pointer { return unsafe.Add(unsafe.Pointer(r), RowHead) }

// IDLen returns the length of the id in bytes.
func (r *Row) IDLen() int { return int(r.idLen) }

// ID returns the row's id. Its bytes alias the table and are valid until the row is released.
func (t *Table) ID(r *Row) []byte {
	if r.idLen <= 16 {
		return r.id[:r.idLen]
	}
	return t.heap.Get(Ref(binary.LittleEndian.Uint64(r.id[:8])), int(r.idLen))
}

// Key is an id as a table looks for it.
type Key struct {
	Hash   uint64
	Tag    Tag    // By the seed that all keys of the table share.
	Lo, Hi uint64 // The id's bytes, padded, when it has at most 16.
	ID     []byte
	Inline bool
}

// IsInline reports whether the row is the instance with an id of at most 16 bytes, given as two padded words.
func (r *Row) IsInline(hash, lo, hi uint64, length int) bool {
	return r.Hash == hash && *(*[2]uint64)(unsafe.Pointer(&r.id)) == [2]uint64{lo, hi} && int(r.idLen) == length
}

func (t *Table) matches(r *Row, k *Key) bool {
	if r.Hash != k.Hash || int(r.idLen) != len(k.ID) {
		return false
	}
	if k.Inline {
		return binary.LittleEndian.Uint64(r.id[:8]) == k.Lo && binary.LittleEndian.Uint64(r.id[8:]) == k.Hi
	}
	return string(t.ID(r)) == string(k.ID)
}

func (t *Table) setID(r *Row, k *Key) {
	r.idLen = uint16(len(k.ID))
	if len(k.ID) <= 16 {
		r.id = [16]byte{}
		copy(r.id[:], k.ID)
		return
	}
	binary.LittleEndian.PutUint64(r.id[:8], uint64(t.heap.Put(k.ID)))
	binary.LittleEndian.PutUint64(r.id[8:], 0)
}
