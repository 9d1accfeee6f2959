// SPDX-License-Identifier: Apache-2.0

package format

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"
)

// A header is read as it was written; with any bit of it changed it is refused.
func TestHeader(t *testing.T) {
	want := Header{Kind: KindTable, Store: StoreID{1, 2, 3}, Number: 1 << 40}
	b := AppendHeader([]byte("before"), want)[len("before"):]
	if len(b) != HeaderBytes {
		t.Fatalf("%d bytes", len(b))
	}
	if got, err := ParseHeader("f", append(b, 0), KindTable); got != want || err != nil {
		t.Errorf("parsed %+v, %v; want %+v", got, err, want)
	}
	for bit := range len(b) * 8 {
		flipped := bytes.Clone(b)
		flipped[bit/8] ^= 1 << (bit % 8)
		if _, err := ParseHeader("f", flipped, KindTable); !errors.Is(err, backend.ErrCorrupt) {
			t.Errorf("bit %d: error %v; want ErrCorrupt", bit, err)
		}
	}
	for n := range len(b) {
		if _, err := ParseHeader("f", b[:n], KindTable); !errors.Is(err, backend.ErrCorrupt) {
			t.Errorf("cut at %d: error %v; want ErrCorrupt", n, err)
		}
	}
	if _, err := ParseHeader("f", b, KindLog); !errors.Is(err, backend.ErrCorrupt) || !strings.Contains(err.Error(), "kind 3, want 2") {
		t.Errorf("another kind: error %v", err)
	}
	if err := want.Want("f", StoreID{1}, want.Number); !errors.Is(err, backend.ErrCorrupt) {
		t.Errorf("another store: error %v", err)
	}
	if err := want.Want("f", want.Store, 7); !errors.Is(err, backend.ErrCorrupt) {
		t.Errorf("another number: error %v", err)
	}
	if err := want.Want("f", want.Store, want.Number); err != nil {
		t.Error(err)
	}
}

func TestZero(t *testing.T) {
	for n := range 40 {
		b := make([]byte, n)
		if !Zero(b) {
			t.Errorf("%d zeros are not", n)
		}
		for i := range b {
			b[i] = 0x80
			if Zero(b) {
				t.Errorf("%d bytes with a bit at %d are zeros", n, i)
			}
			b[i] = 0
		}
	}
}

var anyCheckpoint = rapid.Custom(func(t *rapid.T) backend.Checkpoint {
	cp := backend.Checkpoint{
		Application: rapid.String().Draw(t, "application"),
		Generation:  statefun.Generation(rapid.Uint64().Draw(t, "generation")),
		Epoch:       statefun.Epoch(rapid.Uint64().Draw(t, "epoch")),
		KeyGroups:   rapid.Int().Draw(t, "key groups"),
		CreatedAt:   rapid.Int64().Draw(t, "created at"),
		Names:       rapid.SliceOf(rapid.Byte()).Draw(t, "names"),
	}
	for range rapid.IntRange(0, 3).Draw(t, "sources") {
		cp.Sources = append(cp.Sources, backend.SourcePosition{
			Source: rapid.String().Draw(t, "source"), Position: rapid.SliceOf(rapid.Byte()).Draw(t, "position"),
		})
	}
	return cp
})

// A description is read as it was written, and no part of it is taken for the whole.
func TestCheckpoint(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := anyCheckpoint.Draw(t, "checkpoint")
		b := AppendCheckpoint(nil, want)
		got, err := ParseCheckpoint(b)
		if err != nil || !bytes.Equal(AppendCheckpoint(nil, got), b) {
			t.Fatalf("parsed %+v, %v; want %+v", got, err, want)
		}
		got.Names, want.Names = nil, nil
		for i := range want.Sources {
			if !bytes.Equal(got.Sources[i].Position, want.Sources[i].Position) {
				t.Fatalf("position %q, want %q", got.Sources[i].Position, want.Sources[i].Position)
			}
			got.Sources[i].Position, want.Sources[i].Position = nil, nil
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("parsed %+v, want %+v", got, want)
		}
		cut := rapid.IntRange(0, len(b)-1).Draw(t, "cut")
		if _, err := ParseCheckpoint(b[:cut]); !errors.Is(err, ErrFields) {
			t.Fatalf("cut at %d of %d: error %v", cut, len(b), err)
		}
		if _, err := ParseCheckpoint(append(b, 0)); !errors.Is(err, ErrFields) {
			t.Fatalf("with a byte more: error %v", err)
		}
	})
}

// Whatever the bytes are, reading them takes memory in proportion, and what is read is read again from what is
// written of it.
func FuzzCheckpoint(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x04shop\x01\x01\x08\xe8\x07\x05names\x01\x06clicks\x01\x01"))
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
	f.Add([]byte("\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff\x0f"))
	f.Fuzz(func(t *testing.T, in []byte) {
		cp, err := ParseCheckpoint(in)
		if len(cp.Sources) > len(in) {
			t.Fatalf("%d sources in %d bytes", len(cp.Sources), len(in))
		}
		if err != nil {
			if !errors.Is(err, ErrFields) {
				t.Fatal(err)
			}
			return
		}
		again, err := ParseCheckpoint(AppendCheckpoint(nil, cp))
		if err != nil || !reflect.DeepEqual(again, cp) {
			t.Fatalf("read again: %+v, %v; want %+v", again, err, cp)
		}
	})
}

// Changes are read as the port reads a part, whichever way it is cut into pieces.
func FuzzNextChange(f *testing.F) {
	f.Add([]byte("\x01\x07\x00\x01a\x03one\x01\x2c\x01\x01b\x00\x02\x07\x00\x01a"))
	f.Add([]byte("\x02\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01k"))
	f.Add([]byte("\x01\x00\x00\x81\x00k\x81\x80\x00v"))
	f.Fuzz(func(t *testing.T, in []byte) {
		rest, bad := in, false
		for c, err := range (backend.Part{Changes: in}).All() {
			var got backend.Change
			n, gotErr := NextChange(rest, &got)
			if err != nil {
				if n > 0 && gotErr == nil {
					t.Fatalf("read %+v where a part ends in %v", got, err)
				}
				bad = true
				break
			}
			if gotErr != nil || n == 0 || !reflect.DeepEqual(got, c) {
				t.Fatalf("read %+v, %d, %v; want %+v", got, n, gotErr, c)
			}
			for cut := range n {
				if short, err := NextChange(rest[:cut], new(backend.Change)); short != 0 || err != nil {
					t.Fatalf("cut at %d of %d: %d, %v", cut, n, short, err)
				}
			}
			if enc := AppendChange(nil, &got); len(enc) > n {
				t.Fatalf("written again it takes %d bytes of %d", len(enc), n)
			}
			rest = rest[n:]
		}
		if !bad && len(rest) > 0 {
			t.Fatalf("%d bytes are left", len(rest))
		}
	})
}

func TestCompare(t *testing.T) {
	order := []backend.Entry{
		{Group: 0},
		{Group: 0, Key: []byte("\x00")},
		{Group: 0, Key: []byte("b")},
		{Group: 1, Key: []byte("a")},
		{Group: 1, Key: []byte("ab")},
		{Group: 256},
		{Group: 1<<16 - 1},
	}
	for i := range order {
		for j := range order {
			if got := Compare(&order[i], &order[j]); (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("compare %v with %v: %d", order[i], order[j], got)
			}
		}
	}
}
