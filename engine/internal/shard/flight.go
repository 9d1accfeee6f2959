// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"unsafe"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/internal/checkpoint"
	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/internal/invariant"
	"github.com/millrace-io/millrace/engine/internal/planted"
	"github.com/millrace-io/millrace/engine/statefun"
)

// A message is in flight across a cut when it has been sent before it and not taken effect (I4, P9). It is then
// an entry of the checkpoint, from the epoch in which it came to the one in which it goes:
//
//	waits here at the cut ───────────► fresh ──cut──► frozen ──encoded──► saved ──gone──► deleted
//	                                     └──gone: nobody needs to know
//	arrives after it, from before it ──► logged in the closing part ───► saved ──gone──► deleted
//
// So what comes and goes within an epoch is never written, and what waits for long is written once.

// flight is the batch from before the cut that is being run after it.
type flight struct {
	batch *envelope.Batch
	first uint64 // The number of its first message; the others follow.
	kept  []bool // Those that wait at their address now.
}

// keep puts a copy of a message into the store, with the next number or, if it is in flight, with its own.
func (s *Shard) keep(b *envelope.Batch, e *envelope.Envelope) (record uint32) {
	record = s.stored.put(s.heap, b, e)
	if b == s.flight.batch {
		i := s.flight.index(e)
		s.flight.kept[i] = true
		s.stored.at(record).number = s.flight.first + uint64(i)
		return record // The closing part has it.
	}
	s.stored.at(record).number = s.number()
	s.freshen(record)
	return record
}

// number returns the next number. They grow for ever: a later one is a message that came later (P11).
func (s *Shard) number() uint64 {
	s.numbers++
	return s.numbers
}

// freshen notes that no checkpoint knows a record yet.
func (s *Shard) freshen(record uint32) {
	if !s.epoch.unstored {
		s.fresh[s.epoch.parity()].set(record)
	}
}

// forget drops a record and has the checkpoints that know of it forget it too.
func (s *Shard) forget(record uint32) {
	parity := s.epoch.parity()
	if !s.fresh[parity].clear(record) && !s.epoch.unstored {
		if s.fresh[parity^1].clear(record) && !planted.FrozenForgotten {
			s.encodeRecord(record, parity^1) // P13: it was there at the cut.
		}
		s.encodeGone(record, parity)
	}
	s.stored.drop(s.heap, record)
}

// encodeRecords encodes up to most of the closing epoch's frozen records and returns how many more instances
// may be encoded: none, once sliceBytes have been written since start.
func (s *Shard) encodeRecords(parity, most, start int) (left int) {
	fresh := &s.fresh[parity]
	for most > 0 && fresh.any {
		if s.epoch.changes[parity].bytes()-start > sliceBytes {
			return 0
		}
		var records [encodeFew]uint32
		n, next := fresh.take(s.epoch.record, records[:min(most, encodeFew)])
		s.epoch.record = next
		for _, r := range records[:n] {
			s.encodeRecord(r, parity)
		}
		most -= n
	}
	return most
}

// encodeRecord puts a record into the part of an epoch.
func (s *Shard) encodeRecord(record uint32, parity int) {
	r := s.stored.at(record)
	e := s.stored.open(s.heap, record, &s.view)
	if r.due == never {
		s.logMessage(&s.view, e, r.number, parity)
		return
	}
	m, value := s.message(&s.view, e)
	d := checkpoint.Delayed{Due: r.due, Function: e.Function, ID: s.view.ID(e), Name: bytesOf(s.names[Token(r.number)].name), Message: m}
	s.epoch.key = checkpoint.AppendDelayedKey(s.epoch.key[:0], r.number)
	s.epoch.value = append(checkpoint.AppendDelayed(s.epoch.value[:0], &d), value...)
	s.put(parity, s.groupOf(statefun.KeyHash(alias(m.CallerID))), s.epoch.key, s.epoch.value) // P12
}

// encodeGone deletes a record that a checkpoint knows.
func (s *Shard) encodeGone(record uint32, parity int) {
	r := s.stored.at(record)
	e := s.stored.open(s.heap, record, &s.view)
	if r.due == never {
		s.logGone(&s.view, e, r.number, parity)
		return
	}
	if planted.FiredNotDeleted {
		return
	}
	_, sender, _ := s.view.Caller(e)
	s.epoch.key = checkpoint.AppendDelayedKey(s.epoch.key[:0], r.number)
	s.delete(parity, s.groupOf(statefun.KeyHash(alias(sender))), s.epoch.key)
}

// logFlight logs a batch from before the cut: its messages are in flight across it. It is done before the
// first of them runs, for handlers may change what they are given (P9).
func (s *Shard) logFlight(b *envelope.Batch) {
	f := &s.flight
	f.batch, f.first = b, s.numbers+1
	f.kept = append(f.kept[:0], make([]bool, len(b.Envelopes))...)
	for i := range b.Envelopes {
		s.logMessage(b, &b.Envelopes[i], s.number(), s.epoch.parity()^1)
	}
}

// landFlight notes that those messages of the batch have taken effect that do not wait at their address.
func (s *Shard) landFlight() {
	f := &s.flight
	for i, kept := range f.kept {
		if !kept && !planted.LandedNotDeleted {
			s.logGone(f.batch, &f.batch.Envelopes[i], f.first+uint64(i), s.epoch.parity())
		}
	}
	f.batch = nil
}

func (f *flight) index(e *envelope.Envelope) int {
	return int((uintptr(unsafe.Pointer(e)) - uintptr(unsafe.Pointer(&f.batch.Envelopes[0]))) / envelope.Size)
}

// logMessage puts a message that is in flight to its address into the part of an epoch.
func (s *Shard) logMessage(b *envelope.Batch, e *envelope.Envelope, number uint64, parity int) {
	if s.epoch.unstored {
		return
	}
	m, value := s.message(b, e)
	s.epoch.key = checkpoint.AppendMessageKey(s.epoch.key[:0], e.Function, b.ID(e), number)
	s.epoch.value = append(checkpoint.AppendMessage(s.epoch.value[:0], &m), value...)
	s.put(parity, s.home(e.Function, e.Hash, b.ID(e)), s.epoch.key, s.epoch.value)
}

func (s *Shard) logGone(b *envelope.Batch, e *envelope.Envelope, number uint64, parity int) {
	s.epoch.key = checkpoint.AppendMessageKey(s.epoch.key[:0], e.Function, b.ID(e), number)
	s.delete(parity, s.home(e.Function, e.Hash, b.ID(e)), s.epoch.key)
}

// message returns what an entry says of a message, and its value in the wire form: a memory image means something
// to this build only. The bytes are valid until the next call.
func (s *Shard) message(b *envelope.Batch, e *envelope.Envelope) (m checkpoint.Message, value []byte) {
	m.Absent = e.IsAbsent()
	m.Caller, m.CallerID, m.HasCaller = b.Caller(e)
	if e.Input == envelope.Untyped {
		m.Typename, value = b.Named(e)
		return m, value
	}
	in := &s.function(e.Function).Inputs[e.Input]
	m.Typename = bytesOf(in.Typename)
	if !e.IsMemory() {
		return m, b.Wire(e)
	}
	value, err := in.Encode(s.epoch.image[:0], b.Payload(e))
	if err != nil {
		invariant.Failf("shard %d: a %s in flight cannot be encoded: %v", s.id, in.Typename, err)
	}
	s.epoch.image = value
	return m, value
}

// home is the key group to which a message for an address goes, and under which it is in flight. The answer to a
// call under a key goes to the key.
func (s *Shard) home(fn envelope.Function, hash uint64, id []byte) statefun.KeyGroup {
	if s.function(fn).External {
		if group, ok := s.keyedCaller(alias(id)); ok {
			return group
		}
	}
	return s.groupOf(hash)
}

func (s *Shard) groupOf(hash uint64) statefun.KeyGroup {
	return statefun.KeyGroupOf(hash, len(s.route))
}

// put and delete append a change to the part of an epoch.
func (s *Shard) put(parity int, group statefun.KeyGroup, key, value []byte) {
	if !s.epoch.unstored {
		c := &s.epoch.changes[parity]
		c.end(backend.AppendPut(c.begin(), group, key, value))
	}
}

func (s *Shard) delete(parity int, group statefun.KeyGroup, key []byte) {
	if !s.epoch.unstored {
		c := &s.epoch.changes[parity]
		c.end(backend.AppendDelete(c.begin(), group, key))
	}
}
