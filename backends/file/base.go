// SPDX-License-Identifier: Apache-2.0

package file

import (
	"context"
	"errors"
	"slices"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"

	"github.com/millrace-io/millrace/backends/file/internal/table"
	"github.com/millrace-io/millrace/backends/logstore"
	"github.com/millrace-io/millrace/backends/logstore/sorted"
)

// base makes tables. It keeps nothing of them: what there is, is in the views.
type base struct {
	env   logstore.Env
	known uint64
}

// Sequence implements [logstore.Base]. Tables say nothing of the log. Of that which has taken their place, the
// manifest does.
func (b *base) Sequence() uint64 { return b.known }

// Empty implements [logstore.Emptier].
func (b *base) Empty(on logstore.View, known uint64) (logstore.View, []byte) {
	v := &view{next: on.(*view).next, known: known}
	return v, v.section()
}

// Close implements [logstore.Base].
func (b *base) Close() error { return nil }

// Fold implements [logstore.Base].
func (b *base) Fold(ctx context.Context, on logstore.View) (logstore.Fold, error) {
	v := on.(*view)
	f := &fold{env: b.env, ctx: ctx, to: view{tables: slices.Clone(v.tables), next: v.next, known: v.known}}
	for _, t := range f.to.tables {
		t.Retain()
	}
	return f, nil
}

// fold is one compaction. It holds the tables in to.
type fold struct {
	env   logstore.Env
	ctx   context.Context
	to    view
	made  int   // The newest tables of to are new.
	bytes int64 // Written.
}

// Bytes implements [logstore.Fold].
func (f *fold) Bytes() int64 { return f.bytes }

// Add implements [logstore.Fold]. It makes a table of the changes and, at the end, of tables before it.
func (f *fold) Add(changes *sorted.Memtable, _ uint64, last bool) error {
	n := 0
	if last {
		n = f.worthMerging(changes)
	}
	sources := []sorted.Source{changes.Drain()}
	for _, t := range f.to.tables[:n] {
		source, err := t.Scan(f.everything())
		if err != nil {
			return err
		}
		sources = append(sources, source)
	}
	merge, err := sorted.NewMerge(sources)
	if err != nil {
		return err
	}
	oldest := n == len(f.to.tables) // There is nothing left that a delete could delete.
	made, err := f.table(merge, oldest)
	if err != nil {
		return err
	}
	for _, t := range f.to.tables[:n] {
		t.Release()
	}
	f.to.tables = slices.Delete(f.to.tables, 0, n)
	f.made = max(f.made-n, 0)
	if made != nil {
		f.to.tables = slices.Insert(f.to.tables, 0, made)
		f.made++
	}
	return nil
}

// worthMerging returns how many tables to merge with the changes: those that this compaction has made, and then
// as long as the next is at most twice as long as all that is newer. So each table is more than twice as long as
// the ones before it together, there are few of them, and nothing is rewritten more often than that. A delete is
// short, and what it deletes may not be: the next is also merged when there are half as many deletes as it has
// entries.
func (f *fold) worthMerging(changes *sorted.Memtable) (n int) {
	bytes, deletes := changes.Data()
	for n < len(f.to.tables) {
		t := f.to.tables[n]
		if n >= f.made && t.Bytes > 2*bytes && t.Entries > 2*deletes {
			break
		}
		bytes, deletes = bytes+t.Bytes, deletes+t.Deletes
		n++
	}
	return n
}

// table writes a table, and none when nothing would be in it.
func (f *fold) table(from *sorted.Merge, oldest bool) (*table.Table, error) {
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
	number := f.to.next
	f.to.next++
	name := tableName(number)
	file, err := f.env.FS.Create(name)
	if err != nil {
		return nil, err
	}
	bytes, err := f.copy(table.NewWriter(file, f.env.Store, number), from, skip)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	f.bytes += bytes
	return table.Open(file, name, f.env.Store, number, bytes)
}

func (f *fold) copy(w *table.Writer, from *sorted.Merge, skip func() error) (bytes int64, err error) {
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

// Done implements [logstore.Fold]. The tables' names become durable with the manifest's.
func (f *fold) Done() (logstore.View, []byte, error) {
	v := &view{tables: slices.Clone(f.to.tables), next: f.to.next, known: f.to.known}
	for _, t := range v.tables {
		t.Retain()
	}
	return v, v.section(), nil
}

// Discard implements [logstore.Fold].
func (f *fold) Discard() { f.to.Close() }

func (f *fold) everything() backend.KeyGroupRange {
	return backend.KeyGroupRange{End: statefun.KeyGroup(f.env.KeyGroups)}
}
