// SPDX-License-Identifier: Apache-2.0

package statefun

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"reflect"
	"unsafe"
)

// Flat makes a Type for a struct, an array or a number of fixed size without pointers: its fields in
// order, little-endian, without padding. It panics when T is not of that kind. Flat types are for
// values that only Go programs read; they are the fastest state and messages there are.
func Flat[T any](typename string) Type[T] {
	var zero T
	t := reflect.TypeFor[T]()
	size := binary.Size(zero)
	if size < 0 || !PointerFree(t) {
		panic(fmt.Sprintf("statefun: Flat(%q): %v has fields without a fixed size", typename, t))
	}
	if uintptr(size) == unsafe.Sizeof(zero) && littleEndian && !hasBool(t) {
		return NewType(typename, appendMemory[T], decodeMemory[T]).asFixed()
	}
	return NewType(typename,
		func(dst []byte, v T) ([]byte, error) { return binary.Append(dst, binary.LittleEndian, v) },
		func(b []byte) (v T, err error) {
			if len(b) != size {
				return v, fmt.Errorf("%d bytes, want %d", len(b), size)
			}
			err = binary.Read(bytes.NewReader(b), binary.LittleEndian, &v)
			return v, err
		}).asFixed()
}

// appendMemory and decodeMemory serve where memory and encoding are the same bytes: no padding, the
// machine's order, and every pattern of bits a value.
func appendMemory[T any](dst []byte, v T) ([]byte, error) {
	return append(dst, unsafe.Slice((*byte)(unsafe.Pointer(&v)), unsafe.Sizeof(v))...), nil
}

func decodeMemory[T any](b []byte) (v T, err error) {
	if uintptr(len(b)) != unsafe.Sizeof(v) {
		return v, fmt.Errorf("%d bytes, want %d", len(b), unsafe.Sizeof(v))
	}
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&v)), unsafe.Sizeof(v)), b)
	return v, nil
}

var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

func hasBool(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Bool:
		return true
	case reflect.Array:
		return hasBool(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if hasBool(t.Field(i).Type) {
				return true
			}
		}
	}
	return false
}

// PointerFree reports whether values of t hold no pointers, so that their memory may be copied and kept
// where the garbage collector does not look.
func PointerFree(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Bool, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr,
		reflect.Float32, reflect.Float64, reflect.Complex64, reflect.Complex128:
		return true
	case reflect.Array:
		return t.Len() == 0 || PointerFree(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if !PointerFree(t.Field(i).Type) {
				return false
			}
		}
		return true
	default:
		return false
	}
}
