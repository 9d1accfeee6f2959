// SPDX-License-Identifier: Apache-2.0

package envelope

import (
	"encoding/binary"
	"unsafe"

	"github.com/millrace-io/millrace/engine/statefun"
)

// Batch is what moves through a mailbox: envelopes from one sender in one epoch, and the arena that
// holds what does not fit into them. It is recycled as a whole.
//
// A batch without envelopes is a marker: the sender has entered Epoch (P2).
type Batch struct {
	// Epoch is the sender's; 0 in a batch from a door, which does not stamp (P18).
	Epoch     statefun.Epoch
	Envelopes []Envelope
	Arena     []byte
	// Ticket is for the sender of the one message of a batch from a door. nil: nobody waits.
	Ticket *Ticket
}

// arenaMin makes sure that an arena is large enough to be aligned by the allocator: only tiny
// allocations may lie at odd addresses.
const arenaMin = 1024

// New returns an empty batch with room for n envelopes.
func New(n int) *Batch {
	return &Batch{Envelopes: make([]Envelope, 0, n), Arena: make([]byte, 0, arenaMin)}
}

// Reset empties the batch and keeps its memory, but not an arena that one large message has blown up.
func (b *Batch) Reset() {
	const keep = 1 << 20
	b.Epoch, b.Envelopes, b.Arena, b.Ticket = 0, b.Envelopes[:0], b.Arena[:0], nil
	if cap(b.Arena) > keep {
		b.Arena = make([]byte, 0, arenaMin)
	}
}

// Bytes is what the batch holds: what credit is counted in.
func (b *Batch) Bytes() int64 { return int64(len(b.Envelopes))*Size + int64(len(b.Arena)) }

// Append adds an envelope without payload. The pointer is valid until the next Append.
func (b *Batch) Append(fn Function, input Input, hash uint64, id string) *Envelope {
	if n := len(b.Envelopes); n < cap(b.Envelopes) {
		b.Envelopes = b.Envelopes[:n+1]
	} else {
		b.Envelopes = append(b.Envelopes, Envelope{})
	}
	e := &b.Envelopes[len(b.Envelopes)-1]
	e.Hash, e.Function, e.Input = hash, fn, input
	e.dataLen, e.caller, e.form = 0, 0, formWire
	e.idLen = uint16(len(id))
	if len(id) == inlineID { // The common length, without a call to memmove.
		*(*[inlineID]byte)(unsafe.Pointer(&e.id)) = *(*[inlineID]byte)(unsafe.Pointer(unsafe.StringData(id)))
		return e
	}
	e.id = [inlineID]byte{} // Padded, so that ids are compared as two words.
	if len(id) < inlineID {
		copy(e.id[:], id)
	} else {
		binary.LittleEndian.PutUint32(e.id[:], uint32(len(b.Arena)))
		b.Arena = append(b.Arena, id...)
	}
	return e
}

// AppendResume adds what resumes a suspended address, without the message that it is suspended for if skip
// is true.
func (b *Batch) AppendResume(fn Function, hash uint64, id string, skip bool) {
	e := b.Append(fn, Untyped, hash, id)
	if e.form = formResume; skip {
		e.form = formSkip
	}
}

// Drop takes the last envelope back. What it has left in the arena stays there, unused.
func (b *Batch) Drop() { b.Envelopes = b.Envelopes[:len(b.Envelopes)-1] }

// ArenaMax is how large an arena grows before another batch is begun. A single payload may come on top;
// offsets, of 32 bits, reach further than both together.
const ArenaMax = 64 << 20

// Full reports whether a batch for most envelopes takes no more.
func (b *Batch) Full(most int) bool { return len(b.Envelopes) >= most || len(b.Arena) > ArenaMax }

// SetWire copies the wire encoding of a payload into the batch.
func (b *Batch) SetWire(e *Envelope, value []byte) {
	start := len(b.Arena)
	b.Arena = append(b.Arena, value...)
	b.EndWire(e, start)
}

// EndWire makes what was appended to the arena since start the payload of e, as a wire encoding. A short
// one moves into the envelope: the receiver then touches one cache line instead of two.
func (b *Batch) EndWire(e *Envelope, start int) {
	n := len(b.Arena) - start
	e.form, e.dataLen = formWire, uint32(n)
	if n <= InlineData {
		copy(e.data[:], b.Arena[start:])
		b.Arena = b.Arena[:start]
		return
	}
	e.setSpan(start)
}

// SetNamed copies a payload into the batch together with its typename; the envelope's Input is Untyped.
func (b *Batch) SetNamed(e *Envelope, typename string, value []byte) {
	start := b.BeginNamed(typename)
	b.Arena = append(b.Arena, value...)
	b.EndWire(e, start)
}

// BeginNamed begins a payload with its typename; the value is appended to the arena and EndWire called.
func (b *Batch) BeginNamed(typename string) (start int) {
	start = len(b.Arena)
	b.Arena = binary.AppendUvarint(b.Arena, uint64(len(typename)))
	b.Arena = append(b.Arena, typename...)
	return start
}

// Named returns the typename and the value of an Untyped envelope. Both alias the batch.
func (b *Batch) Named(e *Envelope) (typename, value []byte) {
	data := b.Wire(e)
	l, n := binary.Uvarint(data)
	return data[n : n+int(l)], data[n+int(l):]
}

// Memory reserves size bytes in the arena, aligned to 8, for the memory image of a pointer-free value
// that is too large to lie inline. The pointer is valid until the arena grows.
func (b *Batch) Memory(e *Envelope, size uintptr) unsafe.Pointer {
	const align = 8
	start := (len(b.Arena) + align - 1) &^ (align - 1)
	for len(b.Arena) < start+int(size) {
		b.Arena = append(b.Arena, make([]byte, start+int(size)-len(b.Arena))...)
	}
	e.form, e.dataLen = formMemory, uint32(size)
	e.setSpan(start)
	return unsafe.Pointer(&b.Arena[start])
}

// Payload returns the address of a memory image.
func (b *Batch) Payload(e *Envelope) unsafe.Pointer {
	if e.dataLen <= InlineData {
		return unsafe.Pointer(&e.data)
	}
	return unsafe.Pointer(&b.Arena[e.span()])
}

// Wire returns the bytes of a wire encoding. They alias the batch.
func (b *Batch) Wire(e *Envelope) []byte {
	if e.dataLen <= InlineData {
		return e.data[:e.dataLen:e.dataLen]
	}
	start := e.span()
	return b.Arena[start : start+e.dataLen : start+e.dataLen]
}

// ID returns the id's bytes, which alias the batch.
func (b *Batch) ID(e *Envelope) []byte {
	if e.idLen <= inlineID {
		return e.id[:e.idLen]
	}
	start := e.idSpan()
	return b.Arena[start : start+uint32(e.idLen)]
}

// AppendCaller writes the record of a caller, which any number of envelopes of the batch may refer to.
func (b *Batch) AppendCaller(fn Function, id []byte) (ref uint32) {
	ref = uint32(len(b.Arena)) + 1
	b.Arena = append(b.Arena, byte(fn), byte(fn>>8), byte(len(id)), byte(len(id)>>8))
	b.Arena = append(b.Arena, id...)
	return ref
}

// SetCaller names the caller of e by what AppendCaller returned.
func (e *Envelope) SetCaller(ref uint32) { e.caller = ref }

// Caller returns the address that sent e; ok is false when it came from outside. The id aliases the
// arena.
func (b *Batch) Caller(e *Envelope) (fn Function, id []byte, ok bool) {
	if e.caller == 0 {
		return 0, nil, false
	}
	r := b.Arena[e.caller-1:]
	n := int(r[2]) | int(r[3])<<8
	return Function(r[0]) | Function(r[1])<<8, r[4 : 4+n : 4+n], true
}

// Copy appends a copy of e, an envelope of from, with all that belongs to it.
func (b *Batch) Copy(from *Batch, e *Envelope) {
	b.Envelopes = append(b.Envelopes, *e)
	c := &b.Envelopes[len(b.Envelopes)-1]
	if e.idLen > inlineID {
		id := from.ID(e)
		binary.LittleEndian.PutUint32(c.id[:], uint32(len(b.Arena)))
		b.Arena = append(b.Arena, id...)
	}
	if fn, id, ok := from.Caller(e); ok {
		c.caller = b.AppendCaller(fn, id)
	}
	switch {
	case !e.IsMemory():
		b.SetWire(c, from.Wire(e))
		c.form = e.form
	case e.dataLen > InlineData:
		src := unsafe.Slice((*byte)(from.Payload(e)), e.dataLen)
		dst := b.Memory(c, uintptr(e.dataLen))
		copy(unsafe.Slice((*byte)(dst), e.dataLen), src)
	}
}
