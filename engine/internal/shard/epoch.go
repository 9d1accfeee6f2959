// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"slices"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/internal/checkpoint"
	"github.com/millrace-io/millrace/engine/internal/clock"
	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/internal/invariant"
	"github.com/millrace-io/millrace/engine/internal/planted"
	"github.com/millrace-io/millrace/engine/internal/table"
	"github.com/millrace-io/millrace/engine/statefun"
)

// epochs is where the shard stands between two checkpoints. Whatever belongs to an epoch exists twice,
// for the one that is open and the one that is closing (P5), and is told apart by the epoch's parity.
//
//	open e ──cut──► open e+1, closing e ──markers in, dirty encoded──► part of e ──► open e+1
type epochs struct {
	now      statefun.Epoch // The open one.
	unstored bool           // What it says is not kept.
	closing  bool
	markers  int // Of the closing epoch: how many senders have crossed.

	// The closing epoch's dirty instances are encoded function by function, in slot order.
	fn, word int
	drained  bool

	record  int        // The word in the set of records to go on from.
	changes [2]changes // By parity.
	key     []byte     // Scratch.
	value   []byte     // Likewise.
	image   []byte     // Likewise.
}

// dirtyFlags[p] marks a row as dirty in an epoch of parity p.
var dirtyFlags = [2]table.Flags{flagDirty0, flagDirty1}

func (e *epochs) parity() int { return int(e.now & 1) }

// Part is the shard's share of an epoch.
type Part struct {
	Shard   int
	Changes []backend.Part // In order; none: nothing has changed.
	Epoch   statefun.Epoch
	Now     clock.Instant // The shard's high water (P37).
	// Numbers is the greatest number of a message so far (P11).
	Numbers uint64
	Egress  []*envelope.Batch // Records in order; their envelopes carry the egress's number.

	// EgressBytes is what Egress holds, as EgressBytes counted it.
	EgressBytes int64
}

// Epoch returns the open epoch.
func (s *Shard) Epoch() statefun.Epoch { return s.epoch.now }

// receive takes note of a batch's epoch, and reports whether it is in flight across the cut.
func (s *Shard) receive(b *envelope.Batch) (inFlight bool) {
	if b.Epoch == 0 {
		return false // From a door: it belongs to the epoch of the step that takes it (P18).
	}
	if b.Epoch > s.epoch.now && !planted.NewerDoesNotCut {
		s.Cut(b.Epoch) // I4: the effects of b must not enter the epoch that ends.
	}
	if b.Epoch+1 < s.epoch.now {
		invariant.Failf("shard %d: batch of epoch %d in epoch %d", s.id, b.Epoch, s.epoch.now)
	}
	if len(b.Envelopes) == 0 {
		s.epoch.markers++ // P2.
		return false
	}
	if b.Epoch < s.epoch.now && !s.epoch.closing {
		invariant.Failf("shard %d: batch of epoch %d, whose part has been handed over", s.id, b.Epoch)
	}
	return b.Epoch < s.epoch.now
}

// Cut ends the open epoch at this batch boundary: what has been left in the outlets belongs to it, a
// marker goes behind, and what is dirty now is frozen, without copying it. A shard that is in epoch
// already ignores the announcement (P3).
func (s *Shard) Cut(epoch statefun.Epoch) {
	if epoch <= s.epoch.now {
		return
	}
	if epoch != s.epoch.now+1 || s.epoch.closing {
		invariant.Failf("shard %d: cut to epoch %d in epoch %d, closing %v", s.id, epoch, s.epoch.now, s.epoch.closing)
	}
	s.sealedBytes = s.EgressBytes()
	s.sealed = append([]*envelope.Batch(nil), s.drain(s.egress())...) // The records leave for good.
	s.epoch.now = epoch
	s.epoch.closing, s.epoch.drained = true, s.epoch.unstored
	s.epoch.markers, s.epoch.fn, s.epoch.word, s.epoch.record = 0, 0, 0, 0
	s.lap.todo = 0
	s.epoch.changes[s.epoch.parity()].reset() // P5: the epoch before the one that closes now is committed.
	for to := range len(s.outlets) - extraOutlets {
		o := &s.outlets[to]
		if planted.NoMarkerOnIdleRing && len(o.batches) == 0 {
			continue
		}
		s.extend(o) // P2: a marker on every ring, the shard's own included.
		o.open = nil
	}
}

// Changed reports whether the open epoch has anything to say so far.
func (s *Shard) Changed() bool {
	parity := s.epoch.parity()
	for _, fn := range s.fns {
		if fn.dirty[parity].any {
			return true
		}
	}
	return s.fresh[parity].any || s.epoch.changes[parity].bytes() > 0
}

// Closing reports whether an epoch is closing: then the shard has work to do and must not sleep for
// long (P7).
func (s *Shard) Closing() bool { return s.epoch.closing && !s.epoch.drained }

// sliceBytes ends a slice of encoding whose instances are large: some ten microseconds of copying.
const sliceBytes = 256 << 10

// EncodeFrozen encodes up to most of the closing epoch's dirty instances and reports whether there are
// more. Called between batches, it makes the cost of a cut a few microseconds here and there.
func (s *Shard) EncodeFrozen(most int) (more bool) {
	if !s.Closing() {
		return false
	}
	parity := s.epoch.parity() ^ 1
	start := s.epoch.changes[parity].bytes()
	if most = s.encodeLap(parity, most, start); most == 0 {
		return true
	}
	if most = s.encodeRecords(parity, most, start); most == 0 {
		return true
	}
	for ; s.epoch.fn < len(s.fns); s.epoch.fn, s.epoch.word = s.epoch.fn+1, 0 {
		fn := s.fns[s.epoch.fn]
		if !fn.dirty[parity].any {
			continue
		}
		for {
			var slots [groupMax]uint32
			n, next := fn.dirty[parity].take(s.epoch.word, slots[:min(most, fn.encodeMost())])
			s.epoch.word = next
			if n == 0 {
				break
			}
			s.encodeGroup(fn, slots[:n], parity, dirtyIn[parity])
			if most -= n; most == 0 || s.epoch.changes[parity].bytes()-start > sliceBytes {
				return true
			}
		}
	}
	s.epoch.drained = true
	return false
}

// encodeFew is how many are encoded between two looks at sliceBytes of what may be as large as it likes: with more, a
// stop would be as many times longer.
const encodeFew = 32

// encodeMost is how many instances are encoded between two looks at sliceBytes.
func (fn *Function) encodeMost() int {
	if fn.Endpoint != nil || fn.Undeclared || slices.ContainsFunc(fn.Values, func(v Value) bool { return v.Encode == nil }) {
		return encodeFew
	}
	return groupMax
}

// selection is which rows are to be encoded: those that have the flags want, of the flags mask.
type selection struct{ mask, want table.Flags }

var (
	// dirtyIn[p] are the rows that are still dirty in an epoch of parity p: what was written meanwhile has been encoded
	// then, and what was removed is recorded.
	dirtyIn = [2]selection{{flagDirty0, flagDirty0}, {flagDirty1, flagDirty1}}
	// storedAndClean are those that checkpoints know as they are now.
	storedAndClean = selection{flagStored | flagDirty0 | flagDirty1, flagStored}
)

// encodeGroup encodes those instances in slots that are selected. While some rows are encoded, the next ones are on
// their way.
func (s *Shard) encodeGroup(fn *Function, slots []uint32, parity int, rows selection) {
	const some = 32
	fetched := s.ahead.fetch(fn, slots, 0, min(some, len(slots)))
	changes := &s.epoch.changes[parity]
	b := changes.begin()
	for i := range slots {
		if i%some == 0 {
			fetched = s.ahead.fetch(fn, slots, fetched, min(fetched+some, len(slots)))
		}
		row := s.ahead.rows[i%groupMax]
		switch {
		case row.Flags&rows.mask != rows.want:
		case row.Present == 0:
			changes.end(b)
			s.encode(fn, row, parity)
			b = changes.begin()
		default:
			if b = s.appendInstance(b, fn, row, parity); len(b)+pieceRoom > cap(b) {
				changes.end(b)
				b = changes.begin()
			}
		}
	}
	changes.end(b)
}

// Part returns the shard's share of the closing epoch once it is complete: every sender has crossed and
// every frozen instance is encoded (P7). Its bytes are valid until the cut after the next.
func (s *Shard) Part() (p Part, ok bool) {
	senders := s.senders
	if planted.PartWithoutPumps {
		senders = len(s.outlets) - extraOutlets
	}
	if !s.epoch.closing || !s.epoch.drained && !planted.PartNotEncoded || s.epoch.markers < senders {
		return Part{}, false
	}
	s.epoch.closing = false
	p = Part{
		Shard: s.id, Changes: s.epoch.changes[s.epoch.parity()^1].parts(s.id),
		Epoch: s.epoch.now - 1,
		Now:   s.now, Numbers: s.numbers,
		Egress: s.sealed, EgressBytes: s.sealedBytes,
	}
	s.sealed, s.sealedBytes = nil, 0
	return p, true
}

// touch marks a row as dirty in the open epoch. It is the one way to a writable row (P13): what is
// frozen is encoded first.
func (s *Shard) touch(fn *Function, slot table.Slot, row *table.Row) {
	if row.Flags&(flagDirty0<<s.epoch.parity()) == 0 {
		s.touchFirst(fn, slot, row)
	}
}

func (s *Shard) touchFirst(fn *Function, slot table.Slot, row *table.Row) {
	parity := s.epoch.parity()
	if s.epoch.unstored {
		row.Flags |= flagDirty0 | flagDirty1 // Once and for all.
		return
	}
	if row.Flags&dirtyFlags[parity^1] != 0 && !planted.FrozenWritten {
		s.encode(fn, row, parity^1)
	}
	row.Flags |= dirtyFlags[parity]
	fn.dirty[parity].set(uint32(slot))
}

// encode puts a row's state into the part of the closing epoch.
func (s *Shard) encode(fn *Function, row *table.Row, parity int) {
	if row.Present == 0 {
		row.Flags &^= dirtyFlags[parity]
		s.encodeAbsence(fn, row, parity)
		return
	}
	changes := &s.epoch.changes[parity]
	changes.end(s.appendInstance(changes.begin(), fn, row, parity))
}

// appendInstance appends a row's state where it will stay: what lies in between would be copied twice, for every dirty
// instance.
func (s *Shard) appendInstance(changes []byte, fn *Function, row *table.Row, parity int) []byte {
	row.Flags = row.Flags&^dirtyFlags[parity] | flagStored
	s.Counts.Encoded++
	id := fn.table.ID(row)
	changes = backend.AppendPutHead(changes, s.groupOf(row.Hash), checkpoint.StateKeyBytes(fn.number, len(id)))
	changes = checkpoint.AppendStateKey(changes, fn.number, id)
	changes, start := checkpoint.BeginLength(changes)
	return checkpoint.EndLength(s.appendEntry(changes, fn, row), start)
}

// appendEntry appends what a row has kept, as checkpoints have it.
func (s *Shard) appendEntry(dst []byte, fn *Function, row *table.Row) []byte {
	if fn.Endpoint != nil {
		dst = append(dst, s.entry(row)...)
	}
	for number := range fn.Values {
		if row.Present&(1<<number) != 0 {
			dst = s.encodeValue(dst, &fn.Values[number], row)
		}
	}
	if fn.Undeclared && row.Present&undeclaredBit != 0 {
		c := fn.undeclared(row)
		dst = append(dst, s.heap.Get(c.ref, int(c.len))...)
	}
	if fn.IdleAfter > 0 {
		dst = checkpoint.AppendTouched(dst, *fn.messagedAt(row))
	}
	return dst
}

// encodeAbsence records that a row has no state any more, if anybody could think it had.
func (s *Shard) encodeAbsence(fn *Function, row *table.Row, parity int) {
	if row.Flags&flagStored == 0 {
		return // Touched without effect, or waiting: nothing that was not there before.
	}
	row.Flags &^= flagStored
	s.epoch.key = checkpoint.AppendStateKey(s.epoch.key[:0], fn.number, fn.table.ID(row))
	s.delete(parity, s.groupOf(row.Hash), s.epoch.key)
}

// release removes an instance that has neither state nor messages. Its removal is recorded by address
// (P14), so its slot may serve another instance at once.
func (s *Shard) release(fn *Function, slot table.Slot, row *table.Row) {
	parity := s.epoch.parity()
	if row.Flags&dirtyFlags[parity^1] != 0 && !s.epoch.unstored {
		s.encode(fn, row, parity^1) // P13: it lost its state in the epoch that closes, and waited since.
	}
	if !planted.FrozenDeleted {
		s.encodeAbsence(fn, row, parity)
	}
	if fn.leased {
		s.unwatch(fn, row)
	}
	fn.table.Release(slot, s.seed.Tag(fn.table.ID(row)))
}
