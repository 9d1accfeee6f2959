// SPDX-License-Identifier: Apache-2.0

package logstore

import (
	"context"
	"iter"
	"slices"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"

	"github.com/millrace-io/millrace/backends/logstore/internal/epochlog"
	"github.com/millrace-io/millrace/backends/logstore/sorted"
)

// snapshot is what the store consisted of after some commit. It holds its files until it is released.
type snapshot struct {
	from, end epochlog.Position
	segments  []*epochlog.Segment
	view      *held
}

func (s *Store) snapshot() (*snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, s.errClosed()
	}
	now := &snapshot{from: s.from, end: s.end, segments: slices.Clone(s.segments), view: s.view}
	for _, segment := range now.segments {
		segment.Retain()
	}
	now.view.retain()
	return now, nil
}

func (now *snapshot) release() {
	for _, segment := range now.segments {
		segment.Release()
	}
	now.view.release()
}

// Scan implements [backend.Backend]. It gathers what the log says of the key groups in memory, and then merges
// it with the base. Scans of different key groups can run beside each other.
func (s *Store) Scan(ctx context.Context, r backend.KeyGroupRange) iter.Seq2[backend.Entry, error] {
	return func(yield func(backend.Entry, error) bool) {
		now, err := s.snapshot()
		if err != nil {
			yield(backend.Entry{}, err)
			return
		}
		defer now.release()
		if err := s.scan(ctx, now, r, func(e backend.Entry) bool { return yield(e, nil) }); err != nil {
			yield(backend.Entry{}, err)
		}
	}
}

// scan yields entries as long as more are wanted.
func (s *Store) scan(ctx context.Context, now *snapshot, r backend.KeyGroupRange, yield func(backend.Entry) bool) error {
	r.End = min(r.End, s.everything().End)
	logged := sorted.NewMemtable(r)
	err := epochlog.Replay(now.segments, s.id, now.from, now.end, epochlog.Visitor{
		Changes: func(changes []backend.Change) error {
			logged.PutAll(changes)
			return ctx.Err()
		},
	})
	if err != nil {
		return err
	}
	sources, err := now.view.Scan(r)
	if err != nil {
		return err
	}
	merge, err := sorted.NewMerge(slices.Insert(sources, 0, logged.Drain()))
	if err != nil {
		return err
	}
	defer merge.Close()
	for n := 0; ; n++ {
		c := merge.Head()
		if c == nil {
			return nil
		}
		if n%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if !c.Delete && !yield(c.Entry) {
			return nil
		}
		if err := merge.Advance(); err != nil {
			return err
		}
	}
}

func (s *Store) everything() backend.KeyGroupRange {
	return backend.KeyGroupRange{End: statefun.KeyGroup(s.opts.KeyGroups)}
}
