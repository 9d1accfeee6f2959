// SPDX-License-Identifier: Apache-2.0

package statefun

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"runtime"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// codec is a Type[T] whose values are compared and shown as the bits or bytes that they are.
type codec struct {
	name   string
	mask   uint64    // The bits that the type has; 0 for text.
	two    [2]string // Messages with two different values.
	encode func(bits uint64, text string) ([]byte, error)
	decode func(b []byte) (bits uint64, text string, err error)
}

var codecs = []codec{
	numeric("bool", 1, [2]string{"\x08\x00", "\x08\x01"}, Bool, func(b uint64) bool { return b == 1 }, func(v bool) uint64 {
		if v {
			return 1
		}
		return 0
	}),
	numeric("int", math.MaxUint32, [2]string{"\x0dabcd", "\x0dbcde"}, Int32,
		func(b uint64) int32 { return int32(uint32(b)) }, func(v int32) uint64 { return uint64(uint32(v)) }),
	numeric("long", math.MaxUint64, [2]string{"\x09abcdefgh", "\x09bcdefghi"}, Int64,
		func(b uint64) int64 { return int64(b) }, func(v int64) uint64 { return uint64(v) }),
	numeric("float", math.MaxUint32, [2]string{"\x0dabcd", "\x0dbcde"}, Float32,
		func(b uint64) float32 { return math.Float32frombits(uint32(b)) }, func(v float32) uint64 { return uint64(math.Float32bits(v)) }),
	numeric("double", math.MaxUint64, [2]string{"\x09abcdefgh", "\x09bcdefghi"}, Float64, math.Float64frombits, math.Float64bits),
	{
		name:   "string",
		two:    [2]string{"\x0a\x01a", "\x0a\x01b"},
		encode: func(_ uint64, text string) ([]byte, error) { return String.Append(nil, text) },
		decode: func(b []byte) (_ uint64, text string, err error) {
			text, err = String.Decode(b)
			return 0, text, err
		},
	},
}

func numeric[T any](name string, mask uint64, two [2]string, t Type[T], from func(bits uint64) T, to func(v T) uint64) codec {
	return codec{
		name:   name,
		mask:   mask,
		two:    two,
		encode: func(bits uint64, _ string) ([]byte, error) { return t.Append(nil, from(bits)) },
		decode: func(b []byte) (uint64, string, error) {
			v, err := t.Decode(b)
			return to(v), "", err
		},
	}
}

func codecOf(t *testing.T, name string) codec {
	t.Helper()
	for _, c := range codecs {
		if c.name == name {
			return c
		}
	}
	t.Fatalf("no type %q", name)
	return codec{}
}

// StateFun's SDKs look types up by these names.
func TestBuiltinTypenames(t *testing.T) {
	for want, got := range map[string]string{
		"io.statefun.types/bool":   Bool.Typename(),
		"io.statefun.types/int":    Int32.Typename(),
		"io.statefun.types/long":   Int64.Typename(),
		"io.statefun.types/float":  Float32.Typename(),
		"io.statefun.types/double": Float64.Typename(),
		"io.statefun.types/string": String.Typename(),
	} {
		if got != want {
			t.Errorf("typename %q; want %q", got, want)
		}
	}
}

// What StateFun's own SDKs write for these values. The zero value of each type is no bytes at all.
func TestBuiltinGolden(t *testing.T) {
	tests := []struct {
		typ  string
		bits uint64
		text string
		wire string
	}{
		{typ: "bool", bits: 0, wire: ""},
		{typ: "bool", bits: 1, wire: "08 01"},
		{typ: "int", bits: 0, wire: ""},
		{typ: "int", bits: 1, wire: "0d 01000000"},
		{typ: "int", bits: 0xffffffff, wire: "0d ffffffff"},
		{typ: "int", bits: 0x80000000, wire: "0d 00000080"},
		{typ: "int", bits: 0x12345678, wire: "0d 78563412"},
		{typ: "long", bits: 0, wire: ""},
		{typ: "long", bits: 1, wire: "09 0100000000000000"},
		{typ: "long", bits: math.MaxUint64, wire: "09 ffffffffffffffff"},
		{typ: "long", bits: 1 << 63, wire: "09 0000000000000080"},
		{typ: "float", bits: 0, wire: ""},
		{typ: "float", bits: 0x3fc00000, wire: "0d 0000c03f"},                  // 1.5
		{typ: "float", bits: 0x80000000, wire: "0d 00000080"},                  // -0: not the zero value
		{typ: "float", bits: 0x7fc00000, wire: "0d 0000c07f"},                  // NaN
		{typ: "double", bits: 0, wire: ""},                                     //
		{typ: "double", bits: 0x3ff8000000000000, wire: "09 000000000000f83f"}, // 1.5
		{typ: "double", bits: 1 << 63, wire: "09 0000000000000080"},            // -0
		{typ: "string", text: "", wire: ""},
		{typ: "string", text: "a", wire: "0a 01 61"},
		{typ: "string", text: "héllo", wire: "0a 06 68c3a96c6c6f"},
		{typ: "string", text: "\x00", wire: "0a 01 00"},
		{typ: "string", text: strings.Repeat("x", 200), wire: "0a c801" + strings.Repeat("78", 200)},
	}
	for _, tt := range tests {
		t.Run(tt.typ+" "+clip(tt.wire), func(t *testing.T) {
			c, want := codecOf(t, tt.typ), unhex(t, tt.wire)
			if got, err := c.encode(tt.bits, tt.text); err != nil || !bytes.Equal(got, want) {
				t.Errorf("encoded % x, %v; want % x", got, err, want)
			}
			if bits, text, err := c.decode(want); bits != tt.bits || text != tt.text || err != nil {
				t.Errorf("decoded %#x, %q, %v; want %#x, %q", bits, text, err, tt.bits, tt.text)
			}
		})
	}
}

// What other encoders may write, and what nobody may.
func TestBuiltinDecode(t *testing.T) {
	tests := []struct {
		name, typ, wire string
		bits            uint64
		text            string
		wantErr         string
	}{
		{name: "zero that is written", typ: "int", wire: "0d 00000000"},
		{name: "false that is written", typ: "bool", wire: "08 00"},
		{name: "empty string that is written", typ: "string", wire: "0a 00"},
		{name: "true as two", typ: "bool", wire: "08 02", bits: 1},
		{name: "true as minus one", typ: "bool", wire: "08 ffffffffffffffffff01", bits: 1},
		{name: "varint that is not minimal", typ: "bool", wire: "08 8100", bits: 1},
		{name: "tag that is not minimal", typ: "int", wire: "8d00 01000000", bits: 1},
		{name: "the last counts", typ: "int", wire: "0d 01000000 0d 02000000", bits: 2},
		{name: "the last counts, a zero too", typ: "long", wire: "09 0100000000000000 09 0000000000000000"},
		{name: "the last string counts", typ: "string", wire: "0a 01 61 0a 01 62", text: "b"},

		{name: "unknown varint before", typ: "int", wire: "10 ac02 0d 01000000", bits: 1},
		{name: "unknown fixed behind", typ: "long", wire: "09 0100000000000000 15 00000000 11 0000000000000000", bits: 1},
		{name: "unknown bytes", typ: "string", wire: "12 02 ffff 0a 01 61", text: "a"},
		{name: "greatest field number", typ: "int", wire: "faffffff0f 00 0d 01000000", bits: 1},
		{name: "field 1 of another kind is unknown", typ: "int", wire: "08 05 0d 01000000 0a 01 61 09 0500000000000000", bits: 1},

		{name: "tag without field", typ: "int", wire: "0d", wantErr: "field 1: truncated"},
		{name: "short int", typ: "int", wire: "0d 010000", wantErr: "field 1: truncated"},
		{name: "short long", typ: "long", wire: "09 01000000000000", wantErr: "field 1: truncated"},
		{name: "short string", typ: "string", wire: "0a 02 61", wantErr: "field 1: truncated"},
		{name: "string without length", typ: "string", wire: "0a", wantErr: "field 1: truncated"},
		{name: "endless varint", typ: "bool", wire: "08 80808080", wantErr: "field 1: bad varint"},
		{name: "varint beyond 64 bits", typ: "bool", wire: "08 ffffffffffffffffff02", wantErr: "field 1: bad varint"},
		{name: "short unknown field", typ: "int", wire: "0d 01000000 12 05 00", wantErr: "field 2: truncated"},
		{name: "endless tag", typ: "int", wire: "8080", wantErr: "bad field tag"},
		{name: "field 0", typ: "int", wire: "05 01000000", wantErr: "bad field tag"},
		{name: "field number beyond 29 bits", typ: "int", wire: "8080808010 00", wantErr: "bad field tag"},
		{name: "group", typ: "int", wire: "13 14", wantErr: "field 2: unsupported wire type 3"},
		{name: "wire type 6", typ: "int", wire: "0e", wantErr: "field 1: unsupported wire type 6"},
		{name: "wire type 7", typ: "int", wire: "0f", wantErr: "field 1: unsupported wire type 7"},
		{name: "string of other bytes", typ: "string", wire: "0a 01 ff", wantErr: "not valid UTF-8"},
		{name: "a good value before damage", typ: "string", wire: "0a 01 61 0a 05 61", wantErr: "field 1: truncated"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bits, text, err := codecOf(t, tt.typ).decode(unhex(t, tt.wire))
			if bits != tt.bits || text != tt.text {
				t.Errorf("decoded %#x, %q; want %#x, %q", bits, text, tt.bits, tt.text)
			}
			if tt.wantErr == "" && err != nil {
				t.Errorf("error %v; want none", err)
			}
			if tt.wantErr != "" && (!errors.Is(err, ErrUndecodable) || !strings.Contains(err.Error(), tt.wantErr)) {
				t.Errorf("error %v; want ErrUndecodable with %q", err, tt.wantErr)
			}
		})
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Every value comes back bit for bit, also through a message of some other version: with unknown fields
// around it and an older value before it.
func TestBuiltinRoundTrip(t *testing.T) {
	unknown := rapid.SampledFrom([]string{"", "\x10\x96\x01", "\x12\x03abc", "\x15abcd", "\x19abcdefgh", "\x20\x00"})
	for _, c := range codecs {
		t.Run(c.name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				bits, text := rapid.Uint64().Draw(t, "bits")&c.mask, ""
				if c.mask == 0 {
					text = rapid.String().Draw(t, "text")
				}
				wire, err := c.encode(bits, text)
				if err != nil {
					t.Fatalf("encode: %v", err)
				}
				if gotBits, gotText, err := c.decode(wire); gotBits != bits || gotText != text || err != nil {
					t.Fatalf("% x: decoded %#x, %q, %v; want %#x, %q", wire, gotBits, gotText, err, bits, text)
				}
				message := unknown.Draw(t, "first")
				if len(wire) > 0 { // A value of no bytes does not hide an older one.
					message += rapid.SampledFrom(c.two[:]).Draw(t, "older") + unknown.Draw(t, "second")
				}
				message += string(wire) + unknown.Draw(t, "last")
				if gotBits, gotText, err := c.decode([]byte(message)); gotBits != bits || gotText != text || err != nil {
					t.Fatalf("% x: decoded %#x, %q, %v; want %#x, %q", message, gotBits, gotText, err, bits, text)
				}
			})
		})
	}
}

func TestStringRefusesOtherBytes(t *testing.T) {
	b, err := String.Append([]byte("head"), "a\xff")
	if err == nil || string(b) != "head" {
		t.Errorf("appended %q, %v; want an error and what was there", b, err)
	}
}

// Bytes are themselves; no bytes are a value, and what is decoded is a copy.
func TestBytes(t *testing.T) {
	typ := Bytes("shop/blob")
	for _, want := range []string{"", "a", "\x00\xff", strings.Repeat("x", 1000)} {
		wire, err := typ.Append([]byte("head"), []byte(want))
		if err != nil || string(wire) != "head"+want {
			t.Errorf("encoded %q, %v; want %q", wire, err, want)
		}
		wire = wire[len("head"):]
		got, err := typ.Decode(wire)
		if err != nil || string(got) != want || got == nil {
			t.Errorf("decoded %q, %v; want %q", got, err, want)
		}
		for i := range wire {
			wire[i]++
		}
		if string(got) != want {
			t.Errorf("what was decoded has become %q", got)
		}
	}
}

// Lengths are claims of whoever sent the bytes: nothing is allocated for them, and for the value itself
// no more than its bytes.
func TestDecodeAllocations(t *testing.T) {
	text, err := String.Append(nil, strings.Repeat("x", 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		wire   []byte
		most   uint64
		failed bool
	}{
		{name: "a string of 1 MiB", wire: text, most: 1<<20 + 64<<10},
		{name: "a string of 1 MiB a hundred times", wire: bytes.Repeat(text, 100), most: 1<<20 + 64<<10},
		{name: "a field of 1 MiB to skip", wire: append([]byte{0x12}, text[1:]...), most: 64 << 10},
		{name: "a claim of 1 TiB", wire: unhex(t, "0a 808080808020 61"), most: 64 << 10, failed: true},
		{name: "a claim of 1 TiB to skip", wire: unhex(t, "12 808080808020 61"), most: 64 << 10, failed: true},
		{name: "a claim of 2^64", wire: unhex(t, "0a ffffffffffffffffff01 61"), most: 64 << 10, failed: true},
		{name: "a million fields to skip", wire: bytes.Repeat([]byte{0x10, 0}, 1<<20), most: 64 << 10},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var err error
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err = String.Decode(tt.wire)
			runtime.ReadMemStats(&after)
			if n := after.TotalAlloc - before.TotalAlloc; n > tt.most {
				t.Errorf("%d bytes allocated; want at most %d", n, tt.most)
			}
			if (err != nil) != tt.failed {
				t.Errorf("error %v; want one: %v", err, tt.failed)
			}
		})
	}
}

// Numbers go to the wire and back without an allocation.
func TestBuiltinAllocatesNothing(t *testing.T) {
	buf, sum := make([]byte, 0, 64), 0.0
	allocs := testing.AllocsPerRun(100, func() {
		b, _ := Int64.Append(buf[:0], 42)
		i, _ := Int64.Decode(b)
		b, _ = Float64.Append(buf[:0], 4.2)
		f, _ := Float64.Decode(b)
		b, _ = Bool.Append(buf[:0], true)
		ok, _ := Bool.Decode(b)
		if ok {
			sum += float64(i) + f
		}
	})
	if allocs != 0 || sum == 0 {
		t.Errorf("%v allocations; want none", allocs)
	}
}
