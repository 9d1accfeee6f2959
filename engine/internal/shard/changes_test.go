// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/millrace-io/millrace/engine/backend"
)

// What has been appended comes back in order and whole, however long the changes are, and the pieces of one epoch
// serve the next. After a peak most of them go.
func TestChanges(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var c changes
	for round := range 20 {
		var want []byte
		n := []int{0, 1, 500, 20_000}[round%4]
		for range n {
			change := bytes.Repeat([]byte{byte(rng.Uint32())}, rng.IntN(200))
			if rng.IntN(500) == 0 {
				change = bytes.Repeat([]byte{1}, 1+rng.IntN(3*pieceMax))
			}
			c.end(append(c.begin(), change...))
			want = append(want, change...)
		}
		if c.bytes() != len(want) {
			t.Errorf("round %d: %d bytes; want %d", round, c.bytes(), len(want))
		}
		var got []byte
		for _, p := range c.parts(7) {
			if p.Shard != 7 || len(p.Changes) == 0 {
				t.Errorf("round %d: a part of shard %d with %d bytes", round, p.Shard, len(p.Changes))
			}
			got = append(got, p.Changes...)
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("round %d: the parts are something else than what was appended", round)
		}
		c.reset()
		if c.bytes() != 0 || len(c.parts(7)) != 0 {
			t.Errorf("round %d: something is left", round)
		}
	}
	c.reset() // As an epoch in which nothing happened.
	held := 0
	for _, b := range c.pieces {
		held += cap(b)
	}
	if most := 2 * piecesKept * pieceMax; held > most {
		t.Errorf("%d bytes are held for nothing; want at most %d", held, most)
	}
}

// A change lies in one piece: a backend reads each by itself.
func TestChangesAreWhole(t *testing.T) {
	var c changes
	key, value := make([]byte, 100), make([]byte, 3000)
	const n = 2000
	for range n {
		c.end(backend.AppendPut(c.begin(), 1, key, value))
	}
	count := 0
	for _, p := range c.parts(0) {
		for _, err := range p.All() {
			if err != nil {
				t.Fatal(err)
			}
			count++
		}
	}
	if count != n || len(c.parts(0)) < 3 {
		t.Errorf("%d changes in %d pieces; want %d in several", count, len(c.parts(0)), n)
	}
}
