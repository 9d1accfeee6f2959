// SPDX-License-Identifier: Apache-2.0

package keys

import (
	"math/rand/v2"
	"unsafe"
)

// How many ids a ring holds: enough that no cache keeps the order of a load, few enough to be made in
// well under a second.
const (
	ringMin = 1 << 20
	ringMax = 1 << 22
)

// Ring is a load's ids, drawn before the run and laid end to end in one buffer. A load longer than
// the ring walks it again and again. It does not change once made and is safe for concurrent use.
type Ring struct {
	load Load
	ids  string
	raw  []byte // The memory of ids, for callers that want bytes. Never written after NewRing.
}

// NewRing draws the ids of a load; the same load gives the same ids. A uniform ring that has room for
// all keys holds every key at least once, so that a load of at least a ring's length touches them all.
func NewRing(l Load) (*Ring, error) {
	if err := l.Validate(); err != nil {
		return nil, err
	}
	// The stream number keeps this generator apart from others that are given the same seed.
	const stream = 0x6b657973
	rng := rand.New(rand.NewPCG(l.Seed, stream))
	raw := make([]byte, 0, ringLen(l)*IDBytes)
	for _, k := range draw(rng, l, ringLen(l)) {
		raw = AppendID(raw, int(k))
	}
	return &Ring{load: l, raw: raw, ids: unsafe.String(unsafe.SliceData(raw), len(raw))}, nil
}

// ringLen is four ids for each key within the bounds, at least one for each, and never more than
// there are messages.
func ringLen(l Load) int {
	n := min(max(4*l.Keys, ringMin), ringMax)
	return min(max(n, l.Keys), l.Messages)
}

func draw(rng *rand.Rand, l Load, n int) []uint32 {
	drawn := make([]uint32, n)
	switch l.Dist {
	case Zipf:
		zipf := rand.NewZipf(rng, 1.1, 1, uint64(l.Keys-1))
		for i := range drawn {
			drawn[i] = uint32(zipf.Uint64())
		}
	default:
		for i := range drawn {
			if n >= l.Keys && i < l.Keys {
				drawn[i] = uint32(i)
			} else {
				drawn[i] = uint32(rng.IntN(l.Keys))
			}
		}
		rng.Shuffle(n, func(i, j int) { drawn[i], drawn[j] = drawn[j], drawn[i] })
	}
	return drawn
}

// Len returns the number of ids in the ring.
func (r *Ring) Len() int { return len(r.raw) / IDBytes }

// Load returns what the ring was made for.
func (r *Ring) Load() Load { return r.load }

// Cursor returns a walk over messages [first, first+…) of the load. It never ends: who walks counts.
func (r *Ring) Cursor(first int) Cursor {
	return Cursor{ring: r, at: first % r.Len() * IDBytes}
}

// Counts returns how many of the load's messages each key gets.
func (r *Ring) Counts() []int64 {
	whole, rest := int64(r.load.Messages/r.Len()), r.load.Messages%r.Len()
	counts := make([]int64, r.load.Keys)
	for i := range r.Len() {
		k, _ := Index(r.ids[i*IDBytes : (i+1)*IDBytes])
		counts[k] += whole
		if i < rest {
			counts[k]++
		}
	}
	return counts
}

// Cursor is a place in a ring. It belongs to one goroutine; a copy walks on by itself.
type Cursor struct {
	ring *Ring
	at   int
}

// Next returns the next id, which stays valid: it is part of the ring.
func (c *Cursor) Next() string {
	at := c.at
	if at == len(c.ring.ids) {
		at = 0
	}
	c.at = at + IDBytes
	return c.ring.ids[at : at+IDBytes]
}

// NextBytes is Next for callers that want bytes, which must not be written to.
func (c *Cursor) NextBytes() []byte {
	at := c.at
	if at == len(c.ring.raw) {
		at = 0
	}
	c.at = at + IDBytes
	return c.ring.raw[at : at+IDBytes : at+IDBytes]
}

// Part returns which of a load's messages the part-th of parts shares is: its first one and how many.
// Shares differ by one message at most, so that none of them is the last for long.
func Part(messages, part, parts int) (first, count int) {
	first = messages * part / parts
	return first, messages*(part+1)/parts - first
}
