// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"unsafe"

	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/internal/prefetch"
	"github.com/millrace-io/millrace/engine/internal/table"
)

// groupMax is how many messages are looked up before the first of them runs: enough for the processor to wait for
// all their cache lines at once, few enough for the lines to be still there. Their envelopes and rows together are
// 32 KiB.
const groupMax = 256

// ahead is what is known of the instances of a group of messages before the first of them runs.
type ahead struct {
	tags  [groupMax]table.Tag
	slots [groupMax]table.Slot // The candidate,
	rows  [groupMax]*table.Row // and its row; nil: there is none.
	lines [groupMax]uintptr    // To be fetched.
}

// look finds the candidates for a group of messages, in two passes. The first asks for the lines of the index and
// the second for those of the rows, which have all come by the time that the messages run: a shard that took one
// message after the other would wait for each of them twice. Slots are numbers, and rows stay where they are,
// whatever the group inserts.
func (a *ahead) look(s *Shard, b *envelope.Batch, group []envelope.Envelope) {
	for j := range group {
		e := &group[j]
		tag := s.tag(b, e)
		a.tags[j%groupMax] = tag
		a.lines[j%groupMax] = uintptr(s.function(e.Function).table.Place(tag))
	}
	prefetch.Lines(&a.lines[0], len(group))
	for j := range group {
		t := s.fns[group[j].Function].table
		slot, ok := t.Candidate(a.tags[j%groupMax])
		if !ok {
			a.rows[j%groupMax] = nil
			continue
		}
		row := t.Row(slot)
		a.slots[j%groupMax], a.rows[j%groupMax] = slot, row
		a.lines[j%groupMax] = uintptr(unsafe.Pointer(row))
	}
	prefetch.Lines(&a.lines[0], len(group))
}

// fetch asks for the rows in slots[from:to], and returns to.
func (a *ahead) fetch(fn *Function, slots []uint32, from, to int) int {
	if from == to {
		return to
	}
	for i := from; i < to; i++ {
		row := fn.table.Row(table.Slot(slots[i]))
		a.rows[i%groupMax], a.lines[i%groupMax] = row, uintptr(unsafe.Pointer(row))
	}
	prefetch.Lines(&a.lines[from%groupMax], to-from)
	return to
}

func (s *Shard) tag(b *envelope.Batch, e *envelope.Envelope) table.Tag {
	if lo, hi, ok := e.InlineID(); ok {
		return s.seed.TagInline(lo, hi, e.IDLen())
	}
	return s.seed.Tag(b.ID(e))
}

// resolve finds the instance of message j of the group, which is not its candidate, or makes it.
func (s *Shard) resolve(fn *Function, b *envelope.Batch, e *envelope.Envelope, j int) (table.Slot, *table.Row) {
	t := fn.table
	lo, hi, inline := e.InlineID()
	key := table.Key{Hash: e.Hash, Tag: s.ahead.tags[j%groupMax], Lo: lo, Hi: hi, ID: b.ID(e), Inline: inline}
	slot, ok := t.Find(&key)
	if !ok {
		slot = t.Insert(&key)
	}
	return slot, t.Row(slot)
}
