// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"math/bits"
	"time"
	"unsafe"

	"github.com/millrace-io/millrace/engine/internal/checkpoint"
	"github.com/millrace-io/millrace/engine/internal/shard"
)

// Schema collects what a function type keeps. It is passed to the function that makes the implementation,
// and is of no use afterwards.
type Schema struct {
	fn     FunctionType
	owner  unsafe.Pointer
	values []shard.Value
	bytes  uintptr
	errs   []error

	counters []*counted
}

// FunctionType returns the function type that is being made.
func (s *Schema) FunctionType() FunctionType { return s.fn }

// Value is one value of an instance's state. It is a name and a place, the same for all instances: keep
// it in the object that implements the function.
type Value[T any] struct {
	// Four fields and no more: the compiler keeps structs of up to four fields, and four words, in registers, and
	// others in memory, where every call copies them.
	owner  unsafe.Pointer // Of the function type that declared it; nil in a zero Value.
	kept   *kept[T]       // nil: as it lies in memory, for ever.
	offset uint32
	bit    uint32
}

// kept is how a value is kept that is not simply kept.
type kept[T any] struct {
	typ    Type[T]
	coded  bool         // In its encoding, in a cell.
	expiry shard.Expiry // What moves its time on.
}

// inlineMax is the largest value that is kept in the instance's row as it lies in memory. Beyond it, an
// instance without the value would pay too much for its place.
const inlineMax = 256

// NewValue declares a state value. Values of a fixed size (numbers, Bool, Flat types) of up to 256 bytes
// are kept as they lie in memory; all others are kept encoded, so that each Get decodes and each Set
// encodes, and nothing that can be changed is shared between invocations.
//
// With an Expiration, of which a value has one at most, it is gone when its time is over: whole, for every
// invocation from that millisecond on, as if it had never been set. Time goes on while the engine does not run.
// When another time is declared for a value that a checkpoint has, it counts from the same moment; when there
// was none before, it counts from the first start with one.
func NewValue[T any](s *Schema, name string, t Type[T], ttl ...Expiration) Value[T] {
	var zero T
	v := Value[T]{owner: s.owner, bit: 1 << len(s.values)}
	k := kept[T]{typ: t}
	size := unsafe.Sizeof(zero)
	declared := shard.Value{Name: name, Typename: t.Typename(), Number: len(s.values)}
	if t.IsFixed() && size <= inlineMax {
		declared.Encode = func(dst []byte, p unsafe.Pointer) ([]byte, error) { return t.Append(dst, *(*T)(p)) }
		declared.Decode = func(p unsafe.Pointer, b []byte) (err error) {
			*(*T)(p), err = t.Decode(b)
			return err
		}
	} else {
		k.coded = true
		size = shard.CellBytes
	}
	const align = 8
	offset := (s.bytes + align - 1) &^ (align - 1)
	if len(ttl) > 0 {
		declared.Expiry, declared.TTL = ttl[0].mode, milliseconds(ttl[0].ttl)
		k.expiry = declared.Expiry
		offset += shard.StampBytes
	}
	declared.Offset, declared.Bytes = offset, size
	s.bytes = offset + size
	v.offset = uint32(offset) // A function type has at most 32 values, of 256 bytes each.
	if k.coded || k.expiry != shard.Never {
		v.kept = &k
	}

	switch {
	case len(ttl) > 1:
		s.errs = append(s.errs, fmt.Errorf("%s: state value %q has %d expirations: one is possible", s.fn, name, len(ttl)))
	case len(ttl) == 1 && ttl[0].ttl < time.Millisecond:
		s.errs = append(s.errs, fmt.Errorf("%s: state value %q expires after %v: want at least 1ms", s.fn, name, ttl[0].ttl))
	}
	switch {
	case name == "":
		s.errs = append(s.errs, fmt.Errorf("%s: a state value has no name", s.fn))
	case t.IsZero():
		s.errs = append(s.errs, fmt.Errorf("%s: state value %q has a Type that was never made", s.fn, name))
	case len(s.values) == checkpoint.ValuesMax:
		s.errs = append(s.errs, fmt.Errorf("%s: state value %q is one too many: at most %d are possible", s.fn, name, checkpoint.ValuesMax))
	}
	for _, other := range s.values {
		if other.Name == name {
			s.errs = append(s.errs, fmt.Errorf("%s: two state values are named %q", s.fn, name))
		}
	}
	s.values = append(s.values, declared)
	return v
}

// Expiration says when a state value expires: made by [AfterWrite], [AfterReadOrWrite] or [AfterInvoke].
type Expiration struct {
	mode shard.Expiry
	ttl  time.Duration
}

// AfterWrite has a value expire when d, at least a millisecond and rounded up to whole ones, has passed since
// the last Set or Edit of it that took effect.
func AfterWrite(d time.Duration) Expiration { return Expiration{shard.AfterWrite, d} }

// AfterReadOrWrite is AfterWrite, and Get and Lookup move the time on as well. That is a change of the instance,
// which a checkpoint must know; so it is not made more often than every 64th of d, and a value that is read may
// be kept that much longer. It is never gone early.
func AfterReadOrWrite(d time.Duration) Expiration { return Expiration{shard.AfterReadOrWrite, d} }

// AfterInvoke is AfterWrite, and every invocation of the instance that takes effect moves the time on as well,
// whether it uses the value or not; within a 64th of d, as with AfterReadOrWrite.
func AfterInvoke(d time.Duration) Expiration { return Expiration{shard.AfterInvoke, d} }

// Get returns the value, or the zero T when there is none.
func (v Value[T]) Get(ctx *Context) T {
	if v.owner != ctx.inv.Owner() {
		badValue(ctx)
	}
	if v.kept != nil {
		t, _ := v.read(ctx)
		return t
	}
	return *(*T)(v.at(ctx)) // What is absent is kept zero.
}

// Lookup returns the value and whether there is one: a zero that was set is.
func (v Value[T]) Lookup(ctx *Context) (T, bool) {
	if v.owner != ctx.inv.Owner() {
		badValue(ctx)
	}
	if v.kept != nil {
		return v.read(ctx)
	}
	return *(*T)(v.at(ctx)), ctx.inv.Row.Present&v.bit != 0
}

// Set sets the value.
func (v Value[T]) Set(ctx *Context, t T) {
	if v.owner != ctx.inv.Owner() {
		badValue(ctx)
	}
	ctx.inv.Touch()
	if v.kept != nil {
		v.stamp(ctx)
		if v.kept.coded {
			v.encode(ctx, t)
			return
		}
	}
	ctx.inv.Row.Present |= v.bit
	*(*T)(v.at(ctx)) = t
}

// Edit returns the value for change in place, until the handler returns. The value is present from then
// on: it starts as the zero T when there was none.
func (v Value[T]) Edit(ctx *Context) *T {
	if v.owner != ctx.inv.Owner() {
		badValue(ctx)
	}
	ctx.inv.Touch()
	if v.kept != nil {
		v.stamp(ctx)
		if v.kept.coded {
			return v.edit(ctx)
		}
	}
	ctx.inv.Row.Present |= v.bit
	return (*T)(v.at(ctx))
}

// Clear removes the value.
func (v Value[T]) Clear(ctx *Context) {
	if v.owner != ctx.inv.Owner() {
		badValue(ctx)
	}
	ctx.inv.Touch()
	if v.kept != nil && v.kept.coded {
		ctx.inv.DropEdit(uintptr(v.offset))
		ctx.inv.SetBytes((*shard.Cell)(v.at(ctx)), nil)
	} else {
		var zero T
		*(*T)(v.at(ctx)) = zero
	}
	ctx.inv.Row.Present &^= v.bit
}

// read is Lookup for what is not simply kept.
func (v Value[T]) read(ctx *Context) (T, bool) {
	if v.kept.expiry == shard.AfterReadOrWrite {
		ctx.inv.Read(bits.TrailingZeros32(v.bit))
	}
	if v.kept.coded {
		return v.decode(ctx)
	}
	return *(*T)(v.at(ctx)), ctx.inv.Row.Present&v.bit != 0
}

// stamp notes when a value is written that expires.
func (v Value[T]) stamp(ctx *Context) {
	if v.kept.expiry != shard.Never {
		ctx.inv.Wrote(uintptr(v.offset))
	}
}

// badValue keeps a Value that is not the running function's from reaching into its memory.
func badValue(ctx *Context) {
	panic(fmt.Sprintf("engine: a state value of %s was never declared with NewValue, or belongs to another function type", ctx.inv.Self().Type))
}

func (v Value[T]) at(ctx *Context) unsafe.Pointer { return unsafe.Add(ctx.inv.State, v.offset) }

func (v Value[T]) decode(ctx *Context) (t T, ok bool) {
	if e := ctx.inv.Edited(uintptr(v.offset)); e != nil {
		return *e.(*T), true
	}
	if ctx.inv.Row.Present&v.bit == 0 {
		return t, false
	}
	t, err := v.kept.typ.Decode(ctx.inv.Bytes((*shard.Cell)(v.at(ctx))))
	if err != nil {
		ctx.inv.Fail(fmt.Errorf("state: %w", err))
	}
	return t, true
}

func (v Value[T]) encode(ctx *Context, t T) {
	ctx.inv.DropEdit(uintptr(v.offset))
	v.store(ctx, t)
}

func (v Value[T]) store(ctx *Context, t T) {
	b, err := v.kept.typ.Append(ctx.buf[:0], t)
	if err != nil {
		ctx.inv.Fail(fmt.Errorf("state: %w", err))
		return
	}
	ctx.buf = b
	ctx.inv.SetBytes((*shard.Cell)(v.at(ctx)), b)
	ctx.inv.Row.Present |= v.bit
}

// edit decodes the value once and has it encoded when the handler returns.
func (v Value[T]) edit(ctx *Context) *T {
	if e := ctx.inv.Edited(uintptr(v.offset)); e != nil {
		return e.(*T)
	}
	t, _ := v.decode(ctx)
	p := &t
	ctx.inv.AddEdit(shard.Edit{Offset: uintptr(v.offset), Value: p, Flush: func() { v.store(ctx, *p) }})
	return p
}
