// SPDX-License-Identifier: Apache-2.0

package keys

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// An id is what the benchmarks' figures assume, and its key can be read back from it.
func TestIDRoundTrip(t *testing.T) {
	tests := []struct {
		key int
		id  string
	}{
		{0, "key-000000000000"},
		{7, "key-000000000007"},
		{999_999, "key-000000999999"},
		{KeysMax - 1, "key-000999999999"},
	}
	for _, tt := range tests {
		if got := ID(tt.key); got != tt.id || len(got) != IDBytes {
			t.Errorf("ID(%d) = %q, want %q", tt.key, got, tt.id)
		}
		if k, ok := Index(tt.id); k != tt.key || !ok {
			t.Errorf("Index(%q) = %d, %v; want %d", tt.id, k, ok, tt.key)
		}
	}
	for _, id := range []string{"", "key-", "key-00000000000x", "abc-000000000001", "key-0000000000001"} {
		if _, ok := Index(id); ok {
			t.Errorf("Index(%q) is ok; want it refused", id)
		}
	}
}

// Counts is what a walk over the load counts, however many producers share it: verification rests on
// this.
func TestCountsAreWhatTheProducersSend(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := Load{
			Keys:     rapid.IntRange(1, 300).Draw(t, "keys"),
			Messages: rapid.IntRange(1, 5000).Draw(t, "messages"),
			Dist:     rapid.SampledFrom([]Dist{Uniform, Zipf}).Draw(t, "dist"),
			Seed:     rapid.Uint64().Draw(t, "seed"),
		}
		ring, err := NewRing(l)
		if err != nil {
			t.Fatal(err)
		}
		// Cut short, so that the small loads of this test wrap too.
		n := rapid.IntRange(1, ring.Len()).Draw(t, "ring")
		ring.ids, ring.raw = ring.ids[:n*IDBytes], ring.raw[:n*IDBytes]

		got := make([]int64, l.Keys)
		parts := rapid.IntRange(1, 5).Draw(t, "parts")
		for part := range parts {
			first, count := Part(l.Messages, part, parts)
			asString, asBytes := ring.Cursor(first), ring.Cursor(first)
			for range count {
				id := asString.Next()
				if b := asBytes.NextBytes(); string(b) != id {
					t.Fatalf("Next %q, NextBytes %q", id, b)
				}
				k, _ := Index(id)
				got[k]++
			}
		}
		if want := ring.Counts(); !slices.Equal(got, want) {
			t.Fatalf("%+v: the producers sent %v, Counts says %v", l, got, want)
		}
	})
}

// A comparison at a million keys must not be one at the 65 % that plain draws happen to hit.
func TestUniformTouchesEveryKey(t *testing.T) {
	ring, err := NewRing(Load{Keys: 1_000_000, Messages: 5_000_000, Dist: Uniform, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	if k := slices.Index(ring.Counts(), 0); k >= 0 {
		t.Errorf("key %d gets no message", k)
	}
}

// Zipf 1.1 sends far more to the first key than to the hundredth; uniform does not.
func TestZipfIsSkewed(t *testing.T) {
	for dist, skewed := range map[Dist]bool{Zipf: true, Uniform: false} {
		ring, err := NewRing(Load{Keys: 1000, Messages: 100_000, Dist: dist, Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		if c := ring.Counts(); (c[0] > 50*c[99]) != skewed {
			t.Errorf("%s: key 0 gets %d messages, key 99 gets %d", dist, c[0], c[99])
		}
	}
}

// Two programs with one seed get the same load, and another seed gives another.
func TestSeedDecides(t *testing.T) {
	ids := func(seed uint64) string {
		ring, err := NewRing(Load{Keys: 1000, Messages: 10_000, Dist: Uniform, Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		return ring.ids
	}
	first, again, other := ids(1), ids(1), ids(2)
	if first != again || first == other {
		t.Error("the ids do not depend on the seed alone")
	}
}

func TestLoadValidate(t *testing.T) {
	good := Load{Keys: 1, Messages: 1, Dist: Zipf}
	if err := good.Validate(); err != nil {
		t.Errorf("%+v: %v", good, err)
	}
	for _, bad := range []Load{
		{Keys: 0, Messages: 1, Dist: Uniform},
		{Keys: KeysMax + 1, Messages: 1, Dist: Uniform},
		{Keys: 1, Messages: 0, Dist: Uniform},
		{Keys: 1, Messages: MessagesMax + 1, Dist: Uniform},
		{Keys: 1, Messages: 1, Dist: "normal"},
	} {
		if _, err := NewRing(bad); err == nil {
			t.Errorf("%+v is accepted", bad)
		}
	}
}

// What a message costs the generator during a run.
func BenchmarkCursorNext(b *testing.B) {
	ring, err := NewRing(Load{Keys: 1_000_000, Messages: 1 << 30, Dist: Uniform, Seed: 1})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	c, sum := ring.Cursor(0), 0
	for b.Loop() {
		sum += int(c.Next()[IDBytes-1])
	}
	_ = sum
}
