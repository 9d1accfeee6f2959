// SPDX-License-Identifier: Apache-2.0

// Package logstore is what the backends of a local disk have in common: a flat epoch log in front, as the commit
// point, and a base behind it, into which the log is folded in the background and which a backend brings along.
//
//	Commit ──► log: record record record …      one sync each
//	              └──── fold ───────► base       in the background, in order, with little memory
//	Open   ◄── manifest, base, log
//
// What a store holds is what its base and its log say of each key, the log first. So readers see the last commit,
// whatever lies behind it (P16), and a recovery is the base and the rest of the log.
//
// What is damaged or missing is refused, with the file and the offset: nothing is repaired by guessing, and no
// older epoch is taken instead.
//
// It is for those who write a backend; package [github.com/millrace-io/millrace/backends/logstore/storetest] tests
// what they make of it. Users open one of the backends.
package logstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"

	"github.com/millrace-io/millrace/backends/logstore/disk"
	"github.com/millrace-io/millrace/backends/logstore/format"
	"github.com/millrace-io/millrace/backends/logstore/internal/epochlog"
	"github.com/millrace-io/millrace/backends/logstore/sorted"
)

// Store is a log and a base. It implements [backend.Backend].
type Store struct {
	config     Config // This and what follows is written once in Open.
	opts       backend.Options
	id         format.StoreID
	generation statefun.Generation
	fs         disk.FS
	lock       disk.File
	base       Base
	stop       context.CancelFunc // Ends the folder, and commits that wait for it.
	stopped    context.Context
	wake       chan struct{} // Tells the folder to look.
	folder     sync.WaitGroup

	committing sync.Mutex    // Held by Commit, and by Close to wait for it.
	log        *epochlog.Log // Guarded by committing.
	witness    *witness      // Guarded by committing.

	folding  sync.Mutex       // Held by whoever folds.
	manifest *manifest        // The one on disk. Guarded by folding.
	spare    *sorted.Memtable // The last fold's, for its memory. Guarded by folding.

	mu       sync.Mutex // Guards what follows. Never held during I/O.
	closed   bool
	failed   error // From when on no commit can succeed,
	untold   error // and no commit has said so yet.
	latest   backend.Checkpoint
	end      epochlog.Position   // Behind the last commit.
	from     epochlog.Position   // Where what is not in the base begins.
	segments []*epochlog.Segment // From from to end.
	view     *held               // Of the base.
	marks    marks
	folds    folds

	forgotten uint64 // Bytes of the log.

	recent recent // What Get knows of the log.
}

var _ backend.Backend = (*Store)(nil)

// ErrLocked is returned by Open for a store that another process has open.
var ErrLocked = errors.New("store is locked by another process")

func (s *Store) errClosed() error { return fmt.Errorf("%s: %w", s.config.Name, os.ErrClosed) }

// Generation implements [backend.Backend].
func (s *Store) Generation() statefun.Generation { return s.generation }

// Durable implements [backend.Backend].
func (s *Store) Durable() bool { return true }

// StoreID names the store: it is made with it, at random. A copy of a store has the same.
func (s *Store) StoreID() string { return s.id.String() }

// Latest implements [backend.Backend].
func (s *Store) Latest(context.Context) (cp backend.Checkpoint, ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return backend.Checkpoint{}, false, s.errClosed()
	}
	return cloneCheckpoint(s.latest), s.latest.Epoch > 0, nil
}

// Close waits for a commit that is under way, ends a fold, and gives the store free. Scans that are under way go
// on to their end. It returns why no further commit was possible, if no commit has said so.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	failed, err := s.failed, s.untold
	s.mu.Unlock()

	s.stop()
	s.folder.Wait()
	s.committing.Lock()
	defer s.committing.Unlock()
	s.folding.Lock()
	defer s.folding.Unlock()
	if failed == nil { // In doubt nothing is written.
		err = s.witness.sync()
	}
	return errors.Join(err, s.release())
}

// release closes what Open has opened, the lock last.
func (s *Store) release() error {
	var errs []error
	if s.log != nil {
		s.log.Close()
	}
	for _, segment := range s.segments {
		segment.Release()
	}
	if s.view != nil {
		s.view.release()
	}
	if s.base != nil {
		errs = append(errs, s.base.Close())
	}
	if s.witness != nil {
		errs = append(errs, s.witness.file.Close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(append(errs, s.fs.Close())...)
}

// failBehind notes what has failed behind the commits: the next one says so, or Close.
func (s *Store) failBehind(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed == nil {
		s.failed, s.untold = err, err
	}
}

// fail notes that no commit can succeed any more.
func (s *Store) fail(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed == nil {
		s.failed = err
	}
	return err
}

func cloneCheckpoint(cp backend.Checkpoint) backend.Checkpoint {
	cp.Names = slices.Clone(cp.Names)
	cp.Sources = slices.Clone(cp.Sources)
	for i := range cp.Sources {
		cp.Sources[i].Position = slices.Clone(cp.Sources[i].Position)
	}
	return cp
}
