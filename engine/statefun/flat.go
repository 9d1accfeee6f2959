// SPDX-License-Identifier: Apache-2.0

package statefun

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"slices"
	"unsafe"
)

// Flat makes a Type for a struct, an array or a number of fixed size without pointers: its fields in
// order, little-endian, without padding, a blank field as zeros. It panics when T is not of that kind;
// int, uint and uintptr are not, for their size is the machine's. Flat types are for values that only
// Go programs read; they are the fastest state and messages there are.
func Flat[T any](typename string) Type[T] {
	t := reflect.TypeFor[T]()
	runs, ok := appendRuns(nil, t, 0)
	if !ok {
		panic(fmt.Sprintf("statefun: Flat(%q): %v has fields without a fixed size", typename, t))
	}
	size := totalBytes(runs)
	return NewType(typename,
		func(dst []byte, v T) ([]byte, error) { return appendMemory(dst, memory(&v), runs), nil },
		func(b []byte) (v T, err error) {
			if len(b) != size {
				return v, fmt.Errorf("%d bytes, want %d", len(b), size)
			}
			decodeMemory(memory(&v), b, runs)
			return v, nil
		}).asFixed()
}

// run is a piece of a value's memory that is also a piece of its encoding. Without padding, booleans
// and blank fields there is one for the whole value, and encoding it is one copy. Package
// encoding/binary writes the same bytes by reflection, which takes 200 ns for a small struct, and it
// panics when it reads a field that is not exported.
type run struct {
	at    uintptr // Where it begins in memory.
	bytes int
	unit  int // The bytes of one number where the machine's order is not the encoding's, else 1.
	kind  runKind
}

type runKind uint8

const (
	numbers  runKind = iota
	booleans         // Not every pattern of bits is one.
	blanks           // Zeros, whatever memory has.
)

// appendRuns appends the runs of a value of type t whose memory begins at a place.
func appendRuns(runs []run, t reflect.Type, at uintptr) (_ []run, ok bool) {
	bytes := int(t.Size())
	switch t.Kind() {
	case reflect.Bool:
		return join(runs, run{at, bytes, 1, booleans}), true
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint8, reflect.Uint16, reflect.Uint32,
		reflect.Uint64, reflect.Float32, reflect.Float64:
		return join(runs, run{at, bytes, bytes, numbers}), true
	case reflect.Complex64, reflect.Complex128:
		return join(runs, run{at, bytes, bytes / 2, numbers}), true
	case reflect.Array:
		ok = true
		for i := 0; i < t.Len() && ok; i++ {
			runs, ok = appendRuns(runs, t.Elem(), at+uintptr(i)*t.Elem().Size())
		}
		return runs, ok
	case reflect.Struct:
		ok = true
		for i := 0; i < t.NumField() && ok; i++ {
			if f := t.Field(i); f.Name == "_" {
				var skipped []run
				skipped, ok = appendRuns(nil, f.Type, 0)
				runs = append(runs, run{bytes: totalBytes(skipped), kind: blanks})
			} else {
				runs, ok = appendRuns(runs, f.Type, at+f.Offset)
			}
		}
		return runs, ok
	default:
		return runs, false
	}
}

// join appends r, to the last run if it goes on there.
func join(runs []run, r run) []run {
	if littleEndian {
		r.unit = 1
	}
	if n := len(runs); n > 0 {
		last := &runs[n-1]
		if last.kind == r.kind && last.unit == r.unit && last.at+uintptr(last.bytes) == r.at {
			last.bytes += r.bytes
			return runs
		}
	}
	return append(runs, r)
}

var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

func totalBytes(runs []run) (bytes int) {
	for _, r := range runs {
		bytes += r.bytes
	}
	return bytes
}

func memory[T any](v *T) []byte { return unsafe.Slice((*byte)(unsafe.Pointer(v)), unsafe.Sizeof(*v)) }

func appendMemory(dst, memory []byte, runs []run) []byte {
	for _, r := range runs {
		if r.kind == blanks {
			dst = append(dst, make([]byte, r.bytes)...)
			continue
		}
		dst = append(dst, memory[r.at:r.at+uintptr(r.bytes)]...)
		reverse(dst[len(dst)-r.bytes:], r.unit)
	}
	return dst
}

func decodeMemory(memory, b []byte, runs []run) {
	for _, r := range runs {
		switch to := memory[r.at : r.at+uintptr(r.bytes)]; r.kind {
		case numbers:
			copy(to, b)
			reverse(to, r.unit)
		case booleans:
			for i := range to {
				to[i] = min(b[i], 1)
			}
		case blanks:
		}
		b = b[r.bytes:]
	}
}

// reverse turns the bytes of each number around.
func reverse(b []byte, unit int) {
	if unit == 1 {
		return
	}
	for ; len(b) > 0; b = b[unit:] {
		slices.Reverse(b[:unit])
	}
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
