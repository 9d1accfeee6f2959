// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"errors"
	"fmt"

	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/statefun"
)

// outlet holds what is to leave for one destination: a shard, the callers outside, or the egresses. What
// an invocation appends is cut off again when it fails.
type outlet struct {
	batches []*envelope.Batch // In order; open is the last of them.
	open    *envelope.Batch   // May still take envelopes; nil when a further batch is needed.
	full    int64             // Bytes of the batches before open.

	// The mark: where the outlet stood when invocation seq first appended to it.
	seq      uint64
	markOpen *envelope.Batch
	marked   int // len(batches)
	markFull int64
	markedN  int // Envelopes in markOpen,
	markedA  int // and bytes in its arena.

	caller uint32 // The running instance's record in open; 0 when it is not there yet.
}

// Post appends an envelope from the running instance to an address. The caller of Post writes the
// payload into it, at once.
func (inv *Invocation) Post(fn envelope.Function, input envelope.Input, hash uint64, id string) (*envelope.Batch, *envelope.Envelope) {
	s := inv.shard
	to := s.destination(fn, hash, id)
	if to == s.id {
		inv.outLocal++
	}
	return inv.post(to, fn, input, hash, id)
}

// PostEgress appends a record for an egress, whose number stands in the place of a function's.
func (inv *Invocation) PostEgress(egress envelope.Function) (*envelope.Batch, *envelope.Envelope) {
	s := inv.shard
	if s.egressHeld {
		inv.Fail(errHeld)
		return inv.discard(egress, envelope.Untyped, 0, "")
	}
	return inv.postEgress(egress)
}

func (inv *Invocation) postEgress(egress envelope.Function) (*envelope.Batch, *envelope.Envelope) {
	s := inv.shard
	inv.outEgress++
	return inv.post(len(s.outlets)-extraOutlets+outletEgress, egress, envelope.Untyped, 0, "")
}

// HoldEgress has those who emit egress records wait, each at its address, until it is called again: what has
// been emitted and has not left is over its limit (P36).
func (s *Shard) HoldEgress(held bool) { s.egressHeld = held }

// errHeld is why an invocation that emits records is tried again later, as if nothing had happened.
var errHeld = errors.New("the egress is over its limit")

// heldRetry is when, in milliseconds.
const heldRetry = 20

func (s *Shard) destination(fn envelope.Function, hash uint64, id string) int {
	if s.function(fn).External {
		if group, ok := s.keyedCaller(id); ok {
			return int(s.route[group])
		}
		return len(s.outlets) - extraOutlets + outletReplies
	}
	return int(s.route[statefun.KeyGroupOf(hash, len(s.route))])
}

func (inv *Invocation) post(to int, fn envelope.Function, input envelope.Input, hash uint64, id string) (*envelope.Batch, *envelope.Envelope) {
	s := inv.shard
	o := &s.outlets[to]
	if o.seq != inv.seq {
		o.mark(inv.seq)
	}
	if !inv.countSend() {
		return inv.discard(fn, input, hash, id)
	}
	b := o.open
	if b == nil || b.Full(s.batchMax) {
		b = s.extend(o)
	}
	e := b.Append(fn, input, hash, id)
	if o.caller == 0 {
		o.caller = b.AppendCaller(inv.fn.number, inv.fn.table.ID(inv.Row))
	}
	e.SetCaller(o.caller)
	return b, e
}

// countSend reports whether the invocation may send once more.
func (inv *Invocation) countSend() bool {
	if inv.sends < inv.shard.limits.SendsMax {
		inv.sends++
		return true
	}
	inv.Fail(fmt.Errorf("more than %d sends in one invocation: %w", inv.shard.limits.SendsMax, ErrLimit))
	return false
}

// discard takes what an invocation sends that has failed already: it goes nowhere, and takes no memory.
func (inv *Invocation) discard(fn envelope.Function, input envelope.Input, hash uint64, id string) (*envelope.Batch, *envelope.Envelope) {
	b := &inv.discarded
	b.Reset()
	return b, b.Append(fn, input, hash, id)
}

func (o *outlet) mark(seq uint64) {
	o.seq, o.marked, o.markOpen, o.markFull, o.caller = seq, len(o.batches), o.open, o.full, 0
	if o.open != nil {
		o.markedN, o.markedA = len(o.open.Envelopes), len(o.open.Arena)
	}
}

// cutOff takes the outlet back to its mark.
func (s *Shard) cutOff(o *outlet) {
	for _, b := range o.batches[o.marked:] {
		s.Recycle(b)
	}
	o.batches = o.batches[:o.marked]
	o.full = o.markFull
	if o.open = o.markOpen; o.open != nil {
		o.open.Envelopes = o.open.Envelopes[:o.markedN]
		o.open.Arena = o.open.Arena[:o.markedA]
	}
}

// extend opens a further batch, stamped with the shard's epoch.
func (s *Shard) extend(o *outlet) *envelope.Batch {
	if o.open != nil {
		o.full += o.open.Bytes()
	}
	b := s.take()
	b.Epoch = s.epoch.now
	o.batches = append(o.batches, b)
	o.open, o.caller = b, 0
	return b
}

// forward appends a copy of a message that has waited here, on behalf of its sender.
func (s *Shard) forward(o *outlet, b *envelope.Batch, e *envelope.Envelope) {
	open := o.open
	if open == nil || open.Full(s.batchMax) {
		open = s.extend(o)
	}
	open.Copy(b, e)
}

// Drain hands over what has been left for shard to, in order, and keeps nothing of it. The slice is
// valid until the next step; the batches are the caller's. A batch without envelopes is a marker.
func (s *Shard) Drain(to int) []*envelope.Batch { return s.drain(&s.outlets[to]) }

// Peek shows what Drain would hand over.
func (s *Shard) Peek(to int) []*envelope.Batch { return s.outlets[to].batches }

// DrainReplies hands over what has been sent to callers outside.
func (s *Shard) DrainReplies() []*envelope.Batch { return s.drain(s.replies()) }

func (s *Shard) replies() *outlet { return &s.outlets[len(s.outlets)-extraOutlets+outletReplies] }

// DrainEgress hands over egress records before their epoch has ended, those that a cut has sealed first.
// Only an engine without epochs does that; otherwise they leave with the part (I5).
func (s *Shard) DrainEgress() []*envelope.Batch {
	b := append(s.sealed, s.drain(s.egress())...)
	s.sealed, s.sealedBytes = nil, 0
	return b
}

func (s *Shard) egress() *outlet { return &s.outlets[len(s.outlets)-extraOutlets+outletEgress] }

func (s *Shard) drain(o *outlet) []*envelope.Batch {
	b := o.batches
	o.batches, o.open, o.full = o.batches[:0], nil, 0
	return b
}

// EgressBytes returns how much the egress records hold that have not left with a part.
func (s *Shard) EgressBytes() int64 {
	o := s.egress()
	n := o.full + s.sealedBytes
	if o.open != nil {
		n += o.open.Bytes()
	}
	return n
}
