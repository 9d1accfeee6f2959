// SPDX-License-Identifier: Apache-2.0

package statefun

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"
)

// The built-in types, wire-compatible with StateFun's io.statefun.types (statefun-sdk-protos,
// types.proto): protobuf messages with one field, number 1. Integers are fixed-width; the default value
// of a type is zero bytes on the wire, and present all the same.
var (
	Bool    = NewType("io.statefun.types/bool", appendBool, decodeBool).asFixed()
	Int32   = NewType("io.statefun.types/int", appendInt32, decodeInt32).asFixed()
	Int64   = NewType("io.statefun.types/long", appendInt64, decodeInt64).asFixed()
	Float32 = NewType("io.statefun.types/float", appendFloat32, decodeFloat32).asFixed()
	Float64 = NewType("io.statefun.types/double", appendFloat64, decodeFloat64).asFixed()
	String  = NewType("io.statefun.types/string", appendString, decodeString)
)

// Bytes makes a Type for raw bytes: the wire form is the value itself.
func Bytes(typename string) Type[[]byte] {
	return NewType(typename,
		func(dst, v []byte) ([]byte, error) { return append(dst, v...), nil },
		func(b []byte) ([]byte, error) { return append([]byte{}, b...), nil })
}

// Tags of field 1 by wire type: number<<3 | wire type.
const (
	tagVarint  = 1<<3 | wireVarint
	tagFixed64 = 1<<3 | wireFixed64
	tagBytes   = 1<<3 | wireBytes
	tagFixed32 = 1<<3 | wireFixed32
)

func appendBool(dst []byte, v bool) ([]byte, error) {
	if !v {
		return dst, nil
	}
	return append(dst, tagVarint, 1), nil
}

func appendInt32(dst []byte, v int32) ([]byte, error) { return appendFixed32(dst, uint32(v)), nil }

func appendInt64(dst []byte, v int64) ([]byte, error) { return appendFixed64(dst, uint64(v)), nil }

func appendFloat32(dst []byte, v float32) ([]byte, error) {
	return appendFixed32(dst, math.Float32bits(v)), nil
}

func appendFloat64(dst []byte, v float64) ([]byte, error) {
	return appendFixed64(dst, math.Float64bits(v)), nil
}

func appendString(dst []byte, v string) ([]byte, error) {
	if !utf8.ValidString(v) {
		return dst, errors.New("string is not valid UTF-8")
	}
	if v == "" {
		return dst, nil
	}
	dst = append(dst, tagBytes)
	dst = binary.AppendUvarint(dst, uint64(len(v)))
	return append(dst, v...), nil
}

func appendFixed32(dst []byte, bits uint32) []byte {
	if bits == 0 {
		return dst
	}
	return binary.LittleEndian.AppendUint32(append(dst, tagFixed32), bits)
}

func appendFixed64(dst []byte, bits uint64) []byte {
	if bits == 0 {
		return dst
	}
	return binary.LittleEndian.AppendUint64(append(dst, tagFixed64), bits)
}

func decodeBool(b []byte) (v bool, err error) {
	f, err := readWrapper(b, wireVarint)
	return f.bits != 0, err
}

func decodeInt32(b []byte) (int32, error) {
	f, err := readWrapper(b, wireFixed32)
	return int32(uint32(f.bits)), err
}

func decodeInt64(b []byte) (int64, error) {
	// The one form that the encoder writes, without the loop of the general reader.
	if len(b) == 9 && b[0] == tagFixed64 {
		return int64(binary.LittleEndian.Uint64(b[1:])), nil
	}
	f, err := readWrapper(b, wireFixed64)
	return int64(f.bits), err
}

func decodeFloat32(b []byte) (float32, error) {
	f, err := readWrapper(b, wireFixed32)
	return math.Float32frombits(uint32(f.bits)), err
}

func decodeFloat64(b []byte) (float64, error) {
	f, err := readWrapper(b, wireFixed64)
	return math.Float64frombits(f.bits), err
}

func decodeString(b []byte) (string, error) {
	f, err := readWrapper(b, wireBytes)
	if err == nil && !utf8.Valid(f.bytes) {
		err = errors.New("string is not valid UTF-8")
	}
	if err != nil {
		return "", err
	}
	return string(f.bytes), nil
}

// Protobuf wire types (https://protobuf.dev/programming-guides/encoding).
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireFixed32 = 5
)

type field struct {
	bits  uint64
	bytes []byte
}

// readWrapper reads a message whose field 1 has the given wire type, as any protobuf decoder does:
// unknown fields are skipped, and of a repeated field the last one counts. Groups, which no StateFun
// message has ever had, are refused.
func readWrapper(b []byte, wire uint64) (last field, err error) {
	for len(b) > 0 {
		tag, n := binary.Uvarint(b)
		if n <= 0 || tag>>3 == 0 || tag > math.MaxUint32 {
			return field{}, errors.New("bad field tag")
		}
		f, size, err := readField(b[n:], tag&7)
		if err != nil {
			return field{}, fmt.Errorf("field %d: %w", tag>>3, err)
		}
		if tag == 1<<3|wire {
			last = f
		}
		b = b[n+size:]
	}
	return last, nil
}

func readField(b []byte, wire uint64) (f field, size int, err error) {
	switch wire {
	case wireVarint:
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return field{}, 0, errors.New("bad varint")
		}
		return field{bits: v}, n, nil
	case wireFixed64:
		if len(b) < 8 {
			return field{}, 0, errors.New("truncated")
		}
		return field{bits: binary.LittleEndian.Uint64(b)}, 8, nil
	case wireFixed32:
		if len(b) < 4 {
			return field{}, 0, errors.New("truncated")
		}
		return field{bits: uint64(binary.LittleEndian.Uint32(b))}, 4, nil
	case wireBytes:
		l, n := binary.Uvarint(b)
		if n <= 0 || l > uint64(len(b)-n) {
			return field{}, 0, errors.New("truncated")
		}
		return field{bytes: b[n : n+int(l)]}, n + int(l), nil
	default:
		return field{}, 0, fmt.Errorf("unsupported wire type %d", wire)
	}
}
