// SPDX-License-Identifier: Apache-2.0

// Package file is the backend that keeps checkpoints in a directory of the local disk: a flat epoch log.
//
// A commit appends one record to a log and syncs it, once. Behind the commits the log is folded into tables,
// which are sorted and merged with each other, and then removed. State lives in the engine's memory; the
// store holds on disk what a recovery reads: tables, and the log behind them.
//
//	Commit ──► log: record record record …      one sync each
//	              └──── compact ────► tables     in the background, in order, with little memory
//	Open   ◄── manifest, tables, log
//
// What is damaged or missing is refused, with the file and the offset: nothing is repaired by guessing, and
// no older epoch is taken instead. docs/formats/file.md describes the files.
package file

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"

	"github.com/millrace-io/millrace/backends/file/disk"
	"github.com/millrace-io/millrace/backends/file/internal/epochlog"
	"github.com/millrace-io/millrace/backends/file/internal/format"
	"github.com/millrace-io/millrace/backends/file/internal/sorted"
)

// Backend is a store. It implements [backend.Backend].
type Backend struct {
	config     Config // This and what follows is written once in Open.
	opts       backend.Options
	id         format.StoreID
	generation statefun.Generation
	fs         disk.FS
	lock       disk.File
	stop       context.CancelFunc // Ends the compactor, and commits that wait for it.
	stopped    context.Context
	wake       chan struct{} // Tells the compactor to look.
	compactor  sync.WaitGroup

	committing sync.Mutex    // Held by Commit, and by Close to wait for it.
	log        *epochlog.Log // Guarded by committing.
	witness    *witness      // Guarded by committing.

	compacting sync.Mutex // Held by whoever compacts.
	manifest   *manifest  // The one on disk. Guarded by compacting.

	mu         sync.Mutex // Guards what follows. Never held during I/O.
	closed     bool
	failed     error // From when on no commit can succeed.
	latest     backend.Checkpoint
	end        epochlog.Position   // Behind the last commit.
	from       epochlog.Position   // Where what is not in tables begins.
	segments   []*epochlog.Segment // From from to end.
	tables     []*sorted.Table     // The newest first.
	compaction compaction

	recent recent // What Get knows of the log.
}

var _ backend.Backend = (*Backend)(nil)

// ErrLocked is returned by Open for a store that another process has open.
var ErrLocked = errors.New("file: locked by another process")

var errClosed = fmt.Errorf("file: %w", os.ErrClosed)

// Generation implements [backend.Backend].
func (b *Backend) Generation() statefun.Generation { return b.generation }

// Durable implements [backend.Backend].
func (b *Backend) Durable() bool { return true }

// StoreID names the store: it is made with it, at random. A copy of a store has the same.
func (b *Backend) StoreID() string { return b.id.String() }

// Latest implements [backend.Backend].
func (b *Backend) Latest(context.Context) (cp backend.Checkpoint, ok bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return backend.Checkpoint{}, false, errClosed
	}
	return cloneCheckpoint(b.latest), b.latest.Epoch > 0, nil
}

// Close waits for a commit that is under way, ends a compaction, and gives the store free. Scans that are
// under way go on to their end.
func (b *Backend) Close() error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return nil
	}
	b.closed = true
	failed := b.failed
	b.mu.Unlock()

	b.stop()
	b.compactor.Wait()
	b.committing.Lock()
	defer b.committing.Unlock()
	b.compacting.Lock()
	defer b.compacting.Unlock()
	var err error
	if failed == nil { // In doubt nothing is written.
		err = b.witness.sync()
	}
	return errors.Join(err, b.release())
}

// release closes what Open has opened, the lock last.
func (b *Backend) release() error {
	var errs []error
	if b.log != nil {
		b.log.Close()
	}
	for _, s := range b.segments {
		s.Release()
	}
	for _, t := range b.tables {
		t.Release()
	}
	if b.witness != nil {
		errs = append(errs, b.witness.file.Close())
	}
	if b.lock != nil {
		errs = append(errs, b.lock.Close())
	}
	return errors.Join(append(errs, b.fs.Close())...)
}

// fail notes that no commit can succeed any more.
func (b *Backend) fail(err error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failed == nil {
		b.failed = err
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
