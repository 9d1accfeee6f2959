// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"math"

	"github.com/millrace-io/millrace/engine/internal/clock"
	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/internal/table"
)

// store keeps messages that wait, one by one, because they leave one by one: delayed messages until they
// are due, and those at an address that cannot take them yet. Records hold no pointers and are reused.
type store struct {
	chunks [][]stored
	free   uint32 // The first free record plus one.
	next   uint32
	copied envelope.Batch // Scratch of put.
}

type stored struct {
	envelope envelope.Envelope
	arena    table.Ref // What of it lies outside the envelope.
	arenaLen uint32
	next     uint32        // The record behind it, plus one: in a queue, or in the free list.
	number   uint64        // Of a message at its address: by it checkpoints order them. Of a delayed message: its token.
	due      clock.Instant // Of a delayed message; else never.
}

// never is the due time of a message that waits for something else.
const never clock.Instant = math.MinInt64

const storeChunk = 1024

func (st *store) at(i uint32) *stored { return &st.chunks[i/storeChunk][i%storeChunk] }

// put keeps a copy of a message.
func (st *store) put(h *table.Heap, b *envelope.Batch, e *envelope.Envelope) (i uint32) {
	switch {
	case st.free != 0:
		i = st.free - 1
		st.free = st.at(i).next
	default:
		if int(st.next) == len(st.chunks)*storeChunk {
			st.chunks = append(st.chunks, make([]stored, storeChunk))
		}
		i = st.next
		st.next++
	}
	c := &st.copied
	c.Reset()
	c.Copy(b, e)
	*st.at(i) = stored{envelope: c.Envelopes[0], arena: h.Put(c.Arena), arenaLen: uint32(len(c.Arena)), due: never}
	return i
}

// open shows a record as a batch of one, in view, valid until the record is dropped.
func (st *store) open(h *table.Heap, i uint32, view *envelope.Batch) *envelope.Envelope {
	r := st.at(i)
	view.Envelopes = append(view.Envelopes[:0], r.envelope)
	view.Arena = h.Get(r.arena, int(r.arenaLen))
	return &view.Envelopes[0]
}

// drop forgets a record.
func (st *store) drop(h *table.Heap, i uint32) {
	r := st.at(i)
	h.Free(r.arena)
	*r = stored{next: st.free}
	st.free = i + 1
}

// bytes is what a record counts for in the gate.
func (st *store) bytes(i uint32) int64 { return envelope.Size + int64(st.at(i).arenaLen) }
