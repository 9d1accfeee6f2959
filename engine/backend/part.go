// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"encoding/binary"
	"fmt"
	"iter"

	"github.com/millrace-io/millrace/engine/statefun"
)

// Part is one shard's share of an epoch, or a piece of it: puts and deletes, in the order in which they apply. Later
// changes of a key win, and the pieces of a shard are in order too. The bytes are borrowed: they are reused once
// Commit has returned.
type Part struct {
	Shard   int
	Changes []byte
}

// Change is one put or delete of a part.
type Change struct {
	Entry
	Delete bool
}

// A change is, in order: the operation (1 byte), the key group (2 bytes, little-endian), the length of
// the key (uvarint), the key, and for a put the length of the value (uvarint) and the value.
// docs/formats/part.md has an example.
const (
	opPut    = 1
	opDelete = 2
)

// AppendPut appends a put to the changes of a part.
func AppendPut(changes []byte, group statefun.KeyGroup, key, value []byte) []byte {
	changes = appendKey(changes, opPut, group, key)
	changes = binary.AppendUvarint(changes, uint64(len(value)))
	return append(changes, value...)
}

// AppendPutHead appends a put up to its key, of which it says only the length: for callers who write the
// key, the value's length and the value in place.
func AppendPutHead(changes []byte, group statefun.KeyGroup, keyBytes int) []byte {
	if keyBytes < 0x80 { // Mostly; and one append costs less than two.
		return append(changes, opPut, byte(group), byte(group>>8), byte(keyBytes))
	}
	return binary.AppendUvarint(append(changes, opPut, byte(group), byte(group>>8)), uint64(keyBytes))
}

// AppendDelete appends a delete to the changes of a part.
func AppendDelete(changes []byte, group statefun.KeyGroup, key []byte) []byte {
	return appendKey(changes, opDelete, group, key)
}

func appendKey(changes []byte, op byte, group statefun.KeyGroup, key []byte) []byte {
	changes = append(changes, op, byte(group), byte(group>>8))
	changes = binary.AppendUvarint(changes, uint64(len(key)))
	return append(changes, key...)
}

// All yields the part's changes in order. A change that does not decode ends it with ErrCorrupt and the
// offset at which it begins.
func (p Part) All() iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		rest := p.Changes
		for len(rest) > 0 {
			c, n, err := decodeChange(rest)
			if err != nil {
				at := len(p.Changes) - len(rest)
				yield(Change{}, fmt.Errorf("%w: part of shard %d at offset %d: %w", ErrCorrupt, p.Shard, at, err))
				return
			}
			if !yield(c, nil) {
				return
			}
			rest = rest[n:]
		}
	}
}

func decodeChange(b []byte) (c Change, n int, err error) {
	if len(b) < 3 {
		return Change{}, 0, fmt.Errorf("truncated")
	}
	switch b[0] {
	case opPut:
	case opDelete:
		c.Delete = true
	default:
		return Change{}, 0, fmt.Errorf("unknown operation %d", b[0])
	}
	c.Group = statefun.KeyGroup(binary.LittleEndian.Uint16(b[1:]))
	n = 3
	if c.Key, n, err = decodeBytes(b, n); err != nil {
		return Change{}, 0, fmt.Errorf("key: %w", err)
	}
	if c.Delete {
		return c, n, nil
	}
	if c.Value, n, err = decodeBytes(b, n); err != nil {
		return Change{}, 0, fmt.Errorf("value: %w", err)
	}
	return c, n, nil
}

func decodeBytes(b []byte, at int) (field []byte, next int, err error) {
	l, n := binary.Uvarint(b[at:])
	if n <= 0 || l > uint64(len(b)-at-n) {
		return nil, 0, fmt.Errorf("truncated")
	}
	at += n
	return b[at : at+int(l) : at+int(l)], at + int(l), nil
}
