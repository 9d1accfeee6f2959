// SPDX-License-Identifier: Apache-2.0

package table

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/millrace-io/millrace/engine/statefun"
)

// An id has one tag, however it is given.
func TestTagInline(t *testing.T) {
	seed := Seed{0x0123456789abcdef, 0xfedcba9876543210}
	for n := 1; n <= 16; n++ {
		id := []byte("0123456789abcdef")[:n]
		var padded [16]byte
		copy(padded[:], id)
		lo, hi := binary.LittleEndian.Uint64(padded[:8]), binary.LittleEndian.Uint64(padded[8:])
		if got, want := seed.TagInline(lo, hi, n), seed.Tag(id); got != want {
			t.Errorf("id of %d bytes: tag %x inline, %x otherwise", n, got, want)
		}
	}
}

// KeyHash is public and unseeded: these ids all have the hash 0. Their tags must be spread all the same,
// or a stranger could make every lookup walk past all of them.
func TestTagOfCollidingIDs(t *testing.T) {
	seed := Seed{0x0123456789abcdef, 0xfedcba9876543210}
	const n = 1 << 16
	homes := map[Tag]int{}
	tags := map[Tag]bool{}
	for i := range n {
		id := fmt.Sprintf("%08x", i) + "\x85\x64\xde\xf9\x33\xf3\x04\xb5"
		if statefun.KeyHash(id) != 0 {
			t.Fatalf("KeyHash(%q) is not 0: find other colliding ids", id)
		}
		tag := seed.Tag([]byte(id))
		tags[tag] = true
		homes[tag&segmentMask]++
	}
	if len(tags) < n*99/100 {
		t.Errorf("%d ids have %d tags", n, len(tags))
	}
	for home, count := range homes {
		if count > 4*n/segmentEntries {
			t.Errorf("place %d is the home of %d ids; %d are expected", home, count, n/segmentEntries)
		}
	}
}
