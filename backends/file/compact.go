// SPDX-License-Identifier: Apache-2.0

package file

import (
	"context"
	"errors"
	"fmt"

	"github.com/millrace-io/millrace/engine/backend"
)

// compaction is how it goes with folding the log into tables. Guarded by Backend.mu.
type compaction struct {
	done    chan struct{} // Closed, and replaced, when one has ended.
	failed  error         // Why the last one has not succeeded.
	retryAt int64         // How long the log is when a failed one is tried again.
	count   uint64
	bytes   uint64 // Written into tables.
}

// behind returns the length of the log that is not in tables.
func (b *Backend) behind() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return int64(b.end.Bytes - b.from.Bytes)
}

// startCompaction lets the compactor look, or compacts at once.
func (b *Backend) startCompaction() {
	if b.config.Inline {
		b.compactAll()
		return
	}
	select {
	case b.wake <- struct{}{}:
	default: // It will look.
	}
}

func (b *Backend) compactWhenWoken() {
	for {
		select {
		case <-b.wake:
			b.compactAll()
		case <-b.stopped.Done():
			return
		}
	}
}

// compactAll folds the log as long as it is long enough. After a failure it waits until the log is an eighth
// longer, or at its limit: a disk that is full is not written to for nothing all the time.
func (b *Backend) compactAll() {
	for b.due() && b.stopped.Err() == nil {
		if err := b.Compact(b.stopped); err != nil {
			return
		}
	}
}

func (b *Backend) due() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	behind := int64(b.end.Bytes - b.from.Bytes)
	if b.compaction.failed != nil && behind < min(b.compaction.retryAt, b.config.LogBytesMax) {
		return false
	}
	return behind >= b.config.CompactBytes && b.failed == nil && !b.closed
}

// waitForCompaction waits while the log has reached its limit.
func (b *Backend) waitForCompaction(ctx context.Context) error {
	for {
		b.mu.Lock()
		done, failed := b.compaction.done, b.compaction.failed
		b.mu.Unlock()
		if b.behind() < b.config.LogBytesMax {
			return b.state()
		}
		b.startCompaction()
		if b.config.Inline {
			b.mu.Lock()
			failed = b.compaction.failed
			b.mu.Unlock()
		}
		if failed != nil {
			return fmt.Errorf("the log has reached %d bytes, and compacting it fails: %w", b.config.LogBytesMax, failed)
		}
		if b.config.Inline {
			continue
		}
		select {
		case <-done:
		case <-ctx.Done():
			return ctx.Err()
		case <-b.stopped.Done():
			return errClosed
		}
	}
}

// Compact folds the log, up to what was committed when it began or to what fits in [Config.MemoryBytes], into
// tables and removes what it has folded. The store does so by itself; there is no need to call it.
//
// What fails without harm is tried again later. A sync that fails, or damage, also ends all commits: the
// disk, or what a recovery would have to read, is not to be trusted any more.
func (b *Backend) Compact(ctx context.Context) error {
	b.compacting.Lock()
	defer b.compacting.Unlock()
	s, err := b.snapshot()
	if err != nil {
		return err
	}
	defer s.release()
	if err = b.compact(ctx, s); err != nil {
		err = fmt.Errorf("file: compact: %w", err)
	}
	if errors.Is(err, backend.ErrSync) || errors.Is(err, backend.ErrCorrupt) {
		_ = b.fail(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.compaction.failed = err
	b.compaction.retryAt = int64(b.end.Bytes-b.from.Bytes) + b.config.CompactBytes/8
	close(b.compaction.done)
	b.compaction.done = make(chan struct{})
	return err
}
