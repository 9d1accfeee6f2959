// SPDX-License-Identifier: Apache-2.0

package logstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millrace-io/millrace/engine/backend"
)

// folds is how it goes with folding the log into the base. Guarded by Store.mu.
type folds struct {
	done    chan struct{} // Closed, and replaced, when one has ended.
	failed  error         // Why the last one has not succeeded.
	retryAt Length        // How long the log is when a failed one is tried again.
	count   uint64
	bytes   uint64 // Written into the base.
}

// behind returns the length of the log that is not in the base.
func (s *Store) behind() Length {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.behindLocked()
}

func (s *Store) behindLocked() Length {
	return Length{Bytes: int64(s.end.Bytes - s.from.Bytes), Records: s.end.Sequence - s.from.Sequence}
}

// startFold lets the folder look, or folds at once.
func (s *Store) startFold() {
	if s.config.Inline {
		s.foldAll()
		return
	}
	select {
	case s.wake <- struct{}{}:
	default: // It will look.
	}
}

// spareFor is how long the memory of a fold is kept for the next, at most: what stays from a busy hour is given back,
// and under load it is new once a minute.
const spareFor = time.Minute

func (s *Store) foldWhenWoken() {
	spare := time.NewTicker(spareFor)
	defer spare.Stop()
	for {
		select {
		case <-s.wake:
			s.foldAll()
		case <-spare.C:
			s.folding.Lock()
			s.spare = nil
			s.folding.Unlock()
		case <-s.stopped.Done():
			return
		}
	}
}

// foldAll folds the log as long as it is long enough. After a failure it waits until the log is an eighth longer,
// or at its limit: a disk that is full is not written to for nothing all the time.
func (s *Store) foldAll() {
	for s.due() && s.stopped.Err() == nil {
		if err := s.tidy(s.stopped, s.shorten); err != nil {
			return
		}
	}
}

func (s *Store) due() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	behind := s.behindLocked()
	if s.folds.failed != nil && !behind.reaches(s.folds.retryAt) && !behind.reaches(s.config.Max) {
		return false
	}
	return behind.reaches(s.config.FoldAt) && s.failed == nil && !s.closed
}

// waitForFold waits while the log has reached its limit.
func (s *Store) waitForFold(ctx context.Context) error {
	for {
		s.mu.Lock()
		done, failed := s.folds.done, s.folds.failed
		s.mu.Unlock()
		behind := s.behind()
		if !behind.reaches(s.config.Max) {
			return s.state()
		}
		s.startFold()
		if s.config.Inline {
			s.mu.Lock()
			failed = s.folds.failed
			s.mu.Unlock()
		}
		if failed != nil {
			return fmt.Errorf("%d bytes of log in %d records are not in the base, and folding them fails: %w",
				behind.Bytes, behind.Records, failed)
		}
		if s.config.Inline {
			continue
		}
		select {
		case <-done:
		case <-ctx.Done():
			return ctx.Err()
		case <-s.stopped.Done():
			return s.errClosed()
		}
	}
}

// Fold folds the log, up to what was committed when it began or to what fits in the memory for it, into the base
// and removes what it has folded. The store does so by itself; there is no need to call it.
//
// What fails without harm is tried again later. A sync that fails, or damage, also ends all commits: the disk, or
// what a recovery would have to read, is not to be trusted any more.
func (s *Store) Fold(ctx context.Context) error { return s.tidy(ctx, s.fold) }

// tidy makes the log shorter in the way of how, and notes how that has gone.
func (s *Store) tidy(ctx context.Context, how func(context.Context, *snapshot) error) error {
	s.folding.Lock()
	defer s.folding.Unlock()
	now, err := s.snapshot()
	if err != nil {
		return err
	}
	defer now.release()
	err = cmp.Or(s.state(), s.ours()) // In doubt nothing is written,
	if err == nil {
		err = how(ctx, now)
		if gone := s.ours(); gone != nil { // The files of somebody else are not damaged, and not strays.
			err = gone
		} else if !errors.Is(err, backend.ErrSync) { // and nothing removed.
			err = errors.Join(err, s.sweep())
		}
	}
	if err != nil {
		err = fmt.Errorf("%s: fold: %w", s.config.Name, err)
	}
	if errors.Is(err, backend.ErrSync) || errors.Is(err, backend.ErrCorrupt) || errors.Is(err, backend.ErrFenced) {
		s.failBehind(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.folds.failed = err
	s.folds.retryAt = s.behindLocked()
	s.folds.retryAt.Bytes += s.config.FoldAt.Bytes / 8
	s.folds.retryAt.Records += s.config.FoldAt.Records/8 + 1
	close(s.folds.done)
	s.folds.done = make(chan struct{})
	return err
}
