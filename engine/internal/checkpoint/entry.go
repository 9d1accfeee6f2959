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
	KindState     = 1 // An instance's state.
	KindMessage   = 2 // A message that waits at its address.
	KindSuspended = 3 // An address is suspended.
	KindDelayed   = 4 // A delayed message.
	KindKey       = 5 // An idempotency key at an address.
	KindRecord    = 6 // An egress record that has not been delivered.
)

// ErrEntry is returned for bytes that are not an entry.
var ErrEntry = errors.New("malformed checkpoint entry")

// KindOf returns the kind of an entry, by its key; 0 for an empty key.
func KindOf(key []byte) byte {
	if len(key) == 0 {
		return 0
	}
	return key[0]
}

// usualID is the length of ids that are worth a case of their own: UUIDs, and most that fit into an envelope.
const usualID = 16

// AppendStateKey appends the key of an instance's state: the kind, the number of its function type
// (uvarint) and the id.
func AppendStateKey(dst []byte, fn envelope.Function, id []byte) []byte {
	if fn < 0x80 {
		dst = append(dst, KindState, byte(fn))
	} else {
		dst = binary.AppendUvarint(append(dst, KindState), uint64(fn))
	}
	if len(id) == usualID { // Two moves instead of a call to memmove.
		return append(dst, (*[usualID]byte)(id)[:]...)
	}
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

// AppendValueNumber begins a state value: its number. Its length and its wire encoding follow.
func AppendValueNumber(dst []byte, number int) []byte {
	return binary.AppendUvarint(dst, uint64(number)<<1)
}

// AppendStampedNumber is AppendValueNumber for a value that expires: stamp is the instant, in milliseconds,
// from which its time counts.
func AppendStampedNumber(dst []byte, number int, stamp int64) []byte {
	dst = binary.AppendUvarint(dst, uint64(number)<<1|1)
	return binary.LittleEndian.AppendUint64(dst, uint64(stamp))
}

// BeginValue is AppendValueNumber and BeginLength.
func BeginValue(dst []byte, number int) (extended []byte, start int) {
	if number < 0x40 {
		dst = append(dst, byte(number)<<1, 0)
		return dst, len(dst)
	}
	return BeginLength(AppendValueNumber(dst, number))
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
	if n := len(dst) - start; n < 0x80 {
		dst[start-1] = byte(n)
		return dst
	}
	return endLong(dst, start)
}

func endLong(dst []byte, start int) []byte {
	n := len(dst) - start
	var length [binary.MaxVarintLen64]byte
	size := binary.PutUvarint(length[:], uint64(n))
	dst = append(dst, length[:size-1]...) // Only to make room.
	copy(dst[start-1+size:], dst[start:start+n])
	copy(dst[start-1:], length[:size])
	return dst
}

// Value is one state value of an entry.
type Value struct {
	Number  int
	Stamped bool   // It expires, counted from Stamp.
	Stamp   int64  // An instant, in milliseconds.
	Bytes   []byte // The wire encoding. It aliases the entry.
	StampAt int    // Where in the entry the stamp lies, in 8 bytes, if there is one.
}

// SetStamp overwrites the stamp of a value of entry.
func (v *Value) SetStamp(entry []byte, stamp int64) {
	binary.LittleEndian.PutUint64(entry[v.StampAt:], uint64(stamp))
}

// Values yields the state values of an entry that Validate accepts.
func Values(entry []byte) iter.Seq[Value] {
	return func(yield func(Value) bool) {
		for at := 0; at < len(entry); {
			v, n, err := parseValue(entry, at)
			if err != nil || v.Number == touchedNumber || !yield(v) {
				return
			}
			at = n
		}
	}
}

// Validate reports whether entry is the value of a state entry.
func Validate(entry []byte) error {
	for at := 0; at < len(entry); {
		v, n, err := parseValue(entry, at)
		if err == nil {
			err = v.checkTouched(n == len(entry))
		}
		if err != nil {
			return fmt.Errorf("%w: at offset %d: %w", ErrEntry, at, err)
		}
		at = n
	}
	return nil
}

// parseValue reads the value at an offset and returns where the next one begins.
func parseValue(entry []byte, at int) (v Value, next int, err error) {
	head, n := binary.Uvarint(entry[at:])
	if n <= 0 || head>>1 > touchedNumber {
		return Value{}, 0, errors.New("bad number of a state value")
	}
	at += n
	v.Number, v.Stamped = int(head>>1), head&1 != 0
	if v.Stamped {
		if len(entry)-at < 8 {
			return Value{}, 0, errors.New("truncated stamp of a state value")
		}
		v.Stamp, v.StampAt = int64(binary.LittleEndian.Uint64(entry[at:])), at
		at += 8
	}
	length, n := binary.Uvarint(entry[at:])
	if n <= 0 || length > uint64(len(entry)-at-n) {
		return Value{}, 0, errors.New("truncated state value")
	}
	at += n
	next = at + int(length)
	v.Bytes = entry[at:next:next]
	return v, next, nil
}

// NumbersMax bounds the numbers of state values, and with them how many values a function type can have.
// One that lives in this process has at most ValuesMax: they are marked as present in 32 bits.
const (
	NumbersMax = 1023 // One more is what AppendTouched takes.
	ValuesMax  = 32
)
