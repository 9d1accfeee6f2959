// SPDX-License-Identifier: Apache-2.0

package table

import (
	"encoding/binary"
	"math/bits"
)

// Tag is what an index keeps of an id.
type Tag uint32

// Seed makes tags that nobody who does not know it can foresee. It lives as long as the process: tags are
// in no checkpoint.
type Seed [2]uint64

// Tag returns the tag of an id.
func (s *Seed) Tag(id []byte) Tag {
	var lo, hi uint64
	for len(id) > 16 {
		lo ^= binary.LittleEndian.Uint64(id)
		hi ^= binary.LittleEndian.Uint64(id[8:])
		lo, hi = bits.Mul64(lo^s[0], hi^s[1])
		id = id[16:]
	}
	var last [16]byte
	copy(last[:], id)
	return s.finish(lo, hi, len(id), binary.LittleEndian.Uint64(last[:8]), binary.LittleEndian.Uint64(last[8:]))
}

// TagInline returns the tag of an id of at most 16 bytes, given as two words padded with zeros.
func (s *Seed) TagInline(lo, hi uint64, length int) Tag { return s.finish(0, 0, length, lo, hi) }

// finish mixes the last words in twice: one product alone is zero for whoever guesses a factor.
func (s *Seed) finish(stateLo, stateHi uint64, length int, lo, hi uint64) Tag {
	a, b := bits.Mul64(lo^stateLo^s[0], hi^stateHi^s[1]^uint64(length)<<56)
	a, b = bits.Mul64(a^s[1], b^s[0]|1)
	return Tag((a ^ b) >> 16)
}
