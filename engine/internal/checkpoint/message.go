// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
	"encoding/binary"
	"fmt"

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
	flags := r.byte()
	if flags >= messageFlags {
		r.failed = true
		return Message{}
	}
	if m.HasCaller = flags&hasCaller != 0; m.HasCaller {
		m.Caller, m.CallerID = r.function(), r.id()
	}
	m.Typename = r.bytes(statefun.TypenameBytesMax)
	m.Absent = flags&isAbsent != 0
	m.Value, r.rest = r.rest, nil
	if m.Absent && len(m.Value) > 0 {
		r.failed = true
	}
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
	return fn, id, number, r.end("message key", key)
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
	fn = r.function()
	id, r.rest = r.rest, nil
	r.checkID(id)
	return fn, id, r.end("suspended key", key)
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
	return token, r.end("delayed key", key)
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
	d.Name = r.bytes(maxField)
	d.Message = r.message()
	return d, r.err("delayed message", b)
}

// Key is what is kept of a message that has come under an idempotency key (P17). Its slices alias the entry.
type Key struct {
	Expires clock.Instant
	Body    [16]byte // A digest of the message.
	Caller  []byte   // The id under which its sender waits for an answer; empty: it does not.

	Answered bool
	Typename []byte // The answer's.
	Absent   bool
	Value    []byte
}

// AppendKeyKey appends the key of an idempotency key at an address.
func AppendKeyKey(dst []byte, fn envelope.Function, id, key []byte) []byte {
	dst = append(dst, KindKey)
	dst = binary.AppendUvarint(dst, uint64(fn))
	dst = appendBytes(dst, id)
	return append(dst, key...)
}

// ParseKeyKey takes a key apart. The slices alias it.
func ParseKeyKey(b []byte) (fn envelope.Function, id, key []byte, err error) {
	r := reader{rest: b}
	r.kind(KindKey)
	fn, id = r.function(), r.id()
	if len(r.rest) == 0 {
		r.failed = true
	}
	key, r.rest = r.rest, nil
	return fn, id, key, r.end("idempotency key", b)
}

// Flags of an idempotency key.
const (
	isAnswered = 1 << iota
	isAnswerAbsent
	keyFlags
)

// AppendKey appends what is kept of an idempotency key.
func AppendKey(dst []byte, k *Key) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(k.Expires))
	dst = append(dst, k.Body[:]...)
	var flags byte
	if k.Answered {
		flags |= isAnswered
	}
	if k.Absent {
		flags |= isAnswerAbsent
	}
	dst = append(dst, flags)
	dst = appendBytes(dst, k.Caller)
	dst = appendBytes(dst, k.Typename)
	return append(dst, k.Value...)
}

// ParseKey reads what is kept of an idempotency key, which takes all of b.
func ParseKey(b []byte) (k Key, err error) {
	r := reader{rest: b}
	k.Expires = clock.Instant(r.uint64LE())
	copy(k.Body[:], r.take(len(k.Body)))
	flags := r.byte()
	if flags >= keyFlags {
		r.failed = true
	}
	k.Answered, k.Absent = flags&isAnswered != 0, flags&isAnswerAbsent != 0
	k.Caller = r.bytes(maxField)
	k.Typename = r.bytes(statefun.TypenameBytesMax)
	k.Value, r.rest = r.rest, nil
	return k, r.err("idempotency key", b)
}

// Record is an egress record that has not been delivered. Its slices alias the entry.
type Record struct {
	Egress   []byte // "<namespace>/<name>"
	Sender   envelope.Function
	SenderID []byte
	Typename []byte
	Absent   bool
	Value    []byte
}

// AppendRecordKey appends the key of an egress record: the order of keys is the order in which records leave
// (P35).
func AppendRecordKey(dst []byte, epoch statefun.Epoch, index uint64) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, KindRecord), uint64(epoch))
	return binary.BigEndian.AppendUint64(dst, index)
}

// ParseRecordKey takes a key apart.
func ParseRecordKey(key []byte) (epoch statefun.Epoch, index uint64, err error) {
	r := reader{rest: key}
	r.kind(KindRecord)
	epoch, index = statefun.Epoch(r.uint64BE()), r.uint64BE()
	return epoch, index, r.end("record key", key)
}

// AppendRecord appends an egress record.
func AppendRecord(dst []byte, rec *Record) []byte {
	var flags byte
	if rec.Absent {
		flags = isAbsent
	}
	dst = append(dst, flags)
	dst = appendBytes(dst, rec.Egress)
	dst = binary.AppendUvarint(dst, uint64(rec.Sender))
	dst = appendBytes(dst, rec.SenderID)
	dst = appendBytes(dst, rec.Typename)
	return append(dst, rec.Value...)
}

// ParseRecord reads an egress record, which takes all of b.
func ParseRecord(b []byte) (rec Record, err error) {
	r := reader{rest: b}
	flags := r.byte()
	if flags&^isAbsent != 0 {
		r.failed = true
	}
	rec.Absent = flags != 0
	rec.Egress = r.bytes(maxField)
	rec.Sender, rec.SenderID = r.function(), r.id()
	rec.Typename = r.bytes(statefun.TypenameBytesMax)
	rec.Value, r.rest = r.rest, nil
	return rec, r.err("egress record", b)
}

func appendBytes(dst, b []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

// maxField bounds strings that have no bound of their own, besides what is there.
const maxField = 1 << 20

func (r *reader) take(n int) []byte {
	if r.failed || n > len(r.rest) {
		r.failed = true
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) bytes(most int) []byte {
	n := r.count()
	if n > uint64(most) {
		r.failed = true
		return nil
	}
	return r.take(int(n))
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) kind(k byte) {
	if r.byte() != k {
		r.failed = true
	}
}

func (r *reader) uint64BE() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *reader) uint64LE() uint64 {
	if b := r.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (r *reader) function() envelope.Function {
	n, size := binary.Uvarint(r.rest)
	if r.failed || size <= 0 || n >= envelope.FunctionsMax {
		r.failed = true
		return 0
	}
	r.rest = r.rest[size:]
	return envelope.Function(n)
}

func (r *reader) id() []byte {
	id := r.bytes(statefun.IDBytesMax)
	r.checkID(id)
	return id
}

func (r *reader) checkID(id []byte) {
	if len(id) == 0 || len(id) > statefun.IDBytesMax {
		r.failed = true
	}
}

// err says where reading what has failed.
func (r *reader) err(what string, all []byte) error {
	if !r.failed {
		return nil
	}
	return fmt.Errorf("%w: %s: at offset %d of %d", ErrEntry, what, len(all)-len(r.rest), len(all))
}

// end is err, for what must have been read to its end.
func (r *reader) end(what string, all []byte) error {
	if len(r.rest) > 0 {
		r.failed = true
	}
	return r.err(what, all)
}
