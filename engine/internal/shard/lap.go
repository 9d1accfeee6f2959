// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"math"
	"math/bits"

	"github.com/millrace-io/millrace/engine/internal/checkpoint"
	"github.com/millrace-io/millrace/engine/internal/planted"
	"github.com/millrace-io/millrace/engine/internal/table"
	"github.com/millrace-io/millrace/engine/statefun"
)

// A log of what changes is as long as its oldest entry that still counts is old. So the shard puts everything that
// it has once more within a lap, a little in each epoch, as the log grows:
//
//	lap: records ─► keys ─► instances of each function type ─► all has been put since the epoch of its start
//
// To put an entry again is always right, as long as it is as it was at the cut: what has been changed since is left
// to the open epoch, whose part has it anyway, and what is dirty in the closing one to that. So in a busy shard there
// is hardly anything to do.
//
// When a lap has ended in the closing epoch, what it has left to the open one is in that one's part; so it is that
// part which says since when everything has been put.
type lap struct {
	bytes int64          // How much is committed during a lap; 0: there are none.
	alien bool           // The store has entries that the shard has not: it cannot put them.
	start statefun.Epoch // The epoch that was closing when it began; 0: it has not,
	from  int64          // and how much had been committed until then.
	spent int64          // On entries that would not have been put otherwise.
	todo  int            // Places that the lap is to pass in this epoch.

	passed int // Places, of all kinds.
	stage  int // 0: records, 1: keys, 2 and on: the instances of a function type.
	at     int // In the stage: the next place.

	ended statefun.Epoch // The start of a lap that has ended in the closing epoch; 0: none has.
	since statefun.Epoch // What the next part says.
}

// Stages before those of function types.
const (
	stageRecords = iota
	stageKeys
	stageInstances
)

const (
	// lapShareMax is which part of what is committed during a lap may be entries that are put for its sake only.
	// A state that takes more is better off with a store that reads and writes its older half anew.
	lapShareMax = 2
	// lapsPaused is how many laps long none is tried again after one that took more.
	lapsPaused = 8
)

// ContinueLap has the lap go on while the closing epoch is encoded, in proportion to what all shards have committed.
func (s *Shard) ContinueLap(committed int64) {
	l := &s.lap
	if l.bytes == 0 || l.alien || committed < l.from {
		return
	}
	if l.start == 0 {
		*l = lap{bytes: l.bytes, start: s.epoch.now - 1, from: committed, ended: l.ended, since: l.since}
		return
	}
	done := committed - l.from
	if done >= l.bytes {
		l.todo = math.MaxInt
		return
	}
	places := int(s.stored.next) + len(s.keys.list)
	for _, fn := range s.fns {
		places += fn.table.Slots()
	}
	l.todo = max(int(float64(places)*float64(done)/float64(l.bytes))-l.passed, 0)
}

// encodeLap puts up to most entries again and returns how many more instances may be encoded: none, once sliceBytes
// have been written since start.
func (s *Shard) encodeLap(parity, most, start int) (left int) {
	l := &s.lap
	for l.todo > 0 && most > 0 {
		before := s.epoch.changes[parity].bytes()
		if before-start > sliceBytes {
			return 0
		}
		places, put, ok := s.repeatSome(parity, min(most, encodeFew))
		if !ok {
			l.stage, l.at = l.stage+1, 0
			if l.stage-stageInstances == len(s.fns) {
				l.start, l.ended, l.todo = 0, l.start, 0
				if planted.LapEndsEarly {
					l.since = l.ended
				}
			}
			continue
		}
		l.passed += places
		l.todo -= places
		most -= 1 + put
		l.spent += int64(s.epoch.changes[parity].bytes() - before)
		if l.spent > l.bytes/lapShareMax/int64(len(s.outlets)-extraOutlets) {
			l.start, l.from, l.todo = 0, l.from+lapsPaused*l.bytes, 0
		}
	}
	return max(most, 0)
}

// lapped returns what the part of the closing epoch says: since when everything has been put.
func (l *lap) lapped() (since statefun.Epoch) {
	since = l.since
	if l.ended != 0 {
		l.since, l.ended = l.ended, 0
	}
	return since
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

// repeatInstances puts up to most of the next instances of a function type again, none of which lies in another word
// of the set of those that are dirty.
func (s *Shard) repeatInstances(fn *Function, most, parity int) (put int) {
	l := &s.lap
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
	if q == nil || q.head != record+1 || !q.noted || q.notedIn == s.epoch.now {
		return
	}
	s.epoch.key = checkpoint.AppendSuspendedKey(s.epoch.key[:0], fn.number, s.view.ID(e))
	s.put(parity, s.groupOf(e.Hash), s.epoch.key, bytesOf(q.reason))
}

// repeatKey puts an idempotency key. One that has been written in the open epoch was another at the cut.
func (s *Shard) repeatKey(place uint32, parity int) (put int) {
	k := &s.keys.list[place]
	if k.key == "" || k.loggedIn == s.epoch.now || planted.KeysNotRepeated {
		return 0
	}
	s.putKey(k, parity)
	return 1
}
