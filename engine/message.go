// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"strings"
	"time"
	"unsafe"

	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/internal/shard"
	"github.com/millrace-io/millrace/engine/statefun"
)

// Input is one kind of message of one function type: what to send. To says to whom.
type Input[M any] struct{ in *input[M] }

// input is what an Input names.
type input[M any] struct {
	inputDeclaration
	typ   Type[M]
	fixed bool
}

// Ref is an address that accepts an M.
type Ref[M any] struct {
	in *input[M]
	id string
}

// To names the instance with the given id.
func (i Input[M]) To(id string) Ref[M] { return Ref[M]{i.in, id} }

// Same names the instance with the id of the running one. No id is built, copied or hashed, and the
// message does not leave the shard.
func (i Input[M]) Same() Same[M] { return Same[M](i) }

// Typename returns the typename of the message.
func (i Input[M]) Typename() string { return i.in.typename }

// RefOf makes a Ref from an address, whose function type must be the input's.
func RefOf[M any](in Input[M], a Address) (Ref[M], error) {
	if a.Type != in.in.fn.typ {
		return Ref[M]{}, fmt.Errorf("engine: %v is no instance of %v: %w", a, in.in.fn.typ, ErrMalformed)
	}
	if err := a.Validate(); err != nil {
		return Ref[M]{}, fmt.Errorf("engine: %w", err)
	}
	return in.To(a.ID), nil
}

// Address returns the address. The zero Ref has none.
func (r Ref[M]) Address() Address {
	if r.in == nil {
		return Address{}
	}
	return Address{Type: r.in.fn.typ, ID: r.id}
}

// Send sends m when the invocation takes effect.
func (r Ref[M]) Send(ctx *Context, m M) { r.in.send(ctx, statefun.KeyHash(r.id), r.id, m) }

// SendAfter sends m when d has passed in engine time, to the millisecond, rounded up. The token cancels it.
func (r Ref[M]) SendAfter(ctx *Context, d time.Duration, m M) Token {
	return r.in.sendAfter(ctx, d, statefun.KeyHash(r.id), r.id, m)
}

// Same is the address of one function type with the id of the running instance.
type Same[M any] struct{ in *input[M] }

// Send sends m when the invocation takes effect.
func (s Same[M]) Send(ctx *Context, m M) {
	id, hash := ctx.inv.SelfID()
	s.in.send(ctx, hash, alias(id), m)
}

// SendAfter sends m when d has passed in engine time, to the millisecond, rounded up. The token cancels it.
func (s Same[M]) SendAfter(ctx *Context, d time.Duration, m M) Token {
	id, hash := ctx.inv.SelfID()
	return s.in.sendAfter(ctx, d, hash, alias(id), m)
}

// Token names a delayed message, for [Context.Cancel]. The zero Token names none. It may be kept in state
// and is meant for the instance that sent the message, or another with the same id.
type Token uint64

// Tokens is the Type of a Token, for state values.
var Tokens = Flat[Token]("io.millrace.types/token")

func (in *input[M]) send(ctx *Context, hash uint64, id string, m M) {
	l := ctx.link(&in.inputDeclaration, id)
	if l == nil {
		return
	}
	b, e := ctx.inv.Post(l.fn, l.input, hash, id)
	in.write(ctx, b, e, l, m)
}

func (in *input[M]) sendAfter(ctx *Context, d time.Duration, hash uint64, id string, m M) Token {
	l := ctx.link(&in.inputDeclaration, id)
	if l == nil {
		return 0
	}
	b, e, token := ctx.inv.PostAfter(milliseconds(d), l.fn, l.input, hash, id)
	in.write(ctx, b, e, l, m)
	return Token(token)
}

// milliseconds rounds up: nothing fires early.
func milliseconds(d time.Duration) int64 {
	if d < 0 {
		return -1
	}
	ms := int64(d / time.Millisecond)
	if d%time.Millisecond != 0 {
		ms++
	}
	return ms
}

// write puts the payload into an envelope: as it lies in memory if both sides have the same Go type and
// that type is fixed, encoded otherwise.
func (in *input[M]) write(ctx *Context, b *envelope.Batch, e *envelope.Envelope, l *link, m M) {
	if in.fixed && l.memory {
		in.writeFixed(b, e, m)
		return
	}
	if err := encode(b, e, l.input, in.typ, m, ctx.links.limits.PayloadBytesMax); err != nil {
		ctx.inv.Fail(err)
	}
}

func (in *input[M]) writeFixed(b *envelope.Batch, e *envelope.Envelope, m M) {
	if unsafe.Sizeof(m) <= envelope.InlineData {
		*(*M)(e.Inline(unsafe.Sizeof(m))) = m
	} else {
		*(*M)(b.Memory(e, unsafe.Sizeof(m))) = m
	}
}

// encode writes the wire encoding of a payload, with its typename if the receiver has no number for it.
func encode[M any](b *envelope.Batch, e *envelope.Envelope, to envelope.Input, t Type[M], m M, most int) error {
	start := len(b.Arena)
	if to == envelope.Untyped {
		b.BeginNamed(t.Typename())
	}
	value := len(b.Arena)
	arena, err := t.Append(b.Arena, m)
	if err != nil {
		return err
	}
	b.Arena = arena // Also when it is too long: the envelope is cut off with all else.
	if n := len(arena) - value; n > most {
		return fmt.Errorf("%s of %d bytes: %w of %d", t.Typename(), n, ErrLimit, most)
	}
	b.EndWire(e, start)
	return nil
}

// sendTyped sends to an address by number: to a caller, whose contract is not known here.
func sendTyped[M any](ctx *Context, fn envelope.Function, id string, t Type[M], m M) {
	in := envelope.Untyped
	if f := ctx.inv.Function(fn); !f.External {
		if number, ok := f.ByTypename[t.Typename()]; ok {
			in = number
		}
	}
	b, e := ctx.inv.Post(fn, in, statefun.KeyHash(id), id)
	if err := encode(b, e, in, t, m, ctx.links.limits.PayloadBytesMax); err != nil {
		ctx.inv.Fail(err)
	}
}

// link is where the messages of a declared input go in one engine.
type link struct {
	fn     envelope.Function
	input  envelope.Input
	bound  bool
	text   bool // Ids must be UTF-8: the receiver runs elsewhere.
	memory bool // The receiver's Go type is the same and fixed.
}

// links are an engine's links, by the number of the input.
type links struct {
	byInput   []link
	directory *directory
	// egresses are those that have a sink.
	egresses map[string]envelope.Function
	limits   shard.Limits
}

// egressNames are the egresses by the two parts of their names.
func (l *links) egressNames() map[shard.EgressName]envelope.Function {
	names := make(map[shard.EgressName]envelope.Function, len(l.egresses))
	for id, number := range l.egresses {
		slash := strings.LastIndexByte(id, '/')
		names[shard.EgressName{Namespace: id[:slash], Name: id[slash+1:]}] = number
	}
	return names
}

// of returns where the messages of an input go, or nil.
func (l *links) of(in *inputDeclaration) *link {
	if uint(in.number) < uint(len(l.byInput)) && l.byInput[in.number].bound {
		return &l.byInput[in.number]
	}
	return nil
}

// missing says why an input has no link.
func (l *links) missing(in *inputDeclaration) error {
	if _, known := l.directory.number(in.fn.typ); known {
		return fmt.Errorf("%s to %s: %w", in.typename, in.fn.typ, ErrNoInput)
	}
	return fmt.Errorf("%s: %w", in.fn.typ, ErrNoFunction)
}

func newLinks(d *directory, limits shard.Limits) *links {
	declared.mu.Lock()
	defer declared.mu.Unlock()
	l := &links{
		byInput: make([]link, len(declared.inputs)), directory: d, limits: limits,
	}
	for i, in := range declared.inputs {
		number, ok := d.number(in.fn.typ)
		if !ok {
			continue
		}
		f := d.at(number)
		l.byInput[i] = link{fn: number, input: envelope.Untyped, bound: f.any != nil || f.external || f.endpoint != nil, text: f.endpoint != nil}
		if target, ok := f.byTypename[in.typename]; ok {
			receiver := f.inputs[target]
			l.byInput[i].input, l.byInput[i].bound = target, true
			l.byInput[i].memory = receiver.memory != nil && receiver.goType == in.goType
		}
	}
	return l
}

// alias views bytes as a string for the length of a call that copies it.
func alias(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
