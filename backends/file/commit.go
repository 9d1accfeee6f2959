// SPDX-License-Identifier: Apache-2.0

package file

import (
	"context"
	"errors"
	"fmt"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"

	"github.com/millrace-io/millrace/backends/file/internal/epochlog"
	"github.com/millrace-io/millrace/backends/file/internal/format"
)

// Commit implements [backend.Backend]. It writes the parts as they are, and takes no copy of them.
//
// When the disk is full, nothing has happened. Commit waits while the log has reached [Config.LogBytesMax]; it
// fails, so that it is tried again, when the compaction fails meanwhile.
func (b *Backend) Commit(ctx context.Context, cp backend.Checkpoint, parts []backend.Part) error {
	b.committing.Lock()
	defer b.committing.Unlock()
	if err := b.admit(ctx, cp.Epoch, parts); err != nil {
		return fmt.Errorf("file: commit of epoch %d: %w", cp.Epoch, err)
	}
	if err := b.commit(cp, parts); err != nil {
		return fmt.Errorf("file: commit of epoch %d: %w", cp.Epoch, err)
	}
	if b.behind() >= b.config.CompactBytes {
		b.startCompaction()
	}
	return nil
}

// admit decides whether there may be a commit.
func (b *Backend) admit(ctx context.Context, epoch statefun.Epoch, parts []backend.Part) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := b.state(); err != nil {
		return err
	}
	if latest := b.latest.Epoch; epoch <= latest { // Only commits change it.
		return fmt.Errorf("%w: it is not behind %d", backend.ErrEpochOrder, latest)
	}
	for _, p := range parts {
		if err := b.validate(p); err != nil {
			return err
		}
	}
	return b.waitForCompaction(ctx)
}

// state returns why there can be no commit any more.
func (b *Backend) state() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return errClosed
	}
	return b.failed
}

func (b *Backend) validate(p backend.Part) error {
	for c, err := range p.All() {
		switch {
		case err != nil:
			return err
		case int(c.Group) >= b.opts.KeyGroups:
			return fmt.Errorf("%w: part of shard %d: key group %d of %d", backend.ErrCorrupt, p.Shard, c.Group, b.opts.KeyGroups)
		case len(c.Key) > format.FieldBytesMax || len(c.Value) > format.FieldBytesMax:
			return fmt.Errorf("part of shard %d: key of %d and value of %d bytes, at most %d each are possible",
				p.Shard, len(c.Key), len(c.Value), format.FieldBytesMax)
		}
	}
	return nil
}

func (b *Backend) commit(cp backend.Checkpoint, parts []backend.Part) error {
	if err := b.owned(); err != nil {
		return err
	}
	description := format.AppendCheckpoint(nil, cp)
	r := epochlog.Record{Kind: epochlog.Epoch, Generation: b.generation, Epoch: cp.Epoch}
	segment := b.log.Active().Number
	switch err := b.log.Append(r, description, parts); {
	case errors.Is(err, backend.ErrSync):
		return b.fail(err)
	case err != nil:
		return err
	}
	// Whoever has taken the store in the meantime may have read it before the record was there, and written
	// over it. So it counts only if the store is still ours now.
	if err := b.owned(); err != nil {
		return err
	}
	b.publish(cloneCheckpoint(cp))
	// The epoch is committed, whatever becomes of the witness. An older one still tells the truth.
	if err := b.noteWitness(); err == nil && b.log.Active().Number != segment {
		if err := b.witness.sync(); err != nil {
			_ = b.fail(err)
		}
	}
	return nil
}

// owned fails once the directory is not where it was, or the lock or the log in it are not ours: it has been
// removed or replaced, and somebody else may own what is there now.
func (b *Backend) owned() error {
	err := b.fs.Still(lockName, b.lock)
	if err == nil {
		active := b.log.Active()
		err = b.fs.Still(active.Name, active.File.File)
	}
	if err != nil {
		return b.fail(fmt.Errorf("%w: %w", backend.ErrFenced, err))
	}
	return nil
}

// publish shows readers the end of the log. The caller holds committing, or is Open.
func (b *Backend) publish(latest backend.Checkpoint) {
	active := b.log.Active()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.latest, b.end = latest, b.log.End()
	if last := b.segments[len(b.segments)-1]; last != active {
		active.Retain()
		b.segments = append(b.segments, active)
	}
}

func (b *Backend) noteWitness() error {
	return b.witness.note(known{sequence: b.end.Sequence, epoch: b.latest.Epoch})
}
