// SPDX-License-Identifier: Apache-2.0

package statefun

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Key groups live in checkpoints, and other processes place keys by the same hash: these values hold for
// ever, on every machine.
func TestKeyHashGolden(t *testing.T) {
	tests := []struct {
		id    string
		hash  uint64
		group KeyGroup // Of 128.
	}{
		{"", 0xbe4f7c425a408bb4, 95},
		{"a", 0x675427adf5be7e32, 51},
		{"b", 0xb42b15f443a52edd, 90},
		{"ab", 0x3451572537c3d636, 26},
		{"abc", 0xdaa1dff3a52f1b5a, 109},
		{"abcd", 0x29f913260c0cc570, 20},
		{"abcde", 0x786c41a433ad9056, 60},
		{"1234567", 0x1c1b19b656b6863e, 14},
		{"12345678", 0x85b696f0f29534cc, 66},
		{"123456789", 0xd1eed52ddaa9da79, 104},
		{"alice", 0x1527865e88d0b6db, 10},
		{"user-00000000042", 0xb75ccf0abfe7de68, 91},
		{"0123456789abcdef", 0x9b4a1f512966d44c, 77},
		{"0123456789abcdefg", 0x44db8b1e5eadfe48, 34},
		{"müller", 0x1b9b7365f3082967, 13},
		{"\x00", 0x05c240ff5bf6ede3, 2},
		{"\xff\xfe", 0xe9df03231cf4e1f6, 116},
		{"0b3e1f1c-5a0d-4c59-9d7a-0d3f5d1b7a11", 0xa4d3eed9a0394b42, 82},
		{"https://example.com/some/path?with=query#and-fragment", 0xdc983faa9455781d, 110},
		{strings.Repeat("x", 32), 0xd2e98427d9595d38, 105},
		{strings.Repeat("x", 33), 0x3c88f83634b2745e, 30},
		{strings.Repeat("x", IDBytesMax), 0xe727c1c23393464f, 115},
	}
	for _, tt := range tests {
		t.Run(clip(tt.id), func(t *testing.T) {
			hash := KeyHash(tt.id)
			if group := KeyGroupOf(hash, 128); hash != tt.hash || group != tt.group {
				t.Errorf("%#016x, key group %d; want %#016x, %d", hash, group, tt.hash, tt.group)
			}
		})
	}
}

func TestKeyGroupOf(t *testing.T) {
	tests := []struct {
		hash   uint64
		groups int
		want   KeyGroup
	}{
		{0, 1, 0},
		{math.MaxUint64, 1, 0},
		{0, 128, 0},
		{1<<57 - 1, 128, 0},
		{1 << 57, 128, 1},
		{math.MaxUint64, 128, 127},
		{math.MaxUint64, KeyGroupsMax, KeyGroupsMax - 1},
		{math.MaxUint64 >> 1, 3, 1},
	}
	for _, tt := range tests {
		if got := KeyGroupOf(tt.hash, tt.groups); got != tt.want {
			t.Errorf("KeyGroupOf(%#x, %d) = %d; want %d", tt.hash, tt.groups, got, tt.want)
		}
	}
	// Never outside, and in the order of the hashes: a key group is a range of them.
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.Uint64().Draw(t, "a"), rapid.Uint64().Draw(t, "b")
		groups := rapid.IntRange(1, KeyGroupsMax).Draw(t, "groups")
		low, high := KeyGroupOf(min(a, b), groups), KeyGroupOf(max(a, b), groups)
		if low > high || int(high) >= groups {
			t.Fatalf("key groups %d and %d of %d", low, high, groups)
		}
	})
}

// idFamilies are ids as applications make them; some differ in very few bits.
var idFamilies = []struct {
	name string
	id   func(i int) string
}{
	{"decimal", func(i int) string { return fmt.Sprint(i) }},
	{"padded decimal", func(i int) string { return fmt.Sprintf("%016d", i) }},
	{"prefix and decimal", func(i int) string { return fmt.Sprint("user-", i) }},
	{"decimal and suffix", func(i int) string { return fmt.Sprint(i, "@example.com") }},
	{"long prefix and decimal", func(i int) string { return strings.Repeat("tenant/", 20) + fmt.Sprint(i) }},
	{"decimal and long suffix", func(i int) string { return fmt.Sprintf("%08d", i) + strings.Repeat("/tenant", 20) }},
	{"hexadecimal", func(i int) string { return fmt.Sprintf("%x", i) }},
	{"big-endian", func(i int) string { return string(binary.BigEndian.AppendUint64(nil, uint64(i))) }},
	{"little-endian", func(i int) string { return string(binary.LittleEndian.AppendUint32(nil, uint32(i))) }},
	{"high bits", func(i int) string { return string(binary.LittleEndian.AppendUint64(nil, uint64(i)<<44)) }},
	{"steps of 1000", func(i int) string { return fmt.Sprint(i * 1000) }},
	{"dates", func(i int) string {
		return fmt.Sprintf("2026-%02d-%02dT%02d:%02d", i%12+1, i/12%28+1, i/336%24, i/8064)
	}},
	{"letters", func(i int) string {
		return string([]byte{byte('a' + i%26), byte('a' + i/26%26), byte('a' + i/676%26), byte('a' + i/17576)})
	}},
	{"uuid", func(i int) string {
		r := rand.New(rand.NewPCG(uint64(i), 7))
		return fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", r.Uint32(), r.Uint32()>>16, r.Uint32()>>20, r.Uint32()>>16, r.Uint64()>>16)
	}},
	{"zeros", func(i int) string { return strings.Repeat("\x00", i%4096+1) + fmt.Sprint(i/4096) }},
}

// Ids of every family fall evenly into key groups, and within one into the slots of a table that takes
// the low bits: as evenly as a random choice would.
func TestKeyHashBalance(t *testing.T) {
	const ids = 1 << 16
	for _, family := range idFamilies {
		t.Run(family.name, func(t *testing.T) {
			hashes := make([]uint64, ids)
			for i := range hashes {
				hashes[i] = KeyHash(family.id(i))
			}
			for _, groups := range []int{2, 3, 16, 100, 128, 1024, 4096} {
				counts := make([]int, groups)
				for _, h := range hashes {
					counts[KeyGroupOf(h, groups)]++
				}
				if z := deviation(counts, ids); z > 5 {
					t.Errorf("%d key groups: %.1f standard deviations from even", groups, z)
				}
			}
			for _, group := range []KeyGroup{0, 3} { // Of 4, so that enough ids are left.
				counts, n := make([]int, 1024), 0
				for _, h := range hashes {
					if KeyGroupOf(h, 4) == group {
						counts[h&1023]++
						n++
					}
				}
				if z := deviation(counts, n); z > 5 {
					t.Errorf("slots within key group %d: %.1f standard deviations from even", group, z)
				}
			}
		})
	}
}

// deviation is Pearson's chi-squared of the counts of n things, in its standard deviations from what it
// is on average when each thing is put anywhere.
func deviation(counts []int, n int) float64 {
	mean := float64(n) / float64(len(counts))
	sum := 0.0
	for _, c := range counts {
		sum += (float64(c) - mean) * (float64(c) - mean) / mean
	}
	freedom := float64(len(counts) - 1)
	return (sum - freedom) / math.Sqrt(2*freedom)
}

// No two ids of the families share a hash: with 2^18 of them and 64 bits that would be no accident.
func TestKeyHashCollisions(t *testing.T) {
	seen := map[uint64]string{}
	for _, family := range idFamilies {
		for i := range 1 << 14 {
			id := family.id(i)
			if other, ok := seen[KeyHash(id)]; ok && other != id {
				t.Fatalf("%q and %q have hash %#x", other, id, KeyHash(id))
			}
			seen[KeyHash(id)] = id
		}
	}
}

// Turning one bit of an id turns every bit of the hash in half of the cases, whatever the length. (Of one
// byte there are too few ids to tell.)
func TestKeyHashAvalanche(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, length := range []int{2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 24, 31, 32, 33, 40} {
		const trials = 1000
		worst, total := 0.0, 0
		id := make([]byte, length)
		for in := range length * 8 {
			var turned [64]int
			for range trials {
				for i := range id {
					id[i] = byte(r.Uint32())
				}
				before := KeyHash(string(id))
				id[in/8] ^= 1 << (in % 8)
				changed := before ^ KeyHash(string(id))
				total += bits.OnesCount64(changed)
				for ; changed != 0; changed &= changed - 1 {
					turned[bits.TrailingZeros64(changed)]++
				}
			}
			for _, n := range turned {
				worst = max(worst, math.Abs(float64(n)/trials-0.5))
			}
		}
		average := float64(total) / float64(length*8*trials*64)
		t.Logf("%d bytes: average %.4f, worst pair of bits %.3f from one half", length, average, worst)
		// A fair coin tossed 1000 times is off by 0.08 once in two million; there are up to 20,000 pairs.
		if worst > 0.1 || math.Abs(average-0.5) > 0.005 {
			t.Errorf("%d bytes: average %.4f, worst pair of bits %.3f from one half", length, average, worst)
		}
	}
}

func TestKeyHashAllocatesNothing(t *testing.T) {
	id := strings.Repeat("id", 20)
	var sum uint64
	if n := testing.AllocsPerRun(100, func() { sum += KeyHash(id) }); n != 0 || sum == 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkKeyHash(b *testing.B) {
	for _, length := range []int{8, 16, 36, 100} {
		b.Run(fmt.Sprintf("bytes=%d", length), func(b *testing.B) {
			id := strings.Repeat("i", length)
			var sum uint64
			for b.Loop() {
				sum += KeyHash(id)
			}
			_ = sum
		})
	}
}
