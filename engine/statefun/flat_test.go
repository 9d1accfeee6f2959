// SPDX-License-Identifier: Apache-2.0

package statefun

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// packed has no padding in memory, padded has, and booleans, blanks and arrays of structs besides.
type (
	packed struct {
		A int64
		B int32
		C [2]int16
	}
	padded struct {
		A uint8
		B int64
		C bool
		_ [3]byte
		D [2]struct {
			X uint16
			Y bool
		}
		E float32
		F complex64
		_ int16
	}
	// hidden is padded of which nothing is exported.
	hidden struct {
		a uint8
		b int64
		c bool
		_ [3]byte
		d [2]struct {
			x uint16
			y bool
		}
		e float32
		f complex64
		_ int16
	}
	word32 uint32
)

func TestFlatGolden(t *testing.T) {
	const paddedWire = "01 0200000000000000 01 000000 0300 00 0400 01 0000c03f 0000803f 00000040 0000"
	var p padded
	p.A, p.B, p.C, p.E, p.F = 1, 2, true, 1.5, complex(1, 2)
	p.D[0].X, p.D[1].X, p.D[1].Y = 3, 4, true
	var h hidden
	h.a, h.b, h.c, h.e, h.f = 1, 2, true, 1.5, complex(1, 2)
	h.d[0].x, h.d[1].x, h.d[1].y = 3, 4, true

	flatGolden(t, packed{A: 1, B: -2, C: [2]int16{3, -4}}, "0100000000000000 feffffff 0300 fcff")
	flatGolden(t, p, paddedWire)
	flatGolden(t, h, paddedWire)
	flatGolden(t, word32(0x12345678), "78563412")
	flatGolden(t, int8(-1), "ff")
	flatGolden(t, true, "01")
	flatGolden(t, 1.5, "000000000000f83f")
	flatGolden(t, [3]uint16{1, 2, 3}, "0100 0200 0300")
	flatGolden(t, [2]bool{true, false}, "01 00")
	flatGolden(t, [2]float32{math.Float32frombits(0x80000000), 1}, "00000080 0000803f")
	flatGolden(t, struct{}{}, "")
	flatGolden(t, [0]int64{}, "")
	flatGolden(t, complex(1.0, 2.0), "000000000000f03f 0000000000000040")
}

func flatGolden[T comparable](t *testing.T, v T, wire string) {
	t.Helper()
	typ, want := Flat[T]("shop/flat"), unhex(t, wire)
	got, err := typ.Append([]byte("head"), v)
	if err != nil || !bytes.Equal(got, append([]byte("head"), want...)) {
		t.Errorf("%T: encoded % x, %v; want % x behind head", v, got, err, want)
	}
	if back, err := typ.Decode(want); back != v || err != nil {
		t.Errorf("%T: decoded %+v, %v; want %+v", v, back, err, v)
	}
	if !typ.IsFixed() {
		t.Errorf("%T is not fixed", v)
	}
	for _, b := range [][]byte{append(want, 0), want[:max(len(want), 1)-1]} {
		if len(b) == len(want) {
			continue
		}
		if back, err := typ.Decode(b); !errors.Is(err, ErrUndecodable) {
			t.Errorf("%T: decoded %+v, %v from %d bytes; want ErrUndecodable", v, back, err, len(b))
		}
	}
}

// Package encoding/binary has the same format, for what is exported, and another implementation.
func TestFlatAgainstBinary(t *testing.T) {
	t.Run("packed", func(t *testing.T) { rapid.Check(t, flatAgainstBinary[packed]) })
	t.Run("padded", func(t *testing.T) { rapid.Check(t, flatAgainstBinary[padded]) })
	t.Run("bool", func(t *testing.T) { rapid.Check(t, flatAgainstBinary[bool]) })
	t.Run("array", func(t *testing.T) { rapid.Check(t, flatAgainstBinary[[3]struct{ A, B bool }]) })
}

func flatAgainstBinary[T comparable](t *rapid.T) {
	typ := Flat[T]("shop/flat")
	size := binary.Size(*new(T))
	wire := rapid.SliceOfN(rapid.Byte(), size, size).Draw(t, "wire")
	var want T
	if _, err := binary.Decode(wire, binary.LittleEndian, &want); err != nil {
		t.Fatal(err)
	}
	if same := want; same != want {
		t.Skip("encoding/binary changes the bits of some numbers that are none")
	}
	got, err := typ.Decode(wire)
	if err != nil || got != want {
		t.Fatalf("% x: decoded %+v, %v; want %+v", wire, got, err, want)
	}
	wantWire, err := binary.Append(nil, binary.LittleEndian, want)
	if err != nil {
		t.Fatal(err)
	}
	if gotWire, err := typ.Append(nil, want); err != nil || !bytes.Equal(gotWire, wantWire) {
		t.Fatalf("%+v: encoded % x, %v; want % x", want, gotWire, err, wantWire)
	}
}

// What memory happens to hold in blank fields and in the gaps between fields is not written.
func TestFlatIgnoresGaps(t *testing.T) {
	typ := Flat[padded]("shop/flat")
	var clean, dirty padded
	for i := range memory(&dirty) {
		memory(&dirty)[i] = 0xff
	}
	for _, v := range []*padded{&clean, &dirty} {
		v.A, v.B, v.C, v.E, v.F = 1, 2, true, 3, 4
		for i := range v.D {
			v.D[i].X, v.D[i].Y = 5, true
		}
	}
	want, errWant := typ.Append(nil, clean)
	got, err := typ.Append(nil, dirty)
	if errWant != nil || err != nil || !bytes.Equal(got, want) {
		t.Errorf("encoded % x, %v; want % x, %v", got, err, want, errWant)
	}
}

// Machines of the other byte order are not at hand: this is what they do to each number.
func TestReverse(t *testing.T) {
	tests := []struct {
		unit int
		want string
	}{{1, "abcdefgh"}, {2, "badcfehg"}, {4, "dcbahgfe"}, {8, "hgfedcba"}}
	for _, tt := range tests {
		b := []byte("abcdefgh")
		if reverse(b, tt.unit); string(b) != tt.want {
			t.Errorf("unit %d: %q; want %q", tt.unit, b, tt.want)
		}
	}
}

func TestFlatRefuses(t *testing.T) {
	tests := map[string]func(){
		"string":               func() { Flat[string]("a/b") },
		"slice":                func() { Flat[[]byte]("a/b") },
		"pointer":              func() { Flat[*int64]("a/b") },
		"map":                  func() { Flat[map[int8]int8]("a/b") },
		"interface":            func() { Flat[any]("a/b") },
		"function":             func() { Flat[func()]("a/b") },
		"channel":              func() { Flat[chan int8]("a/b") },
		"int":                  func() { Flat[int]("a/b") },
		"uint":                 func() { Flat[uint]("a/b") },
		"uintptr":              func() { Flat[uintptr]("a/b") },
		"struct with a string": func() { Flat[struct{ A string }]("a/b") },
		"struct with an int":   func() { Flat[struct{ A, b int }]("a/b") },
		"blank field":          func() { Flat[struct{ _ *int8 }]("a/b") },
		"deep": func() {
			Flat[struct {
				A int8
				B [2]struct{ C [1]*int8 }
				D int8
			}]("a/b")
		},
	}
	for name, f := range tests {
		t.Run(name, func(t *testing.T) {
			if got := panics(f); !strings.Contains(got, "without a fixed size") {
				t.Errorf("panic %q; want one that says why", got)
			}
		})
	}
}

func TestFlatAllocatesNothing(t *testing.T) {
	typ, buf, v := Flat[padded]("shop/flat"), make([]byte, 0, 64), padded{A: 1}
	allocs := testing.AllocsPerRun(100, func() {
		b, _ := typ.Append(buf, v)
		v, _ = typ.Decode(b)
	})
	if allocs != 0 || v.A != 1 {
		t.Errorf("%v allocations; want none", allocs)
	}
}

func TestPointerFree(t *testing.T) {
	tests := []struct {
		v    any
		want bool
	}{
		{false, true},
		{int(0), true},
		{int8(0), true},
		{uintptr(0), true},
		{float32(0), true},
		{complex128(0), true},
		{word32(0), true},
		{[4]int{}, true},
		{[0]*int{}, true},
		{struct{}{}, true},
		{padded{}, true},
		{struct{ A [2]struct{ B int } }{}, true},

		{"", false},
		{[]int(nil), false},
		{(*int)(nil), false},
		{map[int]int(nil), false},
		{(chan int)(nil), false},
		{(func())(nil), false},
		{[1]any{}, false},
		{[2]string{}, false},
		{struct{ A, B *int }{}, false},
		{struct {
			A int
			B struct{ C [1][]byte }
		}{}, false},
		{reflect.Value{}, false},
	}
	for _, tt := range tests {
		typ := reflect.TypeOf(tt.v)
		if got := PointerFree(typ); got != tt.want {
			t.Errorf("PointerFree(%v) = %v; want %v", typ, got, tt.want)
		}
	}
}

func BenchmarkFlat(b *testing.B) {
	b.Run("layout=packed", func(b *testing.B) { benchmarkFlat[packed](b) })
	b.Run("layout=padded", func(b *testing.B) { benchmarkFlat[padded](b) })
}

// One value to the wire and back.
func benchmarkFlat[T any](b *testing.B) {
	typ, buf := Flat[T]("shop/flat"), make([]byte, 0, 64)
	var v T
	b.ReportAllocs()
	for b.Loop() {
		wire, err := typ.Append(buf, v)
		if err != nil {
			b.Fatal(err)
		}
		if v, err = typ.Decode(wire); err != nil {
			b.Fatal(err)
		}
	}
}
