// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"fmt"

	"github.com/millrace-io/millrace/engine/internal/clock"
	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/internal/invariant"
	"github.com/millrace-io/millrace/engine/internal/table"
)

// Step runs one batch to its end. What is to happen outside is left in the outlets, for Drain. The batch
// is the caller's again when Step returns.
//
//	marker, or newer epoch ──► cut ──┐
//	same epoch, or no epoch ─────────┼──► find all instances ──► invoke in order
//	older epoch: in flight ──────────┘
func (s *Shard) Step(now clock.Instant, b *envelope.Batch) {
	s.setNow(now)
	s.receive(b)
	s.Counts.Batches++
	for i := 0; i < len(b.Envelopes); {
		i = s.run(b, i)
	}
	s.releaseEmpties()
}

// groupMax is how many messages are looked up before the first of them runs: enough for the processor to
// wait for all their cache lines at once, few enough for the lines to be still there.
const groupMax = 32

// run invokes for the envelopes from i on and returns where to go on: the end, or the envelope behind
// one that panicked. So a panic costs a recovery, and its absence costs nothing per message.
func (s *Shard) run(b *envelope.Batch, i int) (next int) {
	returned := false
	defer func() {
		if err := recovered(recover(), returned); err != nil {
			s.fail(b, &b.Envelopes[i], err)
			next = i + 1
		}
	}()
	var tags [groupMax]table.Tag
	var slots [groupMax]table.Slot
	var known [groupMax]bool
	var touched uint64
	for i < len(b.Envelopes) {
		group := b.Envelopes[i:min(i+groupMax, len(b.Envelopes))]

		// The loads of each pass are independent of each other, so their cache misses overlap: first
		// those of the index, then those of the rows. Slots are numbers, which inserting does not move.
		for j := range group {
			e := &group[j]
			tags[j] = s.tag(b, e)
			touched += s.fns[e.Function].table.Touch(tags[j])
		}
		for j := range group {
			e := &group[j]
			t := s.fns[e.Function].table
			slots[j], known[j] = t.Candidate(tags[j])
			if known[j] {
				touched += t.Row(slots[j]).Hash
			}
		}
		s.touched += touched // So that the loads are not optimised away.

		for j := range group {
			s.deliver(b, &group[j], tags[j], slots[j], known[j]) // I2: one at a time, in order of arrival.
			i++
		}
	}
	returned = true
	return i
}

// recovered turns what a handler panicked with into an error; a broken invariant is none of its doing.
func recovered(p any, returned bool) error {
	switch p := p.(type) {
	case invariant.Broken:
		panic(p)
	case nil:
		if !returned {
			// It cannot be stopped, and a process with a shard less would look alive.
			invariant.Failf("a handler has called runtime.Goexit, which ends the shard's goroutine")
		}
		return nil
	default:
		return fmt.Errorf("panic: %v", p)
	}
}

func (s *Shard) tag(b *envelope.Batch, e *envelope.Envelope) table.Tag {
	if lo, hi, ok := e.InlineID(); ok {
		return s.seed.TagInline(lo, hi, e.IDLen())
	}
	return s.seed.Tag(b.ID(e))
}

// deliver runs one message at its instance, or lets it wait behind those that wait there already.
func (s *Shard) deliver(b *envelope.Batch, e *envelope.Envelope, tag table.Tag, slot table.Slot, known bool) {
	fn := s.fns[e.Function]
	row := s.resolve(fn, b, e, tag, &slot, known)
	if row.Flags&(flagQueued) != 0 || e.IsResume() {
		s.deliverQueued(fn, slot, row, b, e)
		return
	}
	if err := s.invoke(fn, slot, row, b, e); err != nil {
		s.fail(b, e, err)
	}
}

// resolve finds the instance of a message, or makes it.
func (s *Shard) resolve(fn *Function, b *envelope.Batch, e *envelope.Envelope, tag table.Tag, slot *table.Slot, known bool) *table.Row {
	key := table.Key{Hash: e.Hash, Tag: tag, ID: b.ID(e)}
	key.Lo, key.Hi, key.Inline = e.InlineID()
	if known {
		if row := fn.table.Row(*slot); fn.table.Is(row, &key) {
			return row
		}
	}
	var ok bool
	if *slot, ok = fn.table.Find(&key); !ok {
		*slot = fn.table.Insert(&key)
	}
	return fn.table.Row(*slot)
}

// releaseEmpties removes the instances that this step has left without state and without messages.
func (s *Shard) releaseEmpties() {
	for _, p := range s.empties {
		fn := s.fns[p.fn]
		row := fn.table.Row(p.slot)
		row.Flags &^= flagLeaving
		if row.Present == 0 && row.Flags&flagQueued == 0 {
			s.release(fn, p.slot, row)
		}
	}
	s.empties = s.empties[:0]
}
