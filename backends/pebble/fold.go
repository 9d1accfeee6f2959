// SPDX-License-Identifier: Apache-2.0

package pebble

import (
	"context"
	"encoding/binary"
	"errors"

	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace-io/millrace/engine/statefun"

	"github.com/millrace-io/millrace/backends/logstore"
	"github.com/millrace-io/millrace/backends/logstore/sorted"
)

const (
	// feedName is the table that is being made for Pebble, before it takes it in.
	feedName = "feed"
	// sublevelsMax is how tall level 0 may be before the next table waits for compactions. Each sublevel is one more
	// table that a Get looks into; Pebble waits at as many by itself, but not for tables that it takes in.
	sublevelsMax = 12
)

// fold feeds Pebble. It gives it whole tables: that takes a third less time than batches, needs neither Pebble's log
// nor its memtables, and has happened, durably, or not when the call returns.
type fold struct {
	base  *base
	ctx   context.Context
	into  *instance
	key   []byte
	bytes int64
}

// Bytes implements [logstore.Fold].
func (f *fold) Bytes() int64 { return f.bytes }

// Add implements [logstore.Fold]. What it adds is durable at once. Until the manifest says so, too, the log says the
// same of these keys.
func (f *fold) Add(changes *sorted.Memtable, sequence uint64, last bool) error {
	source := changes.Drain()
	if source.Head() == nil && !last {
		return nil
	}
	enough := func() bool { return f.into.db.Metrics().Levels[0].Sublevels < sublevelsMax }
	if err := f.into.scheduler.run(enough); err != nil {
		return explain(err)
	}
	if err := f.write(source, sequence); err != nil {
		return explain(err)
	}
	if err := f.into.db.Ingest(context.Background(), []string{feedName}); err != nil {
		return explain(err)
	}
	f.base.sequence = sequence
	return explain(f.into.files.change())
}

// write writes the table.
func (f *fold) write(from sorted.Source, sequence uint64) error {
	file, err := f.into.files.Create(feedName, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	file = vfs.NewSyncingFile(file, vfs.SyncingFileOptions{BytesPerSync: f.into.options.BytesPerSync})
	to := objstorageprovider.NewFileWritable(file)
	w := sstable.NewWriter(to, f.into.options.MakeWriterOptions(0, formatVersion.MaxTableFormat()))
	err = f.copy(w, from)
	if err == nil {
		err = w.Set(appliedKey, binary.LittleEndian.AppendUint64(f.base.env.Store[:], sequence))
	}
	if err = errors.Join(err, w.Close()); err != nil {
		return err
	}
	meta, err := w.Raw().Metadata()
	if err == nil {
		f.bytes += int64(meta.Size)
	}
	return err
}

func (f *fold) copy(w *sstable.Writer, from sorted.Source) (err error) {
	for n := 0; from.Head() != nil && err == nil; n++ {
		if n%1024 == 0 && f.ctx.Err() != nil {
			return f.ctx.Err()
		}
		c := from.Head()
		f.key = appendKey(f.key[:0], c.Group, c.Key)
		if c.Delete {
			err = w.Delete(f.key)
		} else {
			err = w.Set(f.key, c.Value)
		}
		err = errors.Join(err, from.Advance())
	}
	return err
}

// Done implements [logstore.Fold].
func (f *fold) Done() (logstore.View, []byte, error) {
	if f.base.env.Inline {
		f.into.compact()
		f.into.db.TestOnlyWaitForCleaning()
	} else {
		f.into.scheduler.wake()
	}
	return newView(f.into), f.base.section(), nil
}

// Discard implements [logstore.Fold].
func (f *fold) Discard() {}

// appendKey appends the key of an entry. Those of a key group are together, and the groups in order.
func appendKey(dst []byte, group statefun.KeyGroup, key []byte) []byte {
	return append(binary.BigEndian.AppendUint16(dst, uint16(group)), key...)
}
