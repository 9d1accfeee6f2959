// SPDX-License-Identifier: Apache-2.0

// Package checkpoint is what an epoch consists of: the keys and values under which a shard's state is
// kept, and the coordinator that collects the parts. docs/formats/entries.md describes the bytes.
package checkpoint

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"

	"github.com/millrace-io/millrace/engine/internal/envelope"
)

// Kinds of entries. The kind is the first byte of an entry's key.
const (
	KindState = 1 // An instance's state.
)

// ErrEntry is returned for bytes that are not an entry.
var ErrEntry = errors.New("malformed checkpoint entry")

// AppendStateKey appends the key of an instance's state: the kind, the number of its function type
// (uvarint) and the id.
func AppendStateKey(dst []byte, fn envelope.Function, id []byte) []byte {
	dst = append(dst, KindState)
	dst = binary.AppendUvarint(dst, uint64(fn))
	return append(dst, id...)
}

// ParseStateKey takes a key apart. The id aliases key.
func ParseStateKey(key []byte) (fn envelope.Function, id []byte, err error) {
	if len(key) == 0 || key[0] != KindState {
		return 0, nil, fmt.Errorf("%w: not a state key", ErrEntry)
	}
	n, size := binary.Uvarint(key[1:])
	if size <= 0 || n >= envelope.FunctionsMax {
		return 0, nil, fmt.Errorf("%w: bad function number", ErrEntry)
	}
	id = key[1+size:]
	if len(id) == 0 {
		return 0, nil, fmt.Errorf("%w: empty id", ErrEntry)
	}
	return envelope.Function(n), id, nil
}

// StateKeyBytes is the length of what AppendStateKey appends.
func StateKeyBytes(fn envelope.Function, id int) int {
	switch {
	case fn < 1<<7:
		return 2 + id
	case fn < 1<<14:
		return 3 + id
	default:
		return 4 + id
	}
}

// AppendValueNumber appends the number of a state value; its length and its wire encoding follow.
func AppendValueNumber(dst []byte, number int) []byte {
	return binary.AppendUvarint(dst, uint64(number))
}

// BeginLength leaves room for the length of what the caller appends next, and EndLength writes it there
// when given what BeginLength returned.
func BeginLength(dst []byte) (extended []byte, start int) {
	dst = append(dst, 0)
	return dst, len(dst)
}

// EndLength writes the length of what has been appended since start. Mostly that is shorter than 128
// bytes and its length the one byte that was left for it; what is longer moves.
func EndLength(dst []byte, start int) []byte {
	n := len(dst) - start
	if n < 0x80 {
		dst[start-1] = byte(n)
		return dst
	}
	var length [binary.MaxVarintLen64]byte
	size := binary.PutUvarint(length[:], uint64(n))
	dst = append(dst, length[:size-1]...) // Only to make room.
	copy(dst[start-1+size:], dst[start:start+n])
	copy(dst[start-1:], length[:size])
	return dst
}

// Values yields the state values of an entry: number and wire encoding, which aliases value.
func Values(value []byte) iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		for len(value) > 0 {
			number, encoding, n, err := parseValue(value)
			if err != nil || !yield(number, encoding) {
				return
			}
			value = value[n:]
		}
	}
}

// Validate reports whether value is the value of a state entry.
func Validate(value []byte) error {
	for at := 0; at < len(value); {
		_, _, n, err := parseValue(value[at:])
		if err != nil {
			return fmt.Errorf("%w: at offset %d: %w", ErrEntry, at, err)
		}
		at += n
	}
	return nil
}

func parseValue(b []byte) (number int, encoding []byte, n int, err error) {
	v, n := binary.Uvarint(b)
	if n <= 0 || v >= ValuesMax {
		return 0, nil, 0, errors.New("bad number of a state value")
	}
	length, size := binary.Uvarint(b[n:])
	if size <= 0 || length > uint64(len(b)-n-size) {
		return 0, nil, 0, errors.New("truncated state value")
	}
	n += size
	end := n + int(length)
	return int(v), b[n:end:end], end, nil
}

// ValuesMax is how many state values a function type can have: they are marked as present in 32 bits.
const ValuesMax = 32
