// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"math"
	"math/bits"

	"github.com/millrace-io/millrace/engine/internal/planted"
	"github.com/millrace-io/millrace/engine/internal/table"
)

// A log of what changes is as long as its oldest entry that still counts is old. So the shards put everything that
// they have once more within a lap, a little in each epoch, as the log grows:
//
//	lap: records ─► keys ─► instances of each function type
//
// To put an entry again is always right, as long as it is as it was at the cut. What is dirty in the closing epoch is put
// anyway, and what has been changed since is left to the open one, whose part has it. So in a busy shard there is
// hardly anything to do; and everything has been put since a lap began when the epoch behind its last is committed.

// Lap is what the shards are told, at a cut, of the lap that they all run.
type Lap struct {
	Number uint64  // 0: there is none.
	Done   float64 // The part of it that is done when the closing epoch is encoded: all from 1 on.
}

// lap is how far the shard has come.
type lap struct {
	number uint64
	todo   int   // Places to pass while the closing epoch is encoded,
	passed int   // and before.
	stage  int   // Of records, of keys, or of the instances of a function type.
	at     int   // In the stage: the next place.
	spent  int64 // Bytes, since the last call to Repeated.
}

// Stages before those of function types.
const (
	stageRecords = iota
	stageKeys
	stageInstances
)

// ContinueLap says how far the lap is to come with the closing epoch. It is called behind Cut.
func (s *Shard) ContinueLap(told Lap) {
	l := &s.lap
	if l.number != told.Number {
		*l = lap{number: told.Number, spent: l.spent}
	}
	switch {
	case told.Number == 0:
	case told.Done >= 1:
		l.todo = math.MaxInt
	default:
		places := int(s.stored.next) + len(s.keys.list)
		for _, fn := range s.fns {
			places += fn.table.Slots()
		}
		l.todo = int(float64(places)*told.Done) - l.passed
	}
}

// GiveUpLap has the shard put no more for the sake of the lap.
func (s *Shard) GiveUpLap() { s.lap.todo = 0 }

// Repeated returns how many bytes the shard has put for the sake of laps since the last call.
func (s *Shard) Repeated() (bytes int64) {
	bytes, s.lap.spent = s.lap.spent, 0
	return bytes
}

// Alien reports whether the store has entries that the shard has not, and cannot put: what belongs to function types
// that nobody provides.
func (s *Shard) Alien() bool { return s.alien }

// encodeLap puts up to most entries again and returns how many more instances may be encoded: none, once sliceBytes
// have been written since start.
func (s *Shard) encodeLap(parity, most, start int) (left int) {
	l := &s.lap
	changes := &s.epoch.changes[parity]
	for l.todo > 0 && most > 0 {
		if l.stage == stageInstances+len(s.fns) {
			l.todo = 0 // There is no more; what has come since is not old.
			break
		}
		before := changes.bytes()
		if before-start > sliceBytes {
			return 0
		}
		places, put, ok := s.repeatSome(parity, most)
		if !ok {
			l.stage, l.at = l.stage+1, 0
			continue
		}
		l.passed += places
		l.todo -= places
		l.spent += int64(changes.bytes() - before)
		most -= 1 + put
	}
	return max(most, 0)
}

// repeatSome puts up to most entries of the next places of a stage again; ok is false when the stage has no more.
func (s *Shard) repeatSome(parity, most int) (places, put int, ok bool) {
	l := &s.lap
	switch l.stage {
	case stageRecords:
		if l.at >= int(s.stored.next) {
			return 0, 0, false
		}
		put = s.repeatRecord(uint32(l.at), parity)
	case stageKeys:
		if l.at >= len(s.keys.list) {
			return 0, 0, false
		}
		put = s.repeatKey(uint32(l.at), parity)
	default:
		fn := s.fns[l.stage-stageInstances]
		if l.at >= fn.table.Slots() {
			return 0, 0, false
		}
		before := l.at
		put = s.repeatInstances(fn, most, parity)
		return l.at - before, put, true
	}
	l.at++
	return 1, put, true
}

// repeatInstances puts up to most of the next instances of a function type again: all in one word of the sets of those
// that are dirty, and one at a time if they may be large.
func (s *Shard) repeatInstances(fn *Function, most, parity int) (put int) {
	l := &s.lap
	if most = min(most, encodeFew); fn.encodeMost() == encodeFew {
		most = 1
	}
	l.at = int(fn.table.Next(table.Slot(l.at)))
	word, end := l.at/64, min(l.at|63+1, fn.table.Slots())
	clean := ^(fn.dirty[0].word(word) | fn.dirty[1].word(word)) >> (l.at % 64) << (l.at % 64)
	var slots [encodeFew]uint32
	for l.at = end; clean != 0; clean &= clean - 1 {
		slot := word*64 + bits.TrailingZeros64(clean)
		if slot >= end {
			break
		}
		if put == most {
			l.at = slot
			break
		}
		slots[put] = uint32(slot)
		put++
	}
	s.encodeGroup(fn, slots[:put], parity, storedAndClean)
	return put
}

// repeatRecord puts a message that waits, and that its address is suspended.
func (s *Shard) repeatRecord(record uint32, parity int) (put int) {
	r := s.stored.at(record)
	if r.number == 0 || s.fresh[0].has(record) || s.fresh[1].has(record) || planted.WaitingNotRepeated {
		return 0
	}
	s.encodeRecord(record, parity)
	if s.Counts.Suspended > 0 && r.due == never {
		s.repeatSuspended(record, parity)
	}
	return 1
}

// repeatSuspended puts that an address is suspended, if the record is the first that waits there.
func (s *Shard) repeatSuspended(record uint32, parity int) {
	e := s.stored.open(s.heap, record, &s.view)
	fn := s.function(e.Function)
	slot, ok := s.find(fn, e.Hash, s.view.ID(e))
	if !ok {
		return
	}
	q := s.queues[place{fn.number, slot}]
	if q == nil || q.head != record+1 || !q.noted || q.notedIn+1 >= s.epoch.now {
		return
	}
	s.putSuspended(fn, fn.table.Row(slot), q, parity)
}

// repeatKey puts an idempotency key. One that has been written in the open epoch was another at the cut; what was written
// in the closing one is in its part.
func (s *Shard) repeatKey(place uint32, parity int) (put int) {
	k := &s.keys.list[place]
	if k.key == "" || k.loggedIn+1 >= s.epoch.now || planted.KeysNotRepeated {
		return 0
	}
	s.putKey(k, parity)
	return 1
}
