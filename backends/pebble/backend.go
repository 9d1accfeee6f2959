// SPDX-License-Identifier: Apache-2.0

// Package pebble is the backend that keeps checkpoints in a directory of the local disk, with a Pebble database as
// base: for states of which a recovery, or a swap-in, reads only a part.
//
// A commit appends one record to a flat epoch log and syncs it, once: that is the commit point, the same as in
// package file. Behind the commits the log is folded, the latest change of each key in many epochs, into one sorted
// table, which Pebble takes in. Pebble's own log and memtables are not used: the epoch log is what a recovery reads
// for what is not in a table.
//
//	Commit ──► log: record record record …      one sync each
//	              └──── fold ───────► Pebble     in the background, at most so many epochs and bytes behind
//	Get    ◄── what the log says, then Pebble    so that the last commit is seen (P16)
//	Open   ◄── manifest, Pebble, log
//
// What is damaged or missing is refused: nothing is repaired by guessing, and no older epoch is taken instead.
// docs/formats/pebble.md describes the files.
//
// The log and everything around it is package [github.com/millrace-io/millrace/backends/logstore]; here is what is
// Pebble's. Pebble does all of its I/O through the same port as the log.
package pebble

import (
	"cmp"
	"context"
	"fmt"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"

	"github.com/millrace-io/millrace/backends/logstore"
	"github.com/millrace-io/millrace/backends/logstore/disk"
	"github.com/millrace-io/millrace/backends/logstore/format"
)

// Backend is a store. It implements [backend.Backend].
type Backend struct {
	*logstore.Store
}

var _ backend.Backend = (*Backend)(nil)

// ErrLocked is returned by Open for a store that another process has open.
var ErrLocked = logstore.ErrLocked

// Config says where a store is and how far its base may lie behind. Zero values stand for the defaults.
type Config struct {
	// Dir is the directory of the store. It is made if there is none.
	Dir string
	// FS is used instead of Dir, if it is not nil. The store closes it.
	FS disk.FS

	// EpochMin is an epoch of which the caller knows that it was committed to this store, such as one whose
	// records have left. A store that is older, or new, is refused: it is a copy, or another directory.
	EpochMin statefun.Epoch

	// LagEpochsMax is how many epochs the base may lie behind: then Commit waits for it. It is fed from a quarter of
	// that on. Default 4096.
	LagEpochsMax int64
	// FeedBytes is the length of the log from which on it is fed to the base: about how much of it is read at
	// recovery, and what the cost of feeding is spread over. Default 256 MiB.
	FeedBytes int64
	// LagBytesMax is the length of the log from which on Commit waits for the base: the most that recovery reads,
	// but for one epoch. Default four times as much.
	LagBytesMax int64
	// SegmentBytes is the length at which the log begins another segment. Default 64 MiB.
	SegmentBytes int64
	// MemoryBytes bounds the memory in which changes are gathered for the base. It takes less while fewer keys
	// change. Default 256 MiB.
	MemoryBytes int64
	// CacheBytes is how much of the base is kept in memory for Get. Default 64 MiB.
	CacheBytes int64

	// Inline feeds the base within Commit and not beside it, compactions included: for simulations. Pebble still
	// has goroutines of its own; one at a time does anything, and Commit waits for it. What differs from run to run
	// are times of day in Pebble's files.
	Inline bool
}

func (c Config) withDefaults() Config {
	c.LagEpochsMax = cmp.Or(c.LagEpochsMax, 4096)
	c.FeedBytes = cmp.Or(c.FeedBytes, 256<<20)
	c.LagBytesMax = cmp.Or(c.LagBytesMax, 4*c.FeedBytes)
	c.SegmentBytes = cmp.Or(c.SegmentBytes, 64<<20)
	c.MemoryBytes = cmp.Or(c.MemoryBytes, 256<<20)
	c.CacheBytes = cmp.Or(c.CacheBytes, 64<<20)
	return c
}

func (c Config) validate(opts backend.Options) error {
	return logstore.Check(opts, c.Dir, c.FS,
		logstore.Limit{Name: "lag epochs max", Value: c.LagEpochsMax},
		logstore.Limit{Name: "feed bytes", Value: c.FeedBytes},
		logstore.Limit{Name: "lag bytes max", Value: c.LagBytesMax, AtLeastPrevious: true},
		logstore.Limit{Name: "segment bytes", Value: c.SegmentBytes},
		logstore.Limit{Name: "memory bytes", Value: c.MemoryBytes},
		logstore.Limit{Name: "cache bytes", Value: c.CacheBytes},
	)
}

// Open opens the store of a directory, or makes one, and takes its next generation. A store that is refused is as
// it was before.
func Open(ctx context.Context, config Config, opts backend.Options) (*Backend, error) {
	return open(ctx, config, opts, nil)
}

func open(ctx context.Context, config Config, opts backend.Options, newID func() format.StoreID) (*Backend, error) {
	config = config.withDefaults()
	if err := config.validate(opts); err != nil {
		return nil, fmt.Errorf("pebble: open: %w", err)
	}
	store, err := logstore.Open(ctx, logstore.Config{
		Name: "pebble", Kind: kind(config.CacheBytes),
		Dir: config.Dir, FS: config.FS, EpochMin: config.EpochMin,
		SegmentBytes: config.SegmentBytes,
		FoldAt:       logstore.Length{Bytes: config.FeedBytes, Records: uint64(max(config.LagEpochsMax/4, 1))},
		Max:          logstore.Length{Bytes: config.LagBytesMax, Records: uint64(config.LagEpochsMax)},
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
	logstore.Stats
	TableBytes int64 // Of the base.
	Tables     int64
	Sublevels  int // Of the base's level 0: how many tables a Get may have to look into before the others.
}

// Stats returns the store's figures. Its Behind is how far the base lies behind.
func (b *Backend) Stats() (s Stats) {
	s.Stats = b.Store.Stats(func(v logstore.View) {
		m := v.(*view).of.db.Metrics()
		total := m.Total()
		s.TableBytes, s.Tables, s.Sublevels = total.TablesSize, total.TablesCount, int(m.Levels[0].Sublevels)
	})
	return s
}
