// SPDX-License-Identifier: Apache-2.0

package statefun

import (
	"encoding/json"
	"errors"
	"fmt"
)

// ErrUndecodable is returned when bytes are not an encoding of the type that they are said to have.
var ErrUndecodable = errors.New("undecodable")

// Type says how a Go type T is written on the wire: under which typename and in which bytes. The zero
// Type is not usable; Types are made once, by [NewType], [JSON] or [Flat], and are safe for
// concurrent use.
type Type[T any] struct{ codec *coding[T] } // One word, which every message passes on.

type coding[T any] struct {
	typename string
	appendTo func(dst []byte, v T) ([]byte, error)
	decode   func(b []byte) (T, error)
	fixed    bool
}

// NewType makes a Type from a codec. enc appends the encoding of v to dst and returns the extended
// slice; dec must copy what it keeps of b. A malformed typename panics, as it does everywhere a name is
// written in the program text.
func NewType[T any](typename string, enc func(dst []byte, v T) ([]byte, error), dec func(b []byte) (T, error)) Type[T] {
	if err := ValidateTypename(typename); err != nil {
		panic("statefun: NewType: " + err.Error())
	}
	return Type[T]{&coding[T]{typename: typename, appendTo: enc, decode: dec}}
}

// JSON makes a Type whose wire form is the JSON of T.
func JSON[T any](typename string) Type[T] {
	return NewType(typename,
		func(dst []byte, v T) ([]byte, error) {
			b, err := json.Marshal(v)
			return append(dst, b...), err
		},
		func(b []byte) (v T, err error) {
			err = json.Unmarshal(b, &v)
			return v, err
		})
}

// Typename is the name of the type on the wire.
func (t Type[T]) Typename() string {
	if t.codec == nil {
		return ""
	}
	return t.codec.typename
}

// Append appends the wire form of v to dst.
func (t Type[T]) Append(dst []byte, v T) ([]byte, error) {
	out, err := t.codec.appendTo(dst, v)
	if err != nil {
		return dst, fmt.Errorf("%s: encode: %w", t.codec.typename, err)
	}
	return out, nil
}

// Decode reads the wire form of a value. It keeps nothing of b. Its errors match [ErrUndecodable].
func (t Type[T]) Decode(b []byte) (T, error) {
	v, err := t.codec.decode(b)
	if err != nil {
		return t.codec.undecodable(err)
	}
	return v, nil
}

func (c *coding[T]) undecodable(err error) (none T, _ error) { // And not what a codec has read by then.
	return none, fmt.Errorf("%s: %w: %w", c.typename, ErrUndecodable, err)
}

// IsFixed reports whether T has a fixed size and no pointers, and every T can be encoded: the number
// types, Bool, and what [Flat] makes. Such values are kept and passed on as they lie in memory, and
// encoded only where bytes are needed.
func (t Type[T]) IsFixed() bool { return t.codec != nil && t.codec.fixed }

func (t Type[T]) asFixed() Type[T] {
	t.codec.fixed = true
	return t
}

// IsZero reports whether t was never made.
func (t Type[T]) IsZero() bool { return t.codec == nil }
