// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"
)

// recorder stands between the engine and its store: it compares every commit with the model, and has the process
// die at moments at which that could hurt.
type recorder struct {
	backend.Backend
	run    *run
	tried  *cut // Handed to the store, which has not said that it is durable.
	faults int
}

// newest returns the newest epoch that is known to be committed.
func (r *run) newest() statefun.Epoch {
	if r.recorder != nil {
		return r.ledger.cp.Epoch
	}
	epochs, _ := r.app.Epochs.Committed()
	return r.first + statefun.Epoch(epochs) - 1
}

// Commit implements backend.Backend. Much happens while it is at it, but not to what it was given.
func (rec *recorder) Commit(ctx context.Context, cp backend.Checkpoint, parts []backend.Part) error {
	r := rec.run
	if r.dead {
		return errDead
	}
	c, err := readCut(cp, parts)
	if err != nil {
		return err
	}
	if rec.tried != nil && (rec.tried.cp.Epoch != cp.Epoch || rec.tried.sum != c.sum) {
		r.violate(fmt.Errorf("epoch %d is tried again with other bytes (P24)", cp.Epoch))
	}
	r.meanwhile(r.Case.Config.Faults.Slow)
	if sum(parts) != c.sum {
		r.violate(fmt.Errorf("cuts: what is committed of epoch %d changes meanwhile", cp.Epoch))
	}
	if r.struck(beforeCommit, "before a commit") {
		return errDead
	}
	rec.tried = c
	if rec.faults < r.Case.Config.Faults.Commits && one(r.schedule, 4) {
		rec.faults++
		r.disk.Trouble(Full, r.schedule.IntN(troubleMax))
	}
	r.logf("commit  epoch %d", cp.Epoch)
	err = rec.Backend.Commit(ctx, cp, parts)
	switch {
	case r.disk.Dead():
		r.crash("within a commit")
	case err != nil:
		r.stats.FailedCommits++
	}
	if err != nil || r.struck(afterCommit, "after a commit") {
		return err
	}
	rec.tried = nil
	r.stats.Epochs++
	r.trace.add(uint64(c.sum))
	if err := r.committed(c); err != nil {
		r.violate(fmt.Errorf("commit of epoch %d: %w", cp.Epoch, err))
	}
	r.tempt(c)
	return nil
}

// Scan implements backend.Backend. The process may die meanwhile, as often as it is to die while it recovers.
func (rec *recorder) Scan(ctx context.Context, groups backend.KeyGroupRange) iter.Seq2[backend.Entry, error] {
	r := rec.run
	return func(yield func(backend.Entry, error) bool) {
		for e, err := range rec.Backend.Scan(ctx, groups) {
			if r.starting && r.recoveries < r.Case.Config.Faults.Recoveries && one(r.schedule, 100) {
				r.recoveries++
				r.crash("while it recovers")
			}
			if r.dead {
				yield(backend.Entry{}, errDead)
				return
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// reopen takes over the store as the next process finds it: what was tried last is there, or is not, and
// everything that was committed before is.
func (rec *recorder) reopen(ctx context.Context, store backend.Backend) error {
	r := rec.run
	cp, ok, err := store.Latest(ctx)
	if err != nil {
		return err
	}
	if before := rec.Backend; before != nil { // One that is late, or does not know that it is dead (P26).
		late := backend.Checkpoint{Application: application, KeyGroups: r.Case.Config.KeyGroups, Generation: before.Generation(), Epoch: cp.Epoch + 1}
		if before.Commit(ctx, late, nil) == nil {
			return fmt.Errorf("recovery: generation %d commits epoch %d after generation %d has opened the store (P26)", late.Generation, late.Epoch, store.Generation())
		}
	}
	rec.Backend = store
	if tried := rec.tried; tried != nil && ok && cp.Epoch == tried.cp.Epoch {
		r.stats.Survivors++
		if err := r.committed(tried); err != nil {
			return fmt.Errorf("commit of epoch %d: %w", cp.Epoch, err)
		}
	}
	rec.tried = nil
	return rec.check(ctx)
}

// check compares what the store holds with all that has been committed.
func (rec *recorder) check(ctx context.Context) error {
	l := rec.run.ledger
	cp, ok, err := rec.Latest(ctx)
	if err != nil || cp.Epoch != l.cp.Epoch || ok != (l.cp.Epoch != 0) {
		return fmt.Errorf("backend: latest is epoch %d, %v, %v; committed was %d", cp.Epoch, ok, err, l.cp.Epoch)
	}
	n := 0
	for e, err := range rec.Backend.Scan(ctx, backend.KeyGroupRange{End: statefun.KeyGroup(rec.run.Case.Config.KeyGroups)}) {
		if err != nil {
			return err
		}
		value, ok := l.entries[string(e.Key)]
		if !ok || value != string(e.Value) {
			return fmt.Errorf("backend: the entry %x is not what was committed (present: %v)", e.Key, ok)
		}
		id, err := l.owner(string(e.Key), value)
		if err != nil || e.Group != groupOf(id, rec.run.Case.Config.KeyGroups) {
			return fmt.Errorf("backend: the entry %x of %q is in group %d: %w", e.Key, id, e.Group, err)
		}
		n++
	}
	if n != len(l.entries) {
		return fmt.Errorf("backend: %d entries of %d that were committed", n, len(l.entries))
	}
	return nil
}

// halts reports whether an error is one of those after which the engine stops, as it must (doubt halts).
func halts(err error) bool {
	return errors.Is(err, backend.ErrSync) || errors.Is(err, backend.ErrFenced)
}
