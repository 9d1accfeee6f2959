// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
	"encoding/binary"

	"github.com/millrace-io/millrace/engine/internal/clock"
	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/statefun"
)

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
	key = r.all()
	return fn, id, key, r.err("idempotency key", b)
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
	flags := r.flags(keyFlags)
	k.Answered, k.Absent = flags&isAnswered != 0, flags&isAnswerAbsent != 0
	k.Caller = r.bytes(fieldMax)
	k.Typename = r.bytes(statefun.TypenameBytesMax)
	if !k.Answered && (k.Absent || len(k.Typename) > 0 || len(r.rest) > 0) {
		r.failed = true
	}
	k.Value = r.value(k.Absent)
	return k, r.err("idempotency key", b)
}
