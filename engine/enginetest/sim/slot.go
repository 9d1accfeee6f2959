// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"bytes"
	"fmt"
	"time"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/remote"
)

// slot is a state value that the model knows as a number: what is kept follows from it.
type slot interface {
	// declare makes the value one of a function of this process.
	declare(s *engine.Schema)
	// has reports whether there is a value.
	has(ctx *engine.Context) bool
	// check compares what the engine says with the number; nil is an absent value.
	check(ctx *engine.Context, want *uint64) error
	set(ctx *engine.Context, v uint64)
	edit(ctx *engine.Context, was *uint64, v uint64) error
	clear(ctx *engine.Context)
	// encoded returns the name and the wire form of the value.
	encoded(v uint64) (name string, wire []byte)
	// spec is how a function elsewhere declares the value.
	spec() remote.Spec
	// lease says when it expires.
	lease() lease
}

// lease is when a state value expires: so long, in milliseconds, after what moves its time has happened.
type lease struct {
	moves moves
	ttl   int64
}

// moves is what moves the time of a value, beside that it is written.
type moves int

const (
	never moves = iota // It does not expire.
	nothing
	invocation // Elsewhere, and exactly: a request.
	reading    // As all invocations do here.
)

type value[T any] struct {
	name  string
	typ   engine.Type[T]
	value engine.Value[T]
	of    func(uint64) T
	kept  lease
}

// newSlot returns a state value.
func newSlot[T any](name string, t engine.Type[T], of func(uint64) T) slot {
	return newLeased(name, t, of, lease{})
}

// newLeased returns a state value that expires.
func newLeased[T any](name string, t engine.Type[T], of func(uint64) T, l lease) slot {
	return &value[T]{name: name, typ: t, of: of, kept: l}
}

func (s *value[T]) declare(schema *engine.Schema) {
	switch d := time.Duration(s.kept.ttl) * time.Millisecond; s.kept.moves {
	case nothing:
		s.value = engine.NewValue(schema, s.name, s.typ, engine.AfterWrite(d))
	case invocation:
		s.value = engine.NewValue(schema, s.name, s.typ, engine.AfterInvoke(d))
	case reading:
		s.value = engine.NewValue(schema, s.name, s.typ, engine.AfterReadOrWrite(d))
	default:
		s.value = engine.NewValue(schema, s.name, s.typ)
	}
}

func (s *value[T]) lease() lease { return s.kept }

func (s *value[T]) has(ctx *engine.Context) bool {
	_, ok := s.value.Lookup(ctx)
	return ok
}

func (s *value[T]) check(ctx *engine.Context, want *uint64) error {
	got, ok := s.value.Lookup(ctx)
	switch {
	case ok != (want != nil):
		return fmt.Errorf("state %s: present is %v", s.name, ok)
	case !s.is(got, want) || !s.is(s.value.Get(ctx), want):
		return fmt.Errorf("state %s: not what was set last", s.name)
	}
	return nil
}

func (s *value[T]) is(got T, want *uint64) bool {
	var expected T
	if want != nil {
		expected = s.of(*want)
	}
	a, errA := s.typ.Append(nil, got)
	b, errB := s.typ.Append(nil, expected)
	return errA == nil && errB == nil && bytes.Equal(a, b)
}

func (s *value[T]) set(ctx *engine.Context, v uint64) { s.value.Set(ctx, s.of(v)) }

func (s *value[T]) edit(ctx *engine.Context, was *uint64, v uint64) error {
	p := s.value.Edit(ctx)
	if !s.is(*p, was) {
		return fmt.Errorf("state %s: Edit does not show what was set last", s.name)
	}
	*p = s.of(v)
	return nil
}

func (s *value[T]) clear(ctx *engine.Context) { s.value.Clear(ctx) }

func (s *value[T]) encoded(v uint64) (name string, wire []byte) {
	wire, err := s.typ.Append(nil, s.of(v))
	if err != nil {
		panic(err)
	}
	return s.name, wire
}

func (s *value[T]) spec() remote.Spec {
	spec := remote.Spec{Name: s.name, Typename: s.typ.Typename(), TTL: s.kept.ttl}
	switch s.kept.moves {
	case nothing:
		spec.Expiry = remote.AfterWrite
	case invocation:
		spec.Expiry = remote.AfterInvoke
	}
	return spec
}
