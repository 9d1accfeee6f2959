// SPDX-License-Identifier: Apache-2.0

package logstore

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

	"github.com/millrace-io/millrace/backends/logstore/disk"
	"github.com/millrace-io/millrace/backends/logstore/format"
	"github.com/millrace-io/millrace/backends/logstore/internal/epochlog"
	"github.com/millrace-io/millrace/backends/logstore/internal/planted"
)

const lockName = "lock"

// Open opens the store of a directory, or makes one, and takes its next generation.
//
// First it takes the lock, which lasts as long as the process. Then it reads everything and changes nothing: a
// store of another application, of another format version, or damaged, is as it was before. Then it appends
// the generation to the log (P28). Nobody else can have written in between.
func Open(ctx context.Context, config Config, opts backend.Options) (*Store, error) {
	if config.FS == nil {
		var err error
		if config.FS, err = disk.Dir(config.Dir); err != nil {
			return nil, fmt.Errorf("%s: open: %w", config.Name, err)
		}
	}
	if config.NewID == nil {
		config.NewID = newStoreID
	}
	s := &Store{config: config, opts: opts, fs: config.FS, wake: make(chan struct{}, 1)}
	s.folds.done = make(chan struct{})
	s.stopped, s.stop = context.WithCancel(context.Background())
	if err := s.open(ctx); err != nil {
		s.stop()
		return nil, errors.Join(fmt.Errorf("%s: open %s: %w", config.Name, cmp.Or(config.Dir, "store"), err), s.release())
	}
	if !config.Inline {
		s.folder.Go(s.foldWhenWoken)
	}
	return s, nil
}

func newStoreID() (id format.StoreID) {
	rand.Read(id[:]) // It does not fail.
	return id
}

func (s *Store) open(ctx context.Context) (err error) {
	if err := s.takeLock(); err != nil {
		return err
	}
	if s.manifest, err = readManifest(s.fs); err != nil {
		return err
	}
	if s.manifest == nil {
		if s.manifest, err = s.create(s.config.NewID()); err != nil {
			return err
		}
	}
	m := s.manifest
	s.id, s.from = m.id, m.from
	switch {
	case m.application != s.opts.Application || m.keyGroups != s.opts.KeyGroups:
		return fmt.Errorf("%w: it is of %q with %d key groups, want %q with %d",
			backend.ErrMismatch, m.application, m.keyGroups, s.opts.Application, s.opts.KeyGroups)
	case m.kind != s.config.Kind.Name:
		return fmt.Errorf("%w: behind its log are %q, want %q: choose the backend that has made it",
			backend.ErrMismatch, m.kind, s.config.Kind.Name)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.lock.Truncate(0) == nil { // Only helps: whoever finds the lock taken can say by whom.
		_, _ = s.lock.WriteAt(strconv.AppendInt(nil, int64(os.Getpid()), 10), 0)
	}
	found, err := s.read()
	if err != nil {
		return err
	}
	return s.takeGeneration(found)
}

func (s *Store) env() Env {
	return Env{
		FS: s.fs, Store: s.id, KeyGroups: s.opts.KeyGroups, Inline: s.config.Inline,
		Fail: s.failBehind,
	}
}

func (s *Store) takeLock() (err error) {
	s.lock, err = s.fs.Lock(lockName)
	if !errors.Is(err, disk.ErrLocked) {
		return err
	}
	s.lock = nil
	holder := "another process"
	if f, open := s.fs.Open(lockName); open == nil {
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
func (s *Store) read() (found *epochlog.Found, err error) {
	m := s.manifest
	if s.witness, err = openWitness(s.fs, s.id); err != nil {
		return nil, err
	}
	base, view, err := s.config.Kind.Open(s.env(), m.section)
	if err != nil {
		return nil, err
	}
	s.base, s.view = base, hold(view)
	if planted.WitnessIgnored {
		s.witness.known = known{}
	}
	known := max(s.witness.known.sequence, base.Sequence())
	found, err = epochlog.Recover(s.fs, s.id, m.from, known, s.config.SegmentBytes)
	if err != nil {
		return nil, err
	}
	s.log, s.segments = found.Log, found.Segments

	description := found.Description
	if found.Epoch == 0 {
		description = m.checkpoint
	}
	if len(description) > 0 {
		if s.latest, err = format.ParseCheckpoint(description); err != nil {
			return nil, fmt.Errorf("%w: the description of the newest checkpoint does not decode", backend.ErrCorrupt)
		}
	}
	if epoch := max(s.witness.known.epoch, s.config.EpochMin); s.latest.Epoch < epoch {
		return nil, fmt.Errorf("%w: the newest epoch is %d, and epoch %d is known to have been committed",
			backend.ErrCorrupt, s.latest.Epoch, epoch)
	}
	return found, nil
}

// takeGeneration makes what has been read durable, and then writes: the generation, and what only helps.
func (s *Store) takeGeneration(found *epochlog.Found) error {
	if err := s.fs.SyncDir(); err != nil { // The process that renamed the manifest may have died before it did.
		return fmt.Errorf("%w: %w", backend.ErrSync, err)
	}
	if err := found.Settle(); err != nil {
		return err
	}
	s.generation = max(s.manifest.generation, found.Generation) + 1
	r := epochlog.Record{Kind: epochlog.Generation, Generation: s.generation}
	if planted.GenerationNotTaken {
		return s.sweep()
	}
	if err := s.log.Append(r, nil, nil); err != nil {
		return err
	}
	s.publish(s.latest)
	if err := s.noteWitness(); err != nil {
		return err
	}
	return s.sweep()
}

// create makes a new store. It is there once its manifest is; what a crash leaves behind before that is made
// again, unless there is more than could have been left.
func (s *Store) create(id format.StoreID) (*manifest, error) {
	if s.config.EpochMin > 0 {
		return nil, fmt.Errorf("%w: there is no store, and epoch %d is known to have been committed",
			backend.ErrCorrupt, s.config.EpochMin)
	}
	names, err := s.fs.List()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if err := s.unborn(name); err != nil {
			return nil, err
		}
	}
	segment, err := epochlog.CreateSegment(s.fs, id, epochlog.Start.Segment)
	if err != nil {
		return nil, err
	}
	segment.Release()
	if err := createWitness(s.fs, id); err != nil {
		return nil, err
	}
	s.id = id
	section, err := s.config.Kind.Create(s.env())
	if err != nil {
		return nil, err
	}
	m := &manifest{
		id: id, number: 1, application: s.opts.Application, keyGroups: s.opts.KeyGroups,
		from: epochlog.Start, kind: s.config.Kind.Name, section: section,
	}
	return m, m.write(s.fs)
}

// unborn fails for a file that a store has only when it has a manifest.
func (s *Store) unborn(name string) error {
	if name == witnessName {
		return s.unbornWitness()
	}
	most, ok := s.config.Kind.Unborn(name)
	if _, segment := epochlog.ParseSegmentName(name); segment {
		most, ok = format.PageBytes, true
	}
	if !ok {
		return nil
	}
	f, err := s.fs.Open(name)
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

func (s *Store) unbornWitness() error {
	f, err := s.fs.Open(witnessName)
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
