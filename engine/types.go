// SPDX-License-Identifier: Apache-2.0

package engine

import "github.com/millrace-io/millrace/engine/statefun"

// The vocabulary of package statefun, so that handlers need one import.
type (
	Address      = statefun.Address
	FunctionType = statefun.FunctionType
	TypedValue   = statefun.TypedValue
)

// Type says how a Go type is written on the wire; see [statefun.Type].
type Type[T any] = statefun.Type[T]

// The built-in types, wire-compatible with StateFun's.
var (
	Bool    = statefun.Bool
	Int32   = statefun.Int32
	Int64   = statefun.Int64
	Float32 = statefun.Float32
	Float64 = statefun.Float64
	String  = statefun.String
)

// JSON makes a Type whose wire form is JSON; see [statefun.JSON].
func JSON[T any](typename string) Type[T] { return statefun.JSON[T](typename) }

// Flat makes a Type for a pointer-free struct of fixed size; see [statefun.Flat].
func Flat[T any](typename string) Type[T] { return statefun.Flat[T](typename) }

// Bytes makes a Type for raw bytes; see [statefun.Bytes].
func Bytes(typename string) Type[[]byte] { return statefun.Bytes(typename) }

// NewType makes a Type from a codec; see [statefun.NewType].
func NewType[T any](typename string, enc func(dst []byte, v T) ([]byte, error), dec func(b []byte) (T, error)) Type[T] {
	return statefun.NewType(typename, enc, dec)
}
