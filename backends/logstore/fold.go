// SPDX-License-Identifier: Apache-2.0

package logstore

import (
	"context"
	"errors"
	"slices"

	"github.com/millrace-io/millrace/engine/backend"

	"github.com/millrace-io/millrace/backends/logstore/internal/epochlog"
	"github.com/millrace-io/millrace/backends/logstore/sorted"
)

// folding is one fold, of the log from a snapshot on.
type folding struct {
	s          *Store
	ctx        context.Context
	into       Fold
	changes    *sorted.Memtable
	to         epochlog.Position // How far the log is folded.
	checkpoint []byte            // The description of the newest epoch before to.
}

func (s *Store) fold(ctx context.Context, now *snapshot) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	into, err := s.base.Fold(ctx, now.view.View)
	if err != nil {
		return err
	}
	f := &folding{s: s, ctx: ctx, into: into, changes: s.spare, to: now.from, checkpoint: s.manifest.checkpoint}
	if s.spare = nil; f.changes == nil {
		f.changes = sorted.NewMemtable(s.everything())
		f.changes.Keep(s.config.MemoryBytes / 2) // So that there is room for changes of other keys.
	}
	if err = f.run(now); err == nil {
		s.spare = f.changes
		err = f.install()
	}
	into.Discard()
	return err
}

// run adds what the log says.
func (f *folding) run(now *snapshot) error {
	full := func() bool { return f.changes.Bytes() >= f.s.config.MemoryBytes }
	err := epochlog.Replay(now.segments, f.s.id, now.from, now.end, epochlog.Visitor{
		Changes: func(changes []backend.Change) error {
			if full() { // Within a record, which may be as long as it likes.
				if err := f.into.Add(f.changes, f.to.Sequence+1, false); err != nil {
					return err
				}
			}
			f.changes.PutAll(changes)
			return f.ctx.Err()
		},
		Record: func(r *epochlog.Record, description []byte, end epochlog.Position) (bool, error) {
			f.to = end
			if r.Kind == epochlog.Epoch {
				f.checkpoint = description
			}
			return !full(), nil
		},
	})
	if err != nil {
		return err
	}
	return f.into.Add(f.changes, f.to.Sequence, true)
}

func (f *folding) install() error {
	on, section, err := f.into.Done()
	if err != nil {
		return err
	}
	if err := f.s.install(on, section, f.to, f.checkpoint); err != nil {
		return err
	}
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	f.s.folds.count++
	f.s.folds.bytes += uint64(f.into.Bytes())
	return nil
}

// install makes a view, and the log from a position on, the store's: on disk by the manifest, then for readers. The
// caller holds folding.
func (s *Store) install(on View, section []byte, from epochlog.Position, checkpoint []byte) error {
	if err := s.ours(); err != nil {
		on.Close()
		return err
	}
	m := *s.manifest
	m.number++
	m.generation, m.from, m.checkpoint, m.section = s.generation, from, checkpoint, section
	if err := m.write(s.fs); err != nil {
		on.Close()
		return err
	}
	s.manifest = &m

	s.mu.Lock()
	view, segments := s.view, s.segments
	kept := slices.IndexFunc(segments, func(s *epochlog.Segment) bool { return s.Number >= from.Segment })
	s.from, s.view, s.segments = from, hold(on), slices.Clone(segments[kept:])
	s.marks.drop(from)
	s.mu.Unlock()
	s.recent.drop()

	view.release()
	for _, segment := range segments[:kept] {
		segment.Release()
	}
	return nil
}

// sweep removes files that are not the store's any more, or never became so: what a crash or a failure has left.
// The caller holds folding, or is Open.
func (s *Store) sweep() error {
	names, err := s.fs.List()
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		if s.stray(name) {
			errs = append(errs, s.fs.Remove(name))
		}
	}
	return errors.Join(errs...)
}

func (s *Store) stray(name string) bool {
	if n, ok := epochlog.ParseSegmentName(name); ok {
		return n < s.manifest.from.Segment
	}
	return name == manifestNewName || s.view.Stray(name)
}
