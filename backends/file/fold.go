// SPDX-License-Identifier: Apache-2.0

package file

import (
	"context"
	"errors"
	"slices"

	"github.com/millrace-io/millrace/engine/backend"

	"github.com/millrace-io/millrace/backends/file/internal/epochlog"
	"github.com/millrace-io/millrace/backends/file/internal/sorted"
)

// fold is one compaction.
type fold struct {
	b          *Backend
	ctx        context.Context
	changes    *sorted.Memtable
	tables     []*sorted.Table // The newest first; those that are made here are not yet in the manifest.
	made       []*sorted.Table
	next       uint64            // Number of the next table.
	to         epochlog.Position // How far the log is folded.
	checkpoint []byte            // The description of the newest epoch before to.
	bytes      int64             // Written.
}

func (b *Backend) compact(ctx context.Context, s *snapshot) error {
	m := b.manifest
	f := &fold{
		b: b, ctx: ctx, changes: sorted.NewMemtable(b.everything()), tables: s.tables,
		next: m.nextTable, to: s.from, checkpoint: m.checkpoint,
	}
	err := f.run(s)
	if err == nil {
		err = f.install()
	}
	f.discard()
	if errors.Is(err, backend.ErrSync) { // In doubt nothing is removed.
		return err
	}
	return errors.Join(err, b.sweep())
}

// run folds the log into tables and merges them with older ones.
func (f *fold) run(s *snapshot) error {
	full := func() bool { return f.changes.Bytes() >= f.b.config.MemoryBytes }
	err := epochlog.Replay(s.segments, f.b.id, s.from, s.end, epochlog.Visitor{
		Changes: func(changes []backend.Change) error {
			if full() { // Within a record, which may be as long as it likes.
				if err := f.write(0); err != nil {
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
	return f.write(f.worthMerging())
}

// worthMerging returns how many tables to merge with the changes: those that this compaction has made, and then
// as long as the next is at most twice as long as all that is newer. So each table is more than twice as long as
// the ones before it together, there are few of them, and nothing is rewritten more often than that. A delete is
// short, and what it deletes may not be: the next is also merged when there are half as many deletes as it has
// entries.
func (f *fold) worthMerging() (n int) {
	bytes, deletes := f.changes.Data()
	for n < len(f.tables) {
		t := f.tables[n]
		if n >= len(f.made) && t.Bytes > 2*bytes && t.Entries > 2*deletes {
			break
		}
		bytes, deletes = bytes+t.Bytes, deletes+t.Deletes
		n++
	}
	return n
}

// write makes a table of the changes and the newest n tables, in whose place it comes.
func (f *fold) write(n int) error {
	sources := []sorted.Source{f.changes.Drain()}
	for _, t := range f.tables[:n] {
		source, err := t.Scan(f.b.everything())
		if err != nil {
			return err
		}
		sources = append(sources, source)
	}
	merge, err := sorted.NewMerge(sources)
	if err != nil {
		return err
	}
	oldest := n == len(f.tables) // There is nothing left that a delete could delete.
	table, err := f.table(merge, oldest)
	if err != nil {
		return err
	}
	f.tables = slices.Clone(f.tables[n:])
	if table != nil {
		f.tables = slices.Insert(f.tables, 0, table)
		f.made = append(f.made, table)
	}
	return nil
}

// table writes a table, and none when nothing would be in it.
func (f *fold) table(from *sorted.Merge, oldest bool) (*sorted.Table, error) {
	skip := func() error {
		for oldest && from.Head() != nil && from.Head().Delete {
			if err := from.Advance(); err != nil {
				return err
			}
		}
		return nil
	}
	if err := skip(); err != nil || from.Head() == nil {
		return nil, err
	}
	number := f.next
	f.next++
	name := tableName(number)
	file, err := f.b.fs.Create(name)
	if err != nil {
		return nil, err
	}
	bytes, err := f.copy(sorted.NewWriter(file, f.b.id, number), from, skip)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	f.bytes += bytes
	return sorted.Open(file, name, f.b.id, number, bytes)
}

func (f *fold) copy(w *sorted.Writer, from *sorted.Merge, skip func() error) (bytes int64, err error) {
	for n := 0; from.Head() != nil; n++ {
		if n%1024 == 0 && f.ctx.Err() != nil {
			return 0, f.ctx.Err()
		}
		if err := w.Add(from.Head()); err != nil {
			return 0, err
		}
		if err := from.Advance(); err != nil {
			return 0, err
		}
		if err := skip(); err != nil {
			return 0, err
		}
	}
	return w.Finish()
}

// install makes what has been folded the store's: on disk by the manifest, then for readers.
func (f *fold) install() error {
	b := f.b
	m := *b.manifest
	m.number++
	m.generation, m.from, m.checkpoint, m.nextTable = b.generation, f.to, f.checkpoint, f.next
	m.tables = nil
	for _, t := range f.tables {
		m.tables = append(m.tables, tableEntry{number: t.Number, bytes: t.Bytes})
	}
	if err := m.write(b.fs); err != nil {
		return err
	}
	b.manifest = &m

	b.mu.Lock()
	tables, segments := b.tables, b.segments
	kept := slices.IndexFunc(segments, func(s *epochlog.Segment) bool { return s.Number >= f.to.Segment })
	b.from, b.tables, b.segments = f.to, f.tables, slices.Clone(segments[kept:])
	b.compaction.count++
	b.compaction.bytes += uint64(f.bytes)
	b.mu.Unlock()
	b.recent.drop()

	for _, t := range slices.Concat(tables, f.made) { // Those that are left are the store's from now on.
		if !slices.Contains(f.tables, t) {
			t.Release()
		}
	}
	f.made = nil
	for _, s := range segments[:kept] {
		s.Release()
	}
	return nil
}

// discard closes what a compaction that has failed has made. Then it is swept away.
func (f *fold) discard() {
	for _, t := range f.made {
		t.Release()
	}
}

// sweep removes files that are not the store's any more, or never became so: what a crash or a failure has
// left. The caller holds compacting, or is Open.
func (b *Backend) sweep() error {
	names, err := b.fs.List()
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		if b.stray(name) {
			errs = append(errs, b.fs.Remove(name))
		}
	}
	return errors.Join(errs...)
}

func (b *Backend) stray(name string) bool {
	if n, ok := epochlog.ParseSegmentName(name); ok {
		return n < b.manifest.from.Segment
	}
	if n, ok := parseTableName(name); ok {
		return !slices.ContainsFunc(b.manifest.tables, func(t tableEntry) bool { return t.number == n })
	}
	return name == manifestNewName
}
