// SPDX-License-Identifier: Apache-2.0

package logstore

import (
	"context"
	"slices"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"

	"github.com/millrace-io/millrace/backends/logstore/internal/epochlog"
)

// A commit may say that everything has been put since some epoch. Then neither the base nor the log before that epoch
// says anything any more, and both are forgotten without being read:
//
//	base, log: e1 e2 e3 e4 e5 (since e3) ──► empty base, log: e3 e4 e5
//
// That costs a manifest, where a fold of as much log costs a look at each of its changes.

const (
	// lapPart is which part of the length at which the log is folded a lap takes: the one that is under way and the
	// last, with the epochs in which they begin and end, are then less than all of it, and forgetPart, which is
	// worth to be forgotten, is left.
	lapPart    = 4
	forgetPart = 8
	// marksMax is about how many marks there are in a log that is to be folded.
	marksMax = 64
)

// marks are where epochs begin in the log: not all of them, and in order.
type marks struct {
	list  []mark
	since int // How many of them are before, or at, the epoch since which everything has been put.
}

type mark struct {
	epoch statefun.Epoch
	at    epochlog.Position
}

// LapBytes implements [backend.Backend].
func (s *Store) LapBytes() int64 {
	if _, ok := s.base.(Emptier); !ok {
		return 0
	}
	return s.config.FoldAt.Bytes / lapPart
}

// mark takes note of where a commit's epoch begins, and of what it says of those before.
func (s *Store) mark(cp backend.Checkpoint, begin epochlog.Position) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := &s.marks
	if n := len(m.list); n == 0 || int64(begin.Bytes-m.list[n-1].at.Bytes) > s.config.FoldAt.Bytes/marksMax {
		m.list = append(m.list, mark{cp.Epoch, begin})
	}
	for m.since < len(m.list) && m.list[m.since].epoch <= cp.Since {
		m.since++
	}
}

// drop forgets the marks before a position.
func (m *marks) drop(from epochlog.Position) {
	n := slices.IndexFunc(m.list, func(k mark) bool { return k.at.Sequence >= from.Sequence })
	if n < 0 {
		n = len(m.list)
	}
	m.list = slices.Delete(m.list, 0, n)
	m.since = max(m.since-n, 0)
}

// needless returns from where on the log has everything, if so much of it is before that that it is worth a manifest.
// It has it as long as it has the record with the sequence known: a log that ends earlier may end before the commit
// that has said so.
func (s *Store) needless() (from epochlog.Position, known uint64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.marks.since == 0 {
		return epochlog.Position{}, 0, false
	}
	from = s.marks.list[s.marks.since-1].at
	worth := max(s.config.FoldAt.Bytes/forgetPart, 1) // Nothing would be forgotten again and again.
	return from, s.end.Sequence, int64(from.Bytes-s.from.Bytes) >= worth
}

// shorten makes the log shorter, in the cheapest way that there is.
func (s *Store) shorten(ctx context.Context, now *snapshot) error {
	base, can := s.base.(Emptier)
	from, known, ok := s.needless()
	if !can || !ok {
		return s.fold(ctx, now)
	}
	empty, section := base.Empty(now.view.View, known)
	before := s.from
	if err := s.install(empty, section, from, nil); err != nil { // The log has a newer epoch.
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgotten += from.Bytes - before.Bytes
	return nil
}
