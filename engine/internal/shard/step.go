// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"fmt"

	"github.com/millrace-io/millrace/engine/internal/clock"
	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/internal/invariant"
	"github.com/millrace-io/millrace/engine/internal/planted"
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
	inFlight := s.receive(b) && !planted.InFlightNotLogged
	s.Counts.Batches++
	if inFlight {
		s.logFlight(b)
	}
	if b.Ticket == nil || s.judge(b) {
		for i := 0; i < len(b.Envelopes); {
			i = s.run(b, i)
		}
	}
	if inFlight {
		s.landFlight()
	}
	s.dispatch()
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
		if err := s.recovered(recover(), returned); err != nil {
			s.fail(b, &b.Envelopes[i], err)
			next = i + 1
		}
	}()
	var look [groupMax]lookup
	for i < len(b.Envelopes) {
		group := b.Envelopes[i:min(i+groupMax, len(b.Envelopes))]
		s.prefetch(b, group, &look)
		for j := range group {
			s.deliver(b, &group[j], &look[j]) // I2: one at a time, in order of arrival.
			i++
		}
	}
	returned = true
	return i
}

// lookup is what is known of a message's instance before its turn.
type lookup struct {
	table *table.Table
	tag   table.Tag
	known bool // row and slot are a candidate.
	slot  table.Slot
	row   *table.Row
	first uint64 // What the index holds where the search begins.
	hash  uint64 // The row's.
}

// prefetch finds the candidates for a group of messages. The loads of each pass are independent of each
// other and there is little between them, so that the processor waits for many cache lines at once:
// first those of the index, then those of the rows. Together in one loop they cost twice as much at a
// million instances. Slots are numbers and rows stay where they are, whatever the group inserts.
func (s *Shard) prefetch(b *envelope.Batch, group []envelope.Envelope, look *[groupMax]lookup) {
	for j := range group {
		e, l := &group[j], &look[j%groupMax]
		l.table = s.function(e.Function).table
		if lo, hi, ok := e.InlineID(); ok {
			l.tag = s.seed.TagInline(lo, hi, e.IDLen())
		} else {
			l.tag = s.seed.Tag(b.ID(e))
		}
	}
	for j := range group {
		l := &look[j%groupMax]
		l.first = l.table.Touch(l.tag)
	}
	for j := range group {
		l := &look[j%groupMax]
		if l.slot, l.known = l.table.Candidate(l.tag, l.first); l.known {
			l.row = l.table.Row(l.slot)
		} else {
			l.row = &nobody
		}
	}
	for j := range group {
		l := &look[j%groupMax]
		l.hash = l.row.Hash
	}
}

// nobody stands for the row of a message without a candidate. It is never written.
var nobody table.Row

// recovered turns what a handler panicked with into an error; a broken invariant is none of its doing.
func (s *Shard) recovered(p any, returned bool) error {
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
		err := &PanicError{Value: p}
		if s.stack != nil {
			err.Stack = s.stack() // Still that of the panic: this is called while it unwinds.
		}
		return err
	}
}

// PanicError is what an invocation fails with when its handler panics.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// deliver runs one message at its instance, or lets it wait behind those that wait there already.
func (s *Shard) deliver(b *envelope.Batch, e *envelope.Envelope, l *lookup) {
	fn := s.fns[e.Function]
	slot, row := s.resolve(b, e, l)
	switch {
	case row.Flags&flagQueued != 0 || e.IsControl():
		s.deliverQueued(fn, slot, row, b, e)
		return
	case fn.special:
		s.deliverSpecial(fn, slot, row, b, e)
		return
	}
	if err := s.invoke(fn, slot, row, b, e); err != nil {
		s.fail(b, e, err)
	}
}

// deliverSpecial takes a message that no handler here is for.
func (s *Shard) deliverSpecial(fn *Function, slot table.Slot, row *table.Row, b *envelope.Batch, e *envelope.Envelope) {
	switch {
	case fn.Endpoint != nil:
		s.await(fn, slot, row, b, e)
	case fn.External:
		s.answer(b, e)
		s.leave(fn, slot, row)
	default: // Sent when there was one: it waits until there is again.
		q := s.newQueue()
		s.queues[place{fn.number, slot}] = q
		row.Flags |= flagQueued
		s.enqueue(fn, q, b, e)
		s.park(fn, q) // Without an entry: it goes on when there is somebody again.
		s.reportSuspended(fn, row, errAbsent)
	}
}

// resolve finds the instance of a message, or makes it.
func (s *Shard) resolve(b *envelope.Batch, e *envelope.Envelope, l *lookup) (table.Slot, *table.Row) {
	key := table.Key{Hash: e.Hash, Tag: l.tag, ID: b.ID(e)}
	key.Lo, key.Hi, key.Inline = e.InlineID()
	if l.known && l.hash == e.Hash && l.table.Is(l.row, &key) {
		return l.slot, l.row
	}
	slot, ok := l.table.Find(&key)
	if !ok {
		slot = l.table.Insert(&key)
	}
	return slot, l.table.Row(slot)
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
