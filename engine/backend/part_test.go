// SPDX-License-Identifier: Apache-2.0

package backend_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// change is a backend.Change that can be compared and that owns its bytes.
type change struct {
	group      statefun.KeyGroup
	key, value string
	del        bool
}

// encode is how every writer of a part encodes: through AppendPut and AppendDelete.
func encode(changes []change) []byte {
	var b []byte
	for _, c := range changes {
		if c.del {
			b = backend.AppendDelete(b, c.group, []byte(c.key))
		} else {
			b = backend.AppendPut(b, c.group, []byte(c.key), []byte(c.value))
		}
	}
	return b
}

// decode reads a part to its end or to its first error.
func decode(b []byte) (changes []change, err error) {
	for c, e := range (backend.Part{Shard: 3, Changes: b}).All() {
		if err != nil {
			panic("All went on after an error")
		}
		if e != nil {
			err = e
			continue
		}
		changes = append(changes, change{group: c.Group, key: string(c.Key), value: string(c.Value), del: c.Delete})
	}
	return changes, err
}

// The documented example, the golden file and the code agree; a format that has been released never
// changes.
func TestPartGolden(t *testing.T) {
	changes := []change{
		{group: 7, key: "a", value: "one"},
		{group: 300, key: "b"},
		{group: 7, key: "a", del: true},
	}
	got := encode(changes)
	golden := filepath.Join("testdata", "part.golden")
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("encoded\n%swant\n%s", hex.Dump(got), hex.Dump(want))
	}
	if page := documentedPart(t); !bytes.Equal(page, want) {
		t.Errorf("docs/formats/part.md shows\n%swant\n%s", hex.Dump(page), hex.Dump(want))
	}
	if back, err := decode(want); err != nil || !slices.Equal(back, changes) {
		t.Errorf("decoded %+v, %v; want %+v", back, err, changes)
	}
}

// documentedPart reads the bytes of the example in docs/formats/part.md: at each line of its block, the
// hexadecimal digits in front of the explanation.
func documentedPart(t *testing.T) (b []byte) {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "formats", "part.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(page), "```part\n")
	block, _, _ = strings.Cut(block, "```")
	for line := range strings.Lines(block) {
		digits, _, _ := strings.Cut(line, "   ")
		line, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		b = append(b, line...)
	}
	return b
}

func TestPartDecode(t *testing.T) {
	long := strings.Repeat("v", 300)
	tests := []struct {
		name    string
		in      string
		want    []change
		wantErr string // a part of the message; empty when all of it decodes
	}{
		{name: "empty", in: ""},
		{name: "put", in: "\x01\x02\x00\x01k\x01v", want: []change{{group: 2, key: "k", value: "v"}}},
		{name: "put of an empty value", in: "\x01\x02\x00\x01k\x00", want: []change{{group: 2, key: "k"}}},
		{name: "empty key", in: "\x01\x02\x00\x00\x01v", want: []change{{group: 2, value: "v"}}},
		{name: "delete", in: "\x02\xff\x7f\x01k", want: []change{{group: math.MaxInt16, key: "k", del: true}}},
		{name: "length of two bytes", in: "\x01\x00\x00\x01k\xac\x02" + long, want: []change{{key: "k", value: long}}},
		{name: "length that is not minimal", in: "\x01\x00\x00\x81\x00k\x81\x80\x00v", want: []change{{key: "k", value: "v"}}},

		{name: "operation only", in: "\x01", wantErr: "offset 0: truncated"},
		{name: "half a key group", in: "\x01\x00", wantErr: "offset 0: truncated"},
		{name: "operation zero", in: "\x00\x00\x00\x01k", wantErr: "offset 0: unknown operation 0"},
		{name: "operation three", in: "\x03\x00\x00\x01k", wantErr: "offset 0: unknown operation 3"},
		{name: "no key length", in: "\x02\x00\x00", wantErr: "offset 0: key: truncated"},
		{name: "short key", in: "\x02\x00\x00\x02k", wantErr: "offset 0: key: truncated"},
		{name: "no value length", in: "\x01\x00\x00\x01k", wantErr: "offset 0: value: truncated"},
		{name: "short value", in: "\x01\x00\x00\x01k\x02v", wantErr: "offset 0: value: truncated"},
		{name: "endless length", in: "\x02\x00\x00\x80\x80\x80", wantErr: "key: truncated"},
		{name: "length beyond 64 bits", in: "\x02\x00\x00" + strings.Repeat("\xff", 10) + "\x01", wantErr: "key: truncated"},
		{name: "greatest length", in: "\x02\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01k", wantErr: "key: truncated"},
		{
			name: "damage behind a good change", in: "\x02\x00\x00\x01k\x09",
			want: []change{{key: "k", del: true}}, wantErr: "part of shard 3 at offset 5: truncated",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := decode([]byte(tt.in))
			if !slices.Equal(got, tt.want) {
				t.Errorf("decoded %+v; want %+v", got, tt.want)
			}
			if tt.wantErr == "" && err != nil {
				t.Errorf("error %v; want none", err)
			}
			if tt.wantErr != "" && (!errors.Is(err, backend.ErrCorrupt) || !strings.Contains(err.Error(), tt.wantErr)) {
				t.Errorf("error %v; want ErrCorrupt with %q", err, tt.wantErr)
			}
		})
	}
}

// What is appended is read back, in order and byte for byte; and no proper prefix of it is mistaken for
// other changes: it ends at a boundary, or in ErrCorrupt.
func TestPartRoundTrip(t *testing.T) {
	text := rapid.OneOf(
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 20), func(b []byte) string { return string(b) }),
		rapid.Map(rapid.IntRange(120, 300), func(n int) string { return strings.Repeat("x", n) }),
	)
	anyChange := rapid.Custom(func(t *rapid.T) change {
		c := change{
			group: statefun.KeyGroup(rapid.Uint16().Draw(t, "group")),
			key:   text.Draw(t, "key"),
			del:   rapid.Bool().Draw(t, "delete"),
		}
		if !c.del {
			c.value = text.Draw(t, "value")
		}
		return c
	})
	rapid.Check(t, func(t *rapid.T) {
		changes := rapid.SliceOfN(anyChange, 0, 20).Draw(t, "changes")
		b := encode(changes)
		if got, err := decode(b); err != nil || !slices.Equal(got, changes) {
			t.Fatalf("decoded %+v, %v; want %+v", got, err, changes)
		}
		cut := rapid.IntRange(0, len(b)).Draw(t, "cut")
		got, err := decode(b[:cut])
		if len(got) > len(changes) || !slices.Equal(got, changes[:len(got)]) {
			t.Fatalf("cut at %d: decoded %+v; want a prefix of %+v", cut, got, changes)
		}
		if boundary := len(encode(got)) == cut; boundary != (err == nil) || (err != nil && !errors.Is(err, backend.ErrCorrupt)) {
			t.Fatalf("cut at %d, boundary %v: error %v", cut, boundary, err)
		}
	})
}

// Appending leaves what is already there alone, as append does.
func TestPartAppends(t *testing.T) {
	b := backend.AppendPut([]byte("head"), 1, []byte("k"), []byte("v"))
	b = backend.AppendDelete(b, 1, []byte("k"))
	if want := "head\x01\x01\x00\x01k\x01v\x02\x01\x00\x01k"; string(b) != want {
		t.Errorf("appended %q; want %q", b, want)
	}
}

// A consumer that has seen enough leaves the loop; All must not call it again.
func TestPartAllStops(t *testing.T) {
	p := backend.Part{Changes: encode([]change{{key: "a"}, {key: "b"}})}
	var keys []string
	for c := range p.All() {
		keys = append(keys, string(c.Key))
		break
	}
	if len(keys) != 1 || keys[0] != "a" {
		t.Errorf("yielded %q; want only a", keys)
	}
}

// A change's slices are windows into the part, closed at their end: appending to one must not run over
// the change behind it.
func TestPartAliases(t *testing.T) {
	p := backend.Part{Changes: encode([]change{{key: "a", value: "b"}, {key: "c", value: "d"}})}
	before := slices.Clone(p.Changes)
	for c := range p.All() {
		_ = append(c.Key, 'X')
		_ = append(c.Value, 'X')
		if c.Key[0]++; !slices.Contains(p.Changes, c.Key[0]) {
			t.Errorf("key %q is a copy", c.Key)
		}
		c.Key[0]--
	}
	if !bytes.Equal(p.Changes, before) {
		t.Errorf("the part has become %q; want %q", p.Changes, before)
	}
}

// Reading allocates nothing for a change, however many there are.
func TestPartAllAllocatesNothing(t *testing.T) {
	p := backend.Part{Changes: encode(slices.Repeat([]change{{key: "key", value: "value"}}, 1000))}
	n := 0
	allocs := testing.AllocsPerRun(10, func() {
		for c := range p.All() {
			n += len(c.Value)
		}
	})
	if allocs > 2 || n == 0 { // The iterator itself, when the compiler does not inline it.
		t.Errorf("%v allocations for 1000 changes; want none for a change", allocs)
	}
}

// A length is a claim. Nothing is allocated for it before the bytes are there.
func TestPartClaimedLengths(t *testing.T) {
	for _, length := range []uint64{1 << 20, 1 << 31, 1<<31 - 1, 1 << 40, 1<<63 - 1, 1 << 63, math.MaxUint64} {
		t.Run(fmt.Sprint(length), func(t *testing.T) {
			b := []byte{1, 0, 0}
			for l := length; ; l >>= 7 {
				if l < 0x80 {
					b = append(b, byte(l))
					break
				}
				b = append(b, byte(l)|0x80)
			}
			b = append(b, "key"...)
			var err error
			if bytes := allocated(func() { _, err = decode(b) }); bytes > 64<<10 {
				t.Errorf("%d bytes allocated for a part of %d", bytes, len(b))
			}
			if !errors.Is(err, backend.ErrCorrupt) {
				t.Errorf("error %v; want ErrCorrupt", err)
			}
		})
	}
}

// allocated returns how many bytes f allocates, those of other goroutines included.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
