// SPDX-License-Identifier: Apache-2.0

// Package memory is the backend that keeps everything in memory: nothing survives the process.
//
// Checkpoints are cut and committed as with any other backend; a process that starts again starts with nothing. It is
// for tests, and for those who want to inspect whole checkpoints of an application whose state can be made anew. An
// engine without a backend is faster, and behaves the same but for that: see engine.Config.Backend.
package memory

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"os"
	"slices"
	"sync"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"
)

// Backend is a [backend.Backend] without persistence.
//
// One lock covers all of it. Commit holds it while it applies an epoch, so that Get and Scan see whole
// commits; a Get may thus wait for as long as the commit takes, tenths of a second for a million
// changes. Publishing a new version without a lock was rejected: it costs a copy of every table
// that an epoch touches, and no one reads while the engine runs but swapping in and inspection.
//
// Scan holds the lock only to note its tables. A table that is being scanned is not written to any more:
// a commit that changes it copies it first, once, and writes to the copy. So a slow reader costs
// memory, and never time.
type Backend struct {
	hash func(key []byte) uint64 // Written once in Open.

	mu     sync.RWMutex
	closed bool
	latest backend.Checkpoint // Epoch 0: there is none.
	tables []*table           // By key group; nil while the group is empty.
	warmth byte               // What warm has read: it must not be optimised away.
}

var _ backend.Backend = (*Backend)(nil)

// Open makes a new and empty store.
func Open(_ context.Context, opts backend.Options) (*Backend, error) {
	var problems []error
	if opts.Application == "" {
		problems = append(problems, errors.New("memory: application: empty, want a name"))
	}
	if opts.KeyGroups < 1 || opts.KeyGroups > statefun.KeyGroupsMax {
		problems = append(problems, fmt.Errorf("memory: key groups: %d, want 1 to %d", opts.KeyGroups, statefun.KeyGroupsMax))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	seed := maphash.MakeSeed() // Keys come from outside: nobody may choose which of them collide.
	return &Backend{
		hash:   func(key []byte) uint64 { return maphash.Bytes(seed, key) },
		tables: make([]*table, opts.KeyGroups),
	}, nil
}

// Generation is always 1: a store is never opened twice.
func (b *Backend) Generation() statefun.Generation { return 1 }

// Durable reports that nothing survives the process.
func (b *Backend) Durable() bool { return false }

// LapBytes is 0: there is no log.
func (b *Backend) LapBytes() int64 { return 0 }

// Latest describes the newest commit.
func (b *Backend) Latest(context.Context) (cp backend.Checkpoint, ok bool, err error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.closed {
		return backend.Checkpoint{}, false, errClosed
	}
	return cloneCheckpoint(b.latest), b.latest.Epoch > 0, nil
}

// Get appends the value under key in its key group to dst.
func (b *Backend) Get(_ context.Context, group statefun.KeyGroup, key, dst []byte) (value []byte, ok bool, err error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.closed {
		return dst, false, errClosed
	}
	if int(group) >= len(b.tables) || b.tables[group] == nil {
		return dst, false, nil
	}
	t := b.tables[group]
	_, at := t.find(b.hash(key), key)
	if at == 0 {
		return dst, false, nil
	}
	return append(dst, t.value(at)...), true, nil
}

// Close drops everything.
func (b *Backend) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.tables = nil
	return nil
}

var errClosed = fmt.Errorf("memory: %w", os.ErrClosed)

func cloneCheckpoint(cp backend.Checkpoint) backend.Checkpoint {
	cp.Names = slices.Clone(cp.Names)
	cp.Sources = slices.Clone(cp.Sources)
	for i := range cp.Sources {
		cp.Sources[i].Position = slices.Clone(cp.Sources[i].Position)
	}
	return cp
}
