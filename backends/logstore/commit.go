// SPDX-License-Identifier: Apache-2.0

package logstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"

	"github.com/millrace-io/millrace/backends/logstore/format"
	"github.com/millrace-io/millrace/backends/logstore/internal/epochlog"
	"github.com/millrace-io/millrace/backends/logstore/internal/planted"
)

// Commit implements [backend.Backend]. It writes the parts as they are, and takes no copy of them.
//
// When the disk is full, nothing has happened. Commit waits while the log has reached [Config.Max]; it
// fails, so that it is tried again, when the fold fails meanwhile.
func (s *Store) Commit(ctx context.Context, cp backend.Checkpoint, parts []backend.Part) error {
	s.committing.Lock()
	defer s.committing.Unlock()
	if err := s.admit(ctx, cp.Epoch, parts); err != nil {
		return fmt.Errorf("%s: commit of epoch %d: %w", s.config.Name, cp.Epoch, err)
	}
	if err := s.commit(cp, parts); err != nil {
		return fmt.Errorf("%s: commit of epoch %d: %w", s.config.Name, cp.Epoch, err)
	}
	if s.behind().reaches(s.config.FoldAt) {
		s.startFold()
	}
	return nil
}

// admit decides whether there may be a commit.
func (s *Store) admit(ctx context.Context, epoch statefun.Epoch, parts []backend.Part) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.state(); err != nil {
		return err
	}
	if latest := s.latest.Epoch; epoch <= latest { // Only commits change it.
		return fmt.Errorf("%w: it is not behind %d", backend.ErrEpochOrder, latest)
	}
	for _, p := range parts {
		if err := s.validate(p); err != nil {
			return err
		}
	}
	return s.waitForFold(ctx)
}

// state returns why there can be no commit any more.
func (s *Store) state() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return s.errClosed()
	}
	s.untold = nil
	return s.failed
}

// validate reports what is wrong with a part. Nothing is, mostly: then it is read once, without an iterator, which would
// take a tenth of all that a commit takes.
func (s *Store) validate(p backend.Part) error {
	var c backend.Change
	for at := 0; ; {
		n, err := format.NextChange(p.Changes[at:], &c)
		if err != nil || n == 0 || int(c.Group) >= s.opts.KeyGroups {
			if at == len(p.Changes) {
				return nil
			}
			return s.explain(p)
		}
		at += n
	}
}

// explain says what is wrong with a part, and where.
func (s *Store) explain(p backend.Part) error {
	for c, err := range p.All() {
		switch {
		case err != nil:
			return err
		case int(c.Group) >= s.opts.KeyGroups:
			return fmt.Errorf("%w: part of shard %d: key group %d of %d", backend.ErrCorrupt, p.Shard, c.Group, s.opts.KeyGroups)
		case len(c.Key) > format.FieldBytesMax || len(c.Value) > format.FieldBytesMax:
			return fmt.Errorf("part of shard %d: key of %d and value of %d bytes, at most %d each are possible",
				p.Shard, len(c.Key), len(c.Value), format.FieldBytesMax)
		}
	}
	return nil
}

func (s *Store) commit(cp backend.Checkpoint, parts []backend.Part) error {
	if err := s.owned(); err != nil {
		return err
	}
	description := format.AppendCheckpoint(nil, cp)
	r := epochlog.Record{Kind: epochlog.Epoch, Generation: s.generation, Epoch: cp.Epoch}
	segment, begin := s.log.Active().Number, s.log.End()
	switch err := s.log.Append(r, description, parts); {
	case errors.Is(err, backend.ErrSync):
		return s.fail(err)
	case err != nil:
		return err
	}
	// Whoever has taken the store in the meantime may have read it before the record was there, and written
	// over it. So it counts only if the store is still ours now.
	if err := s.owned(); err != nil {
		return err
	}
	s.publish(cloneCheckpoint(cp))
	s.mark(cp, begin)
	// The epoch is committed, whatever becomes of the witness. An older one still tells the truth.
	if err := s.noteWitness(); err == nil && s.log.Active().Number != segment {
		if err := s.witness.sync(); err != nil {
			s.failBehind(err)
		}
	}
	return nil
}

// owned fails once the directory is not where it was, or the lock or the log in it are not ours: it has been
// removed or replaced, and somebody else may own what is there now.
func (s *Store) owned() error {
	if planted.NotLooked {
		return nil
	}
	err := s.ours()
	if err == nil {
		active := s.log.Active()
		err = fenced(s.fs.Still(active.Name, active.File))
	}
	if err != nil {
		return s.fail(err)
	}
	return nil
}

// ours fails once the lock is another's.
func (s *Store) ours() error { return fenced(s.fs.Still(lockName, s.lock)) }

func fenced(err error) error {
	if err != nil {
		return fmt.Errorf("%w: %w", backend.ErrFenced, err)
	}
	return nil
}

// publish shows readers the end of the log. The caller holds committing, or is Open.
func (s *Store) publish(latest backend.Checkpoint) {
	active := s.log.Active()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latest, s.end = latest, s.log.End()
	if last := s.segments[len(s.segments)-1]; last != active {
		active.Retain()
		s.segments = append(s.segments, active)
	}
}

func (s *Store) noteWitness() error {
	return s.witness.note(known{sequence: s.end.Sequence, epoch: s.latest.Epoch})
}
