// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"github.com/millrace-io/millrace/engine/internal/planted"
	"github.com/millrace-io/millrace/engine/internal/shard"
	"github.com/millrace-io/millrace/engine/statefun"
)

// laps decides when everything is put again, and knows since when it has been (docs/adr/0018-laps.md):
//
//	closing a ── a lap begins ──► closing b ── and ends ──► commit of b+1: everything has been put since a
//
// What the lap finds changed while b is closing is in the part of b+1. It is owned by the goroutine of Epochs.
type laps struct {
	bytes  int64 // How much is committed during a lap; 0: there are none.
	sum    int64 // About what has been committed since the start,
	from   int64 // and had been when the lap under way began.
	paused int64 // There is none before so much has been committed.

	number uint64
	start  statefun.Epoch // The epoch that was closing when the lap under way began; 0: none is.
	ends   bool           // With the epoch that is closing now.
	since  statefun.Epoch // From this epoch on everything has been put, but for records; 0: nobody knows.
}

const (
	// lapShare is which part of what is committed during a lap may be entries that are put for its sake only. A state
	// that takes more is better off with a store that reads and writes its older half anew.
	lapShare = 2
	// lapsPaused is how many laps long none is tried after one that took more.
	lapsPaused = 8
	// commitBytesMin is about how much a log becomes longer by an epoch in which nothing happens.
	commitBytesMin = 4 << 10
)

// next returns how far the lap is to come with the epoch that is about to be closed. oldest is the epoch of the oldest
// record that is not delivered. Records are not put again, since most do not stay; while one does, a lap is in vain.
func (l *laps) next(closing, oldest statefun.Epoch, a *Announcement) shard.Lap {
	if l.start == 0 {
		if l.bytes == 0 || l.sum < l.paused || oldest < l.since {
			return shard.Lap{}
		}
		l.number++
		l.start, l.from = closing, l.sum
		a.room.Store(l.bytes / lapShare)
	}
	done := float64(l.sum-l.from) / float64(l.bytes)
	l.ends = done >= 1
	return shard.Lap{Number: l.number, Done: done}
}

// claim returns what a commit may say: the epoch from which on everything has been put.
func (l *laps) claim(oldest statefun.Epoch) statefun.Epoch {
	since := l.since
	if planted.LapEndsEarly && l.start != 0 && l.ends {
		since = l.start
	}
	if planted.OutboxNotRepeated {
		return since
	}
	return min(since, oldest)
}

// committed takes note of a commit.
func (l *laps) committed(bytes int64, a *Announcement) {
	l.sum += bytes + commitBytesMin
	switch {
	case l.start == 0:
	case a.room.Load() < 0:
		l.start, l.paused = 0, l.sum+lapsPaused*l.bytes
	case l.ends:
		l.since, l.start = l.start, 0
	}
}
