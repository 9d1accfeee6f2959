// SPDX-License-Identifier: Apache-2.0

package pebble

import (
	"sync"

	pebbledb "github.com/cockroachdb/pebble/v2"
)

// scheduler decides when compactions run: one at a time, while somebody is in run. Pebble by itself would start them
// whenever it likes, and after a failure at once again, for as long as the disk is full.
type scheduler struct {
	wanted chan struct{} // Tells that there is a compaction to run.
	db     pebbledb.DBForCompaction

	running sync.Mutex // Held by whoever is in run.
	done    chan struct{}

	mu  sync.Mutex
	err error // Of the compaction that runs. Guarded by mu.
}

var (
	_ pebbledb.CompactionScheduler   = (*scheduler)(nil)
	_ pebbledb.CompactionGrantHandle = (*scheduler)(nil)
)

func newScheduler() *scheduler {
	return &scheduler{wanted: make(chan struct{}, 1), done: make(chan struct{}, 1)}
}

// run runs compactions until enough is true, none is wanted, or one fails.
func (s *scheduler) run(enough func() bool) error {
	s.running.Lock()
	defer s.running.Unlock()
	for !enough() {
		if waiting, _ := s.db.GetWaitingCompaction(); !waiting || !s.db.Schedule(s) {
			return nil
		}
		<-s.done
		s.mu.Lock()
		err := s.err
		s.err = nil
		s.mu.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *scheduler) wake() {
	select {
	case s.wanted <- struct{}{}:
	default: // It has been told.
	}
}

func (s *scheduler) failed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// Register implements [pebbledb.CompactionScheduler].
func (s *scheduler) Register(_ int, db pebbledb.DBForCompaction) { s.db = db }

// Unregister implements [pebbledb.CompactionScheduler]. Nobody is in run: those hold the instance.
func (s *scheduler) Unregister() {}

// TrySchedule implements [pebbledb.CompactionScheduler].
func (s *scheduler) TrySchedule() (bool, pebbledb.CompactionGrantHandle) {
	s.wake()
	return false, nil
}

// UpdateGetAllowedWithoutPermission implements [pebbledb.CompactionScheduler].
func (s *scheduler) UpdateGetAllowedWithoutPermission() {}

// Started implements [pebbledb.CompactionGrantHandle].
func (s *scheduler) Started() {}

// MeasureCPU implements [pebbledb.CompactionGrantHandle].
func (s *scheduler) MeasureCPU(pebbledb.CompactionGoroutineKind) {}

// CumulativeStats implements [pebbledb.CompactionGrantHandle].
func (s *scheduler) CumulativeStats(pebbledb.CompactionGrantHandleStats) {}

// Done implements [pebbledb.CompactionGrantHandle].
func (s *scheduler) Done() { s.done <- struct{}{} }
