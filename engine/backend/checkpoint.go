// SPDX-License-Identifier: Apache-2.0

package backend

import "github.com/millrace-io/millrace/engine/statefun"

// Checkpoint describes one committed epoch: everything about it that is not an entry.
type Checkpoint struct {
	Application string
	Generation  statefun.Generation
	Epoch       statefun.Epoch
	KeyGroups   int
	// CreatedAt is engine time at the cut, in milliseconds since the Unix epoch: the greatest of any
	// shard's. Recovery starts no earlier than this (P37).
	CreatedAt int64
	// Numbers is the greatest number that any message in flight or delayed message has had so far: numbers
	// are never reused (P11).
	Numbers uint64
	// Since is the epoch, no later than Epoch, from which on every entry that there is has been put: whatever was
	// put earlier says nothing any more. 0: none is known. It is for Commit alone and need not be kept; Latest may
	// leave it out.
	Since statefun.Epoch
	// Names gives the numbers in the entries' keys and values their meaning (package checkpoint).
	Names []byte
	// Sources is where each source stood at the cut, ordered by name.
	Sources []SourcePosition
}

// SourcePosition is where one source stood at a cut.
type SourcePosition struct {
	Source   string
	Position []byte
}
