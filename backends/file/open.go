// SPDX-License-Identifier: Apache-2.0

package file

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/millrace-io/millrace/engine/backend"

	"github.com/millrace-io/millrace/backends/file/disk"
	"github.com/millrace-io/millrace/backends/file/internal/epochlog"
	"github.com/millrace-io/millrace/backends/file/internal/format"
	"github.com/millrace-io/millrace/backends/file/internal/sorted"
)

const lockName = "lock"

// Open opens the store of a directory, or makes one, and takes its next generation.
//
// First it takes the lock, which lasts as long as the process. Then it reads everything and changes nothing: a
// store of another application, of another format version, or damaged, is as it was before. Then it appends
// the generation to the log. Nobody else can have written in between.
func Open(ctx context.Context, config Config, opts backend.Options) (*Backend, error) {
	return open(ctx, config, opts, newStoreID)
}

func newStoreID() (id format.StoreID) {
	rand.Read(id[:]) // It does not fail.
	return id
}

func open(ctx context.Context, config Config, opts backend.Options, newID func() format.StoreID) (*Backend, error) {
	config = config.withDefaults()
	if err := config.validate(opts); err != nil {
		return nil, fmt.Errorf("file: open: %w", err)
	}
	if config.FS == nil {
		var err error
		if config.FS, err = disk.Dir(config.Dir); err != nil {
			return nil, fmt.Errorf("file: open: %w", err)
		}
	}
	b := &Backend{config: config, opts: opts, fs: config.FS, wake: make(chan struct{}, 1)}
	b.compaction.done = make(chan struct{})
	b.stopped, b.stop = context.WithCancel(context.Background())
	if err := b.open(ctx, newID); err != nil {
		b.stop()
		return nil, errors.Join(fmt.Errorf("file: open %s: %w", cmp.Or(config.Dir, "store"), err), b.release())
	}
	if !config.Inline {
		b.compactor.Go(b.compactWhenWoken)
	}
	return b, nil
}

func (b *Backend) open(ctx context.Context, newID func() format.StoreID) (err error) {
	if err := b.takeLock(); err != nil {
		return err
	}
	if b.manifest, err = readManifest(b.fs); err != nil {
		return err
	}
	if b.manifest == nil {
		if b.manifest, err = b.create(newID()); err != nil {
			return err
		}
	}
	m := b.manifest
	b.id, b.from = m.id, m.from
	if m.application != b.opts.Application || m.keyGroups != b.opts.KeyGroups {
		return fmt.Errorf("%w: it is of %q with %d key groups, want %q with %d",
			backend.ErrMismatch, m.application, m.keyGroups, b.opts.Application, b.opts.KeyGroups)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if b.lock.Truncate(0) == nil { // Only helps: whoever finds the lock taken can say by whom.
		_, _ = b.lock.WriteAt(strconv.AppendInt(nil, int64(os.Getpid()), 10), 0)
	}
	found, err := b.read()
	if err != nil {
		return err
	}
	return b.takeGeneration(found)
}

func (b *Backend) takeLock() (err error) {
	b.lock, err = b.fs.Lock(lockName)
	if !errors.Is(err, disk.ErrLocked) {
		return err
	}
	b.lock = nil
	holder := "another process"
	if f, open := b.fs.Open(lockName); open == nil {
		var pid [20]byte
		n, _ := f.ReadAt(pid[:], 0) // What cannot be read is not named.
		if n > 0 {
			holder = "process " + string(pid[:n])
		}
		_ = f.Close()
	}
	return fmt.Errorf("%w: %s has it open: %w", ErrLocked, holder, err)
}

// read reads what there is, and checks it.
func (b *Backend) read() (found *epochlog.Found, err error) {
	m := b.manifest
	if b.witness, err = openWitness(b.fs, b.id); err != nil {
		return nil, err
	}
	for _, t := range m.tables {
		f, err := b.fs.Open(tableName(t.number))
		if err != nil {
			return nil, missing(err, tableName(t.number))
		}
		table, err := sorted.Open(f, tableName(t.number), b.id, t.number, t.bytes)
		if err != nil {
			return nil, err
		}
		b.tables = append(b.tables, table)
	}
	found, err = epochlog.Recover(b.fs, b.id, m.from, b.witness.known.sequence, b.config.SegmentBytes)
	if err != nil {
		return nil, err
	}
	b.log, b.segments = found.Log, found.Segments

	description := found.Description
	if found.Epoch == 0 {
		description = m.checkpoint
	}
	if len(description) > 0 {
		if b.latest, err = format.ParseCheckpoint(description); err != nil {
			return nil, fmt.Errorf("%w: the description of the newest checkpoint does not decode", backend.ErrCorrupt)
		}
	}
	if epoch := max(b.witness.known.epoch, b.config.EpochMin); b.latest.Epoch < epoch {
		return nil, fmt.Errorf("%w: the newest epoch is %d, and epoch %d is known to have been committed",
			backend.ErrCorrupt, b.latest.Epoch, epoch)
	}
	return found, nil
}

// takeGeneration makes what has been read durable, and then writes: the generation, and what only helps.
func (b *Backend) takeGeneration(found *epochlog.Found) error {
	if err := b.fs.SyncDir(); err != nil { // The process that renamed the manifest may have died before it did.
		return fmt.Errorf("%w: %w", backend.ErrSync, err)
	}
	if err := found.Settle(); err != nil {
		return err
	}
	b.generation = max(b.manifest.generation, found.Generation) + 1
	r := epochlog.Record{Kind: epochlog.Generation, Generation: b.generation}
	if err := b.log.Append(r, nil, nil); err != nil {
		return err
	}
	b.publish(b.latest)
	if err := b.noteWitness(); err != nil {
		return err
	}
	return b.sweep()
}

// create makes a new store. It is there once its manifest is; what a crash leaves behind before that is made
// again, unless there is more than could have been left.
func (b *Backend) create(id format.StoreID) (*manifest, error) {
	if b.config.EpochMin > 0 {
		return nil, fmt.Errorf("%w: there is no store, and epoch %d is known to have been committed",
			backend.ErrCorrupt, b.config.EpochMin)
	}
	names, err := b.fs.List()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if err := b.unborn(name); err != nil {
			return nil, err
		}
	}
	s, err := epochlog.CreateSegment(b.fs, id, epochlog.Start.Segment)
	if err != nil {
		return nil, err
	}
	s.Release()
	if err := createWitness(b.fs, id); err != nil {
		return nil, err
	}
	m := &manifest{
		id: id, number: 1, application: b.opts.Application, keyGroups: b.opts.KeyGroups,
		from: epochlog.Start, nextTable: 1,
	}
	return m, m.write(b.fs)
}

// unborn fails for a file that a store has only when it has a manifest.
func (b *Backend) unborn(name string) error {
	most := int64(-1)
	if _, ok := epochlog.ParseSegmentName(name); ok {
		most = format.PageBytes
	} else if _, ok := parseTableName(name); ok {
		most = 0
	} else if name == witnessName {
		return b.unbornWitness()
	}
	if most < 0 {
		return nil
	}
	f, err := b.fs.Open(name)
	if err != nil {
		return err
	}
	size, err := f.Size()
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if size > most {
		return fmt.Errorf("%w, and there is %s", format.Corrupt(manifestName, 0, "missing"), name)
	}
	return nil
}

func (b *Backend) unbornWitness() error {
	f, err := b.fs.Open(witnessName)
	if err != nil {
		return err
	}
	defer f.Close()
	for slot := range int64(2) {
		head := make([]byte, slotBytes)
		n, err := f.ReadAt(head, slot*format.PageBytes)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		_, bad := format.ParseHeader(witnessName, head[:n], format.KindWitness)
		if bad == nil && !format.Zero(head[format.HeaderBytes:slotBytes-4]) {
			return fmt.Errorf("%w, and %s knows of a commit", format.Corrupt(manifestName, 0, "missing"), witnessName)
		}
	}
	return nil
}
