// SPDX-License-Identifier: Apache-2.0

package file

import (
	"context"
	"iter"
	"slices"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"

	"github.com/millrace-io/millrace/backends/file/internal/epochlog"
	"github.com/millrace-io/millrace/backends/file/internal/sorted"
)

// snapshot is what the store consisted of after some commit. It holds its files until it is released.
type snapshot struct {
	from, end epochlog.Position
	segments  []*epochlog.Segment
	tables    []*sorted.Table
}

func (b *Backend) snapshot() (*snapshot, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, errClosed
	}
	s := &snapshot{from: b.from, end: b.end, segments: slices.Clone(b.segments), tables: slices.Clone(b.tables)}
	for _, f := range s.segments {
		f.Retain()
	}
	for _, t := range s.tables {
		t.Retain()
	}
	return s, nil
}

func (s *snapshot) release() {
	for _, f := range s.segments {
		f.Release()
	}
	for _, t := range s.tables {
		t.Release()
	}
}

// Scan implements [backend.Backend]. It gathers what the log says of the key groups in memory, and then merges
// it with the tables, block by block. Scans of different key groups can run beside each other.
func (b *Backend) Scan(ctx context.Context, r backend.KeyGroupRange) iter.Seq2[backend.Entry, error] {
	return func(yield func(backend.Entry, error) bool) {
		s, err := b.snapshot()
		if err != nil {
			yield(backend.Entry{}, err)
			return
		}
		defer s.release()
		if err := b.scan(ctx, s, r, func(e backend.Entry) bool { return yield(e, nil) }); err != nil {
			yield(backend.Entry{}, err)
		}
	}
}

// scan yields entries as long as more are wanted.
func (b *Backend) scan(ctx context.Context, s *snapshot, r backend.KeyGroupRange, yield func(backend.Entry) bool) error {
	r.End = min(r.End, b.everything().End)
	logged := sorted.NewMemtable(r)
	err := epochlog.Replay(s.segments, b.id, s.from, s.end, epochlog.Visitor{
		Changes: func(changes []backend.Change) error {
			logged.PutAll(changes)
			return ctx.Err()
		},
	})
	if err != nil {
		return err
	}
	sources := []sorted.Source{logged.Drain()}
	for _, t := range s.tables {
		source, err := t.Scan(r)
		if err != nil {
			return err
		}
		sources = append(sources, source)
	}
	merge, err := sorted.NewMerge(sources)
	if err != nil {
		return err
	}
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

func (b *Backend) everything() backend.KeyGroupRange {
	return backend.KeyGroupRange{End: statefun.KeyGroup(b.opts.KeyGroups)}
}
