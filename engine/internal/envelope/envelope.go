// SPDX-License-Identifier: Apache-2.0

// Package envelope holds messages on their way: envelopes, and the batches in which they move from a
// sender to a shard. It is pure data; who may touch a batch is decided by who holds it, and a batch is
// held by one goroutine at a time.
package envelope

import (
	"encoding/binary"
	"unsafe"
)

// Function numbers a function type within one engine, Input one of the messages that it accepts.
type (
	Function uint16
	Input    uint16
)

// Untyped is the Input of a message that is carried with its typename: see [Batch.SetNamed].
const Untyped Input = 1<<16 - 1

// FunctionsMax and InputsMax bound what the numbers can name.
const (
	FunctionsMax = 1 << 16
	InputsMax    = int(Untyped)
)

// Sizes of what fits into an envelope. 16 bytes hold a UUID in binary and most natural ids; 24 hold
// three words. What is longer lies in the arena of the batch.
const (
	inlineID   = 16
	InlineData = 24
)

// Size is the size of an Envelope: one cache line.
const Size = 64

// Envelope is one message. It is flat: it holds no pointer, and its bytes may be copied; what does not
// fit lies in the arena of its batch, at an offset. So a batch costs the garbage collector nothing, and
// a receiver gets a message with one cache miss.
type Envelope struct {
	Hash uint64 // KeyHash of the id, computed once, by the sender.

	data [InlineData]byte // The payload, or its offset in the arena. Aligned to 8.
	id   [inlineID]byte   // The id, or its offset in the arena.

	dataLen uint32
	caller  uint32 // Offset of the caller's record in the arena, plus one; 0 for none.

	Function Function
	Input    Input
	idLen    uint16
	form     form
	_        uint8
}

var _ [Size]byte = [unsafe.Sizeof(Envelope{})]byte{}

// form says what the payload's bytes are.
type form uint8

const (
	formWire   form = iota // The wire encoding of the input's type.
	formAbsent             // A typename without a value, which is something else than an empty one.
	formMemory             // The memory image of the input's Go type, which holds no pointers.
	formResume             // No message: the address, which is suspended, is to go on,
	formSkip               // and to give up the message that it is suspended for.
)

// IsMemory reports whether the payload is a memory image rather than a wire encoding.
func (e *Envelope) IsMemory() bool { return e.form == formMemory }

// IsAbsent reports whether the message is a typename without a value.
func (e *Envelope) IsAbsent() bool { return e.form == formAbsent }

// SetAbsent marks the payload, which has been set with an empty value, as one without any.
func (e *Envelope) SetAbsent() { e.form = formAbsent }

// IsControl reports whether the envelope is no message but resumes a suspended address.
func (e *Envelope) IsControl() bool { return e.form >= formResume }

// IsSkip reports whether the message that the address is suspended for is to be given up.
func (e *Envelope) IsSkip() bool { return e.form == formSkip }

// Inline returns the place of a payload of at most InlineData bytes and marks it as a memory image. The
// caller writes a pointer-free value of size bytes there, at once.
func (e *Envelope) Inline(size uintptr) unsafe.Pointer {
	e.form, e.dataLen = formMemory, uint32(size)
	return unsafe.Pointer(&e.data)
}

func (e *Envelope) setSpan(offset int) {
	binary.LittleEndian.PutUint32(e.data[:], uint32(offset))
}

func (e *Envelope) span() uint32 { return binary.LittleEndian.Uint32(e.data[:]) }

func (e *Envelope) idSpan() uint32 { return binary.LittleEndian.Uint32(e.id[:]) }

// InlineID returns the id as two words when it lies within the envelope, padded with zeros; ok is false
// when it lies in the arena.
func (e *Envelope) InlineID() (lo, hi uint64, ok bool) {
	if e.idLen > inlineID {
		return 0, 0, false
	}
	return binary.LittleEndian.Uint64(e.id[:8]), binary.LittleEndian.Uint64(e.id[8:]), true
}

// IDLen is the length of the id in bytes.
func (e *Envelope) IDLen() int { return int(e.idLen) }
