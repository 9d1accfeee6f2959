// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
	"encoding/binary"

	"github.com/millrace-io/millrace/engine/internal/clock"
	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/statefun"
)

// Message is a message in flight: it has been sent, and has not taken effect. Its slices alias the entry.
type Message struct {
	HasCaller bool
	Caller    envelope.Function
	CallerID  []byte

	Typename []byte
	Absent   bool // A typename without a value.
	Value    []byte
}

// Flags of a message.
const (
	hasCaller = 1 << iota
	isAbsent
	messageFlags
)

// AppendMessage appends a message up to its value, which the caller appends.
func AppendMessage(dst []byte, m *Message) []byte {
	var flags byte
	if m.HasCaller {
		flags |= hasCaller
	}
	if m.Absent {
		flags |= isAbsent
	}
	dst = append(dst, flags)
	if m.HasCaller {
		dst = binary.AppendUvarint(dst, uint64(m.Caller))
		dst = appendBytes(dst, m.CallerID)
	}
	return appendBytes(dst, m.Typename)
}

// ParseMessage reads a message, which takes all of b.
func ParseMessage(b []byte) (m Message, err error) {
	r := reader{rest: b}
	m = r.message()
	return m, r.err("message", b)
}

func (r *reader) message() (m Message) {
	flags := r.flags(messageFlags)
	if m.HasCaller = flags&hasCaller != 0; m.HasCaller {
		m.Caller, m.CallerID = r.function(), r.id()
	}
	m.Typename = r.bytes(statefun.TypenameBytesMax)
	m.Absent = flags&isAbsent != 0
	m.Value = r.value(m.Absent)
	return m
}

// AppendMessageKey appends the key of a message that waits at an address: its number is greater than those of
// all messages before it (P9, P11).
func AppendMessageKey(dst []byte, fn envelope.Function, id []byte, number uint64) []byte {
	dst = append(dst, KindMessage)
	dst = binary.AppendUvarint(dst, uint64(fn))
	dst = appendBytes(dst, id)
	return binary.BigEndian.AppendUint64(dst, number)
}

// ParseMessageKey takes a key apart. The id aliases key.
func ParseMessageKey(key []byte) (fn envelope.Function, id []byte, number uint64, err error) {
	r := reader{rest: key}
	r.kind(KindMessage)
	fn, id, number = r.function(), r.id(), r.uint64BE()
	return fn, id, number, r.err("message key", key)
}

// AppendSuspendedKey appends the key of the entry that an address is suspended. Its value is why, for people.
func AppendSuspendedKey(dst []byte, fn envelope.Function, id []byte) []byte {
	dst = append(dst, KindSuspended)
	dst = binary.AppendUvarint(dst, uint64(fn))
	return append(dst, id...)
}

// ParseSuspendedKey takes a key apart. The id aliases key.
func ParseSuspendedKey(key []byte) (fn envelope.Function, id []byte, err error) {
	r := reader{rest: key}
	r.kind(KindSuspended)
	fn, id = r.function(), r.checkID(r.all())
	return fn, id, r.err("suspended key", key)
}

// Delayed is a message that waits for its time, with the shard of its sender (P12). Its slices alias the entry.
type Delayed struct {
	Due      clock.Instant
	Function envelope.Function // Of the target.
	ID       []byte
	Name     []byte // By which a function elsewhere can cancel it; empty: it has none.
	Message
}

// AppendDelayedKey appends the key of a delayed message, whose token is never reused.
func AppendDelayedKey(dst []byte, token uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, KindDelayed), token)
}

// ParseDelayedKey takes a key apart.
func ParseDelayedKey(key []byte) (token uint64, err error) {
	r := reader{rest: key}
	r.kind(KindDelayed)
	token = r.uint64BE()
	return token, r.err("delayed key", key)
}

// AppendDelayed appends a delayed message up to its value, which the caller appends.
func AppendDelayed(dst []byte, d *Delayed) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(d.Due))
	dst = binary.AppendUvarint(dst, uint64(d.Function))
	dst = appendBytes(dst, d.ID)
	dst = appendBytes(dst, d.Name)
	return AppendMessage(dst, &d.Message)
}

// ParseDelayed reads a delayed message, which takes all of b.
func ParseDelayed(b []byte) (d Delayed, err error) {
	r := reader{rest: b}
	d.Due = clock.Instant(r.uint64LE())
	d.Function, d.ID = r.function(), r.id()
	d.Name = r.bytes(fieldMax)
	d.Message = r.message()
	return d, r.err("delayed message", b)
}
