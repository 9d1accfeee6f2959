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
	for i < len(b.Envelopes) {
		group := b.Envelopes[i:min(i+groupMax, len(b.Envelopes))]
		s.ahead.look(s, b, group)
		for j := range group {
			s.deliver(b, &group[j], j) // I2: one at a time, in order of arrival.
			i++
		}
	}
	returned = true
	return i
}

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

// deliver runs message j of the group at its instance, or lets it wait behind those that wait there already.
func (s *Shard) deliver(b *envelope.Batch, e *envelope.Envelope, j int) {
	fn := s.fns[e.Function]
	slot, row := s.ahead.slots[j%groupMax], s.ahead.rows[j%groupMax]
	if lo, hi, ok := e.InlineID(); !ok || row == nil || !row.IsInline(e.Hash, lo, hi, e.IDLen()) {
		slot, row = s.resolve(fn, b, e, j)
	}
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
