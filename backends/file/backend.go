// SPDX-License-Identifier: Apache-2.0

// Package file is the backend that keeps checkpoints in a directory of the local disk: a flat epoch log.
//
// A commit appends one record to a log and syncs it, once. Behind the commits the log is folded into tables,
// which are sorted and merged with each other, and then removed. State lives in the engine's memory; the
// store holds on disk what a recovery reads: tables, and the log behind them.
//
//	Commit ──► log: record record record …      one sync each
//	              └──── fold ───────► tables     in the background, in order, with little memory
//	Open   ◄── manifest, tables, log
//
// What is damaged or missing is refused, with the file and the offset: nothing is repaired by guessing, and
// no older epoch is taken instead. docs/formats/file.md describes the files.
//
// The log and everything around it is package [github.com/millrace-io/millrace/backends/logstore]; here are the
// tables.
package file

import (
	"context"
	"fmt"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"

	"github.com/millrace-io/millrace/backends/logstore"
	"github.com/millrace-io/millrace/backends/logstore/format"
)

// Backend is a store. It implements [backend.Backend].
type Backend struct {
	*logstore.Store
}

var _ backend.Backend = (*Backend)(nil)

// ErrLocked is returned by Open for a store that another process has open.
var ErrLocked = logstore.ErrLocked

// Open opens the store of a directory, or makes one, and takes its next generation. A store that is refused is
// as it was before.
func Open(ctx context.Context, config Config, opts backend.Options) (*Backend, error) {
	return open(ctx, config, opts, nil)
}

func open(ctx context.Context, config Config, opts backend.Options, newID func() format.StoreID) (*Backend, error) {
	config = config.withDefaults()
	if err := config.validate(opts); err != nil {
		return nil, fmt.Errorf("file: open: %w", err)
	}
	store, err := logstore.Open(ctx, logstore.Config{
		Name: "file", Kind: tables,
		Dir: config.Dir, FS: config.FS, EpochMin: config.EpochMin,
		SegmentBytes: config.SegmentBytes,
		FoldAt:       logstore.Length{Bytes: config.CompactBytes, Records: logstore.Endless},
		Max:          logstore.Length{Bytes: config.LogBytesMax, Records: logstore.Endless},
		MemoryBytes:  config.MemoryBytes,
		Inline:       config.Inline,
		NewID:        newID,
	}, opts)
	if err != nil {
		return nil, err
	}
	return &Backend{store}, nil
}

// Stats are a store's figures at one moment.
type Stats struct {
	Epoch        statefun.Epoch // The newest commit.
	LogBytes     int64          // What a recovery reads of the log; bounded by [Config.LogBytesMax] and one epoch.
	LogRecords   uint64         // Epochs and generations in it.
	Segments     int            // Files of the log.
	Tables       int
	TableBytes   int64
	TableEntries uint64 // Keys, counted in each table that they are in, and deletes that are still needed.

	Forgotten        uint64 // Bytes of the log that nobody had to read, as all that they said had been said again.
	Compactions      uint64
	CompactedBytes   uint64 // Written into tables.
	CompactionFailed error  // Why the last one has not succeeded, nil if it has.
	Failed           error  // Why no commit can succeed any more, nil as long as one can.
}

// Stats returns the store's figures.
func (b *Backend) Stats() (s Stats) {
	of := b.Store.Stats(func(v logstore.View) {
		for _, t := range v.(*view).tables {
			s.Tables++
			s.TableBytes += t.Bytes
			s.TableEntries += t.Entries
		}
	})
	s.Epoch, s.LogBytes, s.LogRecords, s.Segments = of.Epoch, of.Behind.Bytes, of.Behind.Records, of.Segments
	s.Forgotten = of.Forgotten
	s.Compactions, s.CompactedBytes, s.CompactionFailed, s.Failed = of.Folds, of.Folded, of.FoldFailed, of.Failed
	return s
}

// Compact folds the log into tables. The store does so by itself; there is no need to call it.
func (b *Backend) Compact(ctx context.Context) error { return b.Fold(ctx) }
