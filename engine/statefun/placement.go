// SPDX-License-Identifier: Apache-2.0

package statefun

import (
	"math/bits"
)

// Epoch numbers the intervals between two checkpoints. It grows for the whole life of a store and is
// never reused; the first is 1, and 0 marks what belongs to no epoch yet.
type Epoch uint64

// Generation numbers the runs of an application on one store. A backend hands out the next one,
// durably and exclusively, when it is opened.
type Generation uint64

// KeyGroup is the unit of ownership and of rescaling: which of an application's fixed number of groups
// an id falls into.
type KeyGroup uint16

// KeyGroupsMax bounds the number of key groups of an application.
const KeyGroupsMax = 1 << 15

// KeyHash is the hash of an id. It is the same in every process and version, because key groups live in
// checkpoints; placement_test.go holds its golden values. By the id alone, as in StateFun: all
// function types with one id share a shard.
//
// It is a two-word multiply mix in the manner of wyhash: one 64 by 64 bit multiplication for each 16
// bytes, its halves folded together, because a product alone keeps its low bits poor.
func KeyHash(id string) uint64 {
	h := uint64(len(id)) * hashC
	s := id
	for len(s) > 16 {
		h = mix(word(s)^hashA^h, word(s[8:])^hashB)
		s = s[16:]
	}
	var a, b uint64
	switch n := len(s); {
	case n >= 8:
		a, b = word(s), word(s[n-8:])
	case n >= 4:
		a, b = uint64(half(s)), uint64(half(s[n-4:]))
	case n > 0:
		a = uint64(s[0])<<16 | uint64(s[n/2])<<8 | uint64(s[n-1])
	}
	return mix(mix(a^hashA^h, b^hashB), hashC)
}

// KeyGroupOf places a hash in one of groups key groups.
func KeyGroupOf(hash uint64, groups int) KeyGroup {
	// The high half scaled down, instead of a remainder: no division, and the low half stays free for
	// the instance table, which sees only the hashes of its own groups.
	return KeyGroup((hash >> 32) * uint64(groups) >> 32)
}

// Odd constants with about as many ones as zeros: 2^64 divided by the golden ratio, by √2 and by √3.
const (
	hashA = 0x9e3779b97f4a7c15
	hashB = 0xb504f333f9de6485
	hashC = 0x93cd3a2c8198e269
)

func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

func word(s string) uint64 {
	_ = s[7]
	return uint64(half(s)) | uint64(half(s[4:]))<<32
}

func half(s string) uint32 {
	_ = s[3]
	return uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24
}
