// SPDX-License-Identifier: Apache-2.0

package envelope

import (
	"bytes"
	"strings"
	"testing"
	"unsafe"

	"pgregory.net/rapid"

	"github.com/millrace-io/millrace/engine/statefun"
)

// payload is how a message's bytes are put into a batch.
type payload uint8

const (
	payloadNone payload = iota
	payloadWire
	payloadNamed
	payloadMemory
	payloadResume
	payloadSkip
	payloads
)

// message is what an envelope must be read back as.
type message struct {
	fn       Function
	input    Input
	hash     uint64
	id       string
	payload  payload
	typename string
	value    []byte
	caller   *caller
}

type caller struct {
	fn Function
	id string
}

// control reports whether m is no message.
func (m *message) control() bool { return m.payload >= payloadResume }

// write appends m to the batch. refs holds the callers that the batch knows already: envelopes share them.
func (m *message) write(b *Batch, refs map[*caller]uint32) {
	if m.control() {
		b.AppendResume(m.fn, m.hash, m.id, m.payload == payloadSkip)
		return
	}
	e := b.Append(m.fn, m.input, m.hash, m.id)
	if m.caller != nil {
		if refs[m.caller] == 0 {
			refs[m.caller] = b.AppendCaller(m.caller.fn, []byte(m.caller.id))
		}
		e.SetCaller(refs[m.caller])
	}
	switch size := uintptr(len(m.value)); {
	case m.payload == payloadWire:
		b.SetWire(e, m.value)
	case m.payload == payloadNamed:
		b.SetNamed(e, m.typename, m.value)
	case m.payload == payloadMemory && size <= InlineData:
		copy(unsafe.Slice((*byte)(e.Inline(size)), size), m.value)
	case m.payload == payloadMemory:
		copy(unsafe.Slice((*byte)(b.Memory(e, size)), size), m.value)
	}
}

type failer interface{ Fatalf(string, ...any) }

// verify reads message number n back.
func (m *message) verify(t failer, b *Batch, n int) {
	e := &b.Envelopes[n]
	if e.Function != m.fn || e.Input != m.input || e.Hash != m.hash || string(b.ID(e)) != m.id || e.IDLen() != len(m.id) {
		t.Fatalf("envelope %d is for %d/%d %x %q; want %d/%d %x %q", n, e.Function, e.Input, e.Hash, b.ID(e), m.fn, m.input, m.hash, m.id)
	}
	lo, hi, inline := e.InlineID()
	if inline != (len(m.id) <= inlineID) {
		t.Fatalf("envelope %d: an id of %d bytes lies inline: %v", n, len(m.id), inline)
	}
	if inline {
		words := [2]uint64{lo, hi}
		var want [inlineID]byte
		copy(want[:], m.id)
		if *(*[inlineID]byte)(unsafe.Pointer(&words)) != want {
			t.Fatalf("envelope %d: the words of %q are %x", n, m.id, words)
		}
	}
	if e.IsMemory() != (m.payload == payloadMemory) || e.IsControl() != m.control() || e.IsSkip() != (m.payload == payloadSkip) {
		t.Fatalf("envelope %d: memory %v, control %v, skip %v; want payload %d", n, e.IsMemory(), e.IsControl(), e.IsSkip(), m.payload)
	}
	fn, id, ok := b.Caller(e)
	if ok != (m.caller != nil) || ok && (fn != m.caller.fn || string(id) != m.caller.id) {
		t.Fatalf("envelope %d: caller %d %q, %v; want %+v", n, fn, id, ok, m.caller)
	}
	var got []byte
	switch m.payload {
	case payloadMemory:
		p := b.Payload(e)
		if uintptr(p)%8 != 0 {
			t.Fatalf("envelope %d: a memory image of %d bytes lies at %p", n, len(m.value), p)
		}
		got = unsafe.Slice((*byte)(p), len(m.value))
	case payloadNamed:
		var typename []byte
		if typename, got = b.Named(e); string(typename) != m.typename {
			t.Fatalf("envelope %d: typename %q; want %q", n, typename, m.typename)
		}
	default:
		got = b.Wire(e)
	}
	if !bytes.Equal(got, m.value) {
		t.Fatalf("envelope %d: a payload of %d bytes: %x; want %d: %x", n, len(got), got, len(m.value), m.value)
	}
}

// roundTrip fills a batch, and copies it twice while the batches before are used for something else, as
// recycled ones are.
func roundTrip(t failer, first *Batch, messages []message) {
	refs := map[*caller]uint32{}
	for i := range messages {
		messages[i].write(first, refs)
	}
	batches := []*Batch{first, New(1), {}}
	for i, b := range batches {
		if len(b.Envelopes) != len(messages) || b.Bytes() != int64(len(messages)*Size+len(b.Arena)) {
			t.Fatalf("copy %d: %d envelopes, %d bytes; want %d", i, len(b.Envelopes), b.Bytes(), len(messages))
		}
		for n := range messages {
			messages[n].verify(t, b, n)
		}
		if i+1 < len(batches) {
			for n := range b.Envelopes {
				batches[i+1].Copy(b, &b.Envelopes[n])
			}
		}
		junk := b.Arena[:cap(b.Arena)]
		all := b.Envelopes[:cap(b.Envelopes)]
		b.Reset()
		for n := range junk {
			junk[n] = 0xa5
		}
		for n := range all {
			all[n] = Envelope{Hash: 1, id: [inlineID]byte{15: 7}, caller: 2, dataLen: 3, idLen: 4, form: formResume, Function: 5, Input: 6}
		}
		if len(b.Envelopes) != 0 || len(b.Arena) != 0 || b.Epoch != 0 || b.Bytes() != 0 {
			t.Fatalf("copy %d is not empty after Reset: %d bytes, epoch %d", i, b.Bytes(), b.Epoch)
		}
	}
	for i := range messages { // A recycled batch is as good as a new one.
		if i == 0 {
			clear(refs)
		}
		messages[i].write(first, refs)
	}
	for n := range messages {
		messages[n].verify(t, first, n)
	}
}

// What is put into a batch is read back, from it and from copies of it, whatever came before.
func TestBatchRoundTrip(t *testing.T) {
	ids := rapid.OneOf(
		rapid.StringN(1, 20, 40),
		rapid.Map(rapid.SampledFrom([]int{1, 15, 16, 17, 18, 255, 256, statefun.IDBytesMax - 1, statefun.IDBytesMax}),
			func(n int) string { return strings.Repeat("i", n) }),
		rapid.Map(rapid.IntRange(1, statefun.IDBytesMax), func(n int) string { return strings.Repeat("\xff\x00", n)[:n] }),
	)
	values := rapid.OneOf(
		rapid.SliceOfN(rapid.Byte(), 0, 60),
		rapid.Map(rapid.SampledFrom([]int{0, 1, 7, 8, 23, 24, 25, 32, 127, 128, 1023, 1024, 5000, 100_000}),
			func(n int) []byte { return bytes.Repeat([]byte{0xc3}, n) }),
	)
	messages := rapid.Custom(func(t *rapid.T) message {
		m := message{
			fn:      Function(rapid.Uint16().Draw(t, "function")),
			input:   Input(rapid.Uint16().Draw(t, "input")),
			hash:    rapid.Uint64().Draw(t, "hash"),
			id:      ids.Draw(t, "id"),
			payload: payload(rapid.IntRange(0, int(payloads)-1).Draw(t, "payload")),
		}
		switch m.payload {
		case payloadNamed:
			m.typename = rapid.StringN(0, 40, 130).Draw(t, "typename")
			m.input = Untyped
			m.value = values.Draw(t, "value")
		case payloadWire, payloadMemory:
			m.value = values.Draw(t, "value")
		case payloadResume, payloadSkip:
			m.input = Untyped
		}
		return m
	})
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(messages, 0, 12).Draw(t, "messages")
		callers := []*caller{nil}
		for range rapid.IntRange(0, 2).Draw(t, "callers") {
			callers = append(callers, &caller{Function(rapid.Uint16().Draw(t, "caller")), ids.Draw(t, "caller's id")})
		}
		for i := range list {
			if !list[i].control() {
				list[i].caller = callers[rapid.IntRange(0, len(callers)-1).Draw(t, "sender")]
			}
		}
		first := New(rapid.IntRange(0, 4).Draw(t, "room"))
		if rapid.Bool().Draw(t, "zero batch") {
			first = &Batch{}
		}
		roundTrip(t, first, list)
	})
}

// Reset keeps memory for reuse, so that a batch allocates nothing once it has grown to its size; but it
// does not keep what one huge message needed.
func TestBatchReset(t *testing.T) {
	b := New(4)
	id, value := "an id of more than sixteen bytes", bytes.Repeat([]byte{1}, 500)
	caller := []byte(id)
	fill := func() {
		b.Reset()
		for range 20 {
			e := b.Append(1, 2, 3, id)
			e.SetCaller(b.AppendCaller(1, caller))
			b.SetWire(e, value)
			*(*[40]byte)(b.Memory(b.Append(1, 2, 3, "sixteen bytes id"), 40)) = [40]byte{}
		}
	}
	fill()
	if n := testing.AllocsPerRun(100, fill); n != 0 && !race {
		t.Errorf("a batch that is filled again allocates %v times", n)
	}
	b.Epoch = 7
	b.SetWire(b.Append(1, 2, 3, "a"), make([]byte, 2<<20))
	b.Reset()
	if cap(b.Arena) > 1<<20 || b.Epoch != 0 || b.Bytes() != 0 {
		t.Errorf("after Reset: %d bytes of arena, epoch %d, %d bytes", cap(b.Arena), b.Epoch, b.Bytes())
	}
}

// A receiver touches one cache line for a short message: nothing of it is left in the arena.
func TestShortMessagesLieInTheEnvelope(t *testing.T) {
	b := New(3)
	b.SetWire(b.Append(1, 2, 3, "sixteen bytes id"), make([]byte, InlineData))
	b.SetNamed(b.Append(1, Untyped, 3, "a"), "typename", make([]byte, InlineData-1-len("typename")))
	*(*[InlineData]byte)(b.Append(1, 2, 3, "b").Inline(InlineData)) = [InlineData]byte{}
	if got := b.Bytes(); got != 3*Size {
		t.Errorf("three short messages take %d bytes; want %d", got, 3*Size)
	}
	b.SetWire(b.Append(1, 2, 3, "a"), make([]byte, InlineData+1))
	if got := b.Bytes(); got != 4*Size+InlineData+1 {
		t.Errorf("one that is a byte too long makes it %d bytes; want %d", got, 4*Size+InlineData+1)
	}
}

// A batch is full when it has its envelopes, or so many bytes that offsets could run out: what still comes
// on top of them, the largest payload there is, has an offset of 32 bits.
func TestBatchFull(t *testing.T) {
	const payloadMax = 1 << 30
	if ArenaMax+payloadMax+4*statefun.IDBytesMax > 1<<32-1 {
		t.Errorf("an arena may have %d bytes and one payload more", ArenaMax)
	}
	b := New(1)
	b.Append(1, 2, 3, "a")
	if b.Full(2) || !b.Full(1) {
		t.Errorf("a batch with 1 envelope is full for 2: %v, for 1: %v", b.Full(2), b.Full(1))
	}
	b.Arena = make([]byte, ArenaMax+1)
	if !b.Full(2) {
		t.Errorf("a batch with %d bytes is not full", len(b.Arena))
	}
	b.Drop()
	if len(b.Envelopes) != 0 {
		t.Errorf("%d envelopes after the only one was dropped", len(b.Envelopes))
	}
}

// What a batch hands out ends where it ends: appending to it must not run over what lies behind.
func TestBatchAliases(t *testing.T) {
	b := New(2)
	e := b.Append(1, 2, 3, "a")
	e.SetCaller(b.AppendCaller(4, []byte("caller")))
	b.SetWire(e, bytes.Repeat([]byte{7}, 100))
	short := b.Append(1, 2, 3, "b")
	b.SetWire(short, []byte{8})
	_, id, _ := b.Caller(&b.Envelopes[0])
	for _, s := range [][]byte{b.Wire(&b.Envelopes[0]), b.Wire(&b.Envelopes[1]), id} {
		if cap(s) != len(s) {
			t.Errorf("%d bytes with room for %d", len(s), cap(s))
		}
	}
}
