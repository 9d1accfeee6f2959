// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/millrace-io/millrace/engine/internal/envelope"
)

// value is one state value of an entry.
type value struct {
	number   int
	encoding string
	stamped  bool
	stamp    int64
}

// encodeValues is how a shard writes an entry's value.
func encodeValues(values []value) (b []byte) {
	for _, v := range values {
		var start int
		if v.stamped {
			b = AppendStampedNumber(b, v.number, v.stamp)
		} else {
			b = AppendValueNumber(b, v.number)
		}
		b, start = BeginLength(b)
		b = EndLength(append(b, v.encoding...), start)
	}
	return b
}

func decodeValues(b []byte) (values []value) {
	for v := range Values(b) {
		values = append(values, value{v.Number, string(v.Bytes), v.Stamped, v.Stamp})
	}
	return values
}

// The documented example and the code agree, both ways; a format that has been released never changes.
func TestEntriesDocumented(t *testing.T) {
	key := documented(t, "key")
	if got := AppendStateKey(nil, 300, []byte("Bob")); !bytes.Equal(got, key) {
		t.Errorf("key\n%swant\n%s", hex.Dump(got), hex.Dump(key))
	}
	if fn, id, err := ParseStateKey(key); fn != 300 || string(id) != "Bob" || err != nil {
		t.Errorf("the key is of %d, %q, %v", fn, id, err)
	}

	values := []value{
		{number: 0, encoding: "\x09\x02\x00\x00\x00\x00\x00\x00\x00"},
		{number: 2, stamped: true, stamp: 1_000},
		{number: 5, encoding: strings.Repeat("x", 200)},
	}
	entry := documented(t, "value")
	entry = append(entry, strings.Repeat("x", 200)...) // The page leaves them out.
	if got := encodeValues(values); !bytes.Equal(got, entry) {
		t.Errorf("value\n%swant\n%s", hex.Dump(got), hex.Dump(entry))
	}
	if got := decodeValues(entry); !slices.Equal(got, values) || Validate(entry) != nil {
		t.Errorf("the value is %+v, %v", got, Validate(entry))
	}

	names := []FunctionNames{
		{Function: "shop/cart", Values: []ValueName{
			{Name: "items", Typename: "shop/Items", Expiry: 1, TTL: 300},
			{Name: "n", Typename: "io.statefun.types/long"},
		}},
		{Function: "shop/mail"},
	}
	encoded := documented(t, "names")
	if got := AppendNames(nil, names); !bytes.Equal(got, encoded) {
		t.Errorf("names\n%swant\n%s", hex.Dump(got), hex.Dump(encoded))
	}
	if got, err := ParseNames(encoded); !reflect.DeepEqual(got, names) || err != nil {
		t.Errorf("the names are %+v, %v", got, err)
	}
}

// documented reads a block of docs/formats/entries.md: at each line, the hexadecimal digits in front of
// the explanation.
func documented(t *testing.T, block string) (b []byte) {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "formats", "entries.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), "```"+block+"\n")
	text, _, _ = strings.Cut(text, "```")
	for line := range strings.Lines(text) {
		digits, _, _ := strings.Cut(line, "   ")
		line, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		b = append(b, line...)
	}
	if len(b) == 0 {
		t.Fatalf("entries.md has no block %q", block)
	}
	return b
}

func TestParseStateKey(t *testing.T) {
	tests := []struct {
		name, key string
		fn        envelope.Function
		id        string
		bad       bool
	}{
		{name: "first function", key: "\x01\x00a", fn: 0, id: "a"},
		{name: "two bytes of number", key: "\x01\x80\x01a", fn: 128, id: "a"},
		{name: "last function", key: "\x01\xff\xff\x03a", fn: 1<<16 - 1, id: "a"},
		{name: "an id of any bytes", key: "\x01\x05\x00\xff\x80", fn: 5, id: "\x00\xff\x80"},
		{name: "a number that is longer than it needs to be", key: "\x01\x85\x00a", fn: 5, id: "a"},
		{name: "nothing", key: "", bad: true},
		{name: "another kind", key: "\x02\x00a", bad: true},
		{name: "kind only", key: "\x01", bad: true},
		{name: "half a number", key: "\x01\x80", bad: true},
		{name: "one function too many", key: "\x01\x80\x80\x04a", bad: true},
		{name: "a number beyond 64 bits", key: "\x01" + strings.Repeat("\xff", 10) + "\x01a", bad: true},
		{name: "no id", key: "\x01\x05", bad: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			fn, id, err := ParseStateKey([]byte(tt.key))
			if fn != tt.fn || string(id) != tt.id || errors.Is(err, ErrEntry) != tt.bad || (err != nil) != tt.bad {
				t.Errorf("ParseStateKey(%q) = %d, %q, %v; want %d, %q, bad %v", tt.key, fn, id, err, tt.fn, tt.id, tt.bad)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	tests := []struct {
		name, value string
		want        []value // As far as it can be read.
		wantErr     string
	}{
		{name: "nothing", value: ""},
		{name: "an empty value", value: "\x00\x00", want: []value{{}}},
		{name: "two values", value: "\x00\x01a\x3e\x02bc", want: []value{{encoding: "a"}, {number: 31, encoding: "bc"}}},
		{name: "a stamp", value: "\x07\x00\x01\x00\x00\x00\x00\x00\x00\x01a", want: []value{{3, "a", true, 256}}},
		{name: "a length that is longer than it needs to be", value: "\x06\x81\x00a", want: []value{{number: 3, encoding: "a"}}},
		{name: "one value too many", value: "\x00\x01a\x80\x10\x00", want: []value{{encoding: "a"}}, wantErr: "offset 3: bad number"},
		{name: "half a number", value: "\x80", wantErr: "offset 0: bad number"},
		{name: "half a stamp", value: "\x01\x00\x00\x00\x00\x00\x00\x00", wantErr: "offset 0: truncated stamp"},
		{name: "no length", value: "\x00", wantErr: "offset 0: truncated"},
		{name: "half a length", value: "\x00\x80", wantErr: "offset 0: truncated"},
		{name: "short", value: "\x00\x01a\x02\x03bc", want: []value{{encoding: "a"}}, wantErr: "offset 3: truncated"},
		{name: "the greatest length", value: "\x00" + strings.Repeat("\xff", 9) + "\x01a", wantErr: "offset 0: truncated"},
		{name: "a length beyond 64 bits", value: "\x00" + strings.Repeat("\xff", 10) + "\x01a", wantErr: "offset 0: truncated"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := decodeValues([]byte(tt.value)); !slices.Equal(got, tt.want) {
				t.Errorf("Values(%q) = %+v; want %+v", tt.value, got, tt.want)
			}
			err := Validate([]byte(tt.value))
			if tt.wantErr == "" && err != nil || tt.wantErr != "" && (!errors.Is(err, ErrEntry) || !strings.Contains(err.Error(), tt.wantErr)) {
				t.Errorf("Validate(%q) = %v; want %q", tt.value, err, tt.wantErr)
			}
		})
	}
}

// What a shard writes is read back, whatever is in front of it in the part, and the length of a key is
// known before it is written.
func TestEntryRoundTrip(t *testing.T) {
	encodings := rapid.OneOf(
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 20), func(b []byte) string { return string(b) }),
		rapid.Map(rapid.SampledFrom([]int{126, 127, 128, 129, 16383, 16384, 70_000}), func(n int) string { return strings.Repeat("v", n) }),
	)
	values := rapid.Custom(func(t *rapid.T) value {
		v := value{number: rapid.IntRange(0, NumbersMax-1).Draw(t, "number"), encoding: encodings.Draw(t, "encoding")}
		if v.stamped = rapid.Bool().Draw(t, "stamped"); v.stamped {
			v.stamp = rapid.Int64().Draw(t, "stamp")
		}
		return v
	})
	rapid.Check(t, func(t *rapid.T) {
		head := rapid.SliceOfN(rapid.Byte(), 0, 10).Draw(t, "what is in front")
		fn := envelope.Function(rapid.OneOf(
			rapid.Uint16(), rapid.SampledFrom([]uint16{0, 127, 128, 1<<14 - 1, 1 << 14, 1<<16 - 1}),
		).Draw(t, "function"))
		id := rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(t, "id")
		key := AppendStateKey(slices.Clone(head), fn, id)
		if !bytes.HasPrefix(key, head) {
			t.Fatalf("%x was changed to %x", head, key)
		}
		key = key[len(head):]
		gotFn, gotID, err := ParseStateKey(key)
		if gotFn != fn || !bytes.Equal(gotID, id) || err != nil || StateKeyBytes(fn, len(id)) != len(key) {
			t.Fatalf("the key of %d, %x is %x, of %d bytes: %d, %x, %v", fn, id, key, StateKeyBytes(fn, len(id)), gotFn, gotID, err)
		}

		// As in a part: the length of the whole value in front of it, too.
		list := rapid.SliceOfN(values, 0, 6).Draw(t, "values")
		b, start := BeginLength(slices.Clone(head))
		b = EndLength(append(b, encodeValues(list)...), start)
		if !bytes.HasPrefix(b, head) {
			t.Fatalf("%x was changed to %x", head, b)
		}
		length, n := binary.Uvarint(b[len(head):])
		written := b[len(head)+n:]
		if int(length) != len(written) {
			t.Fatalf("the value of %d bytes says that it has %d", len(written), length)
		}
		entry := slices.Clone(written)
		for v := range Values(entry) {
			if cap(v.Bytes) != len(v.Bytes) {
				t.Fatal("appending to a value would run over the next")
			}
			if v.Stamped {
				v.SetStamp(entry, v.Stamp+1)
			}
		}
		later := decodeValues(entry)
		for i := range later {
			if later[i].stamped {
				later[i].stamp--
			}
		}
		if !slices.Equal(later, list) {
			t.Fatalf("with stamps moved on: %+v; want %+v", later, list)
		}
		if back := decodeValues(written); !slices.Equal(back, list) || Validate(written) != nil {
			t.Fatalf("values %+v, %v; want %+v", back, Validate(written), list)
		}
	})
}

// Names are read back, and no part of them is mistaken for others.
func TestNamesRoundTrip(t *testing.T) {
	text := rapid.OneOf(rapid.StringN(0, 20, 60), rapid.Map(rapid.IntRange(120, 300), func(n int) string { return strings.Repeat("n", n) }))
	rapid.Check(t, func(t *rapid.T) {
		var names []FunctionNames
		for range rapid.IntRange(0, 5).Draw(t, "functions") {
			f := FunctionNames{Function: text.Draw(t, "function")}
			for range rapid.IntRange(0, 4).Draw(t, "values") {
				v := ValueName{Name: text.Draw(t, "name"), Typename: text.Draw(t, "typename"), Expiry: rapid.Byte().Draw(t, "expiry")}
				if v.Expiry != 0 {
					v.TTL = rapid.Uint64().Draw(t, "ttl")
				}
				f.Values = append(f.Values, v)
			}
			names = append(names, f)
		}
		b := AppendNames(nil, names)
		if got, err := ParseNames(b); err != nil || !reflect.DeepEqual(got, names) {
			t.Fatalf("ParseNames = %+v, %v; want %+v", got, err, names)
		}
		cut := rapid.IntRange(0, len(b)-1).Draw(t, "cut")
		if got, err := ParseNames(b[:cut]); !errors.Is(err, ErrEntry) {
			t.Fatalf("cut at %d of %d: %+v, %v", cut, len(b), got, err)
		}
		if got, err := ParseNames(append(b, 0)); !errors.Is(err, ErrEntry) {
			t.Fatalf("a byte too many: %+v, %v", got, err)
		}
	})
}
