// SPDX-License-Identifier: Apache-2.0

package backendtest

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"maps"
	"runtime"
	"slices"
	"sync/atomic"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"
)

// mutant is a store with one fault, and the checks that must notice it.
type mutant struct {
	name     string
	factory  Factory
	caughtBy []string
}

var mutants = slices.Concat(commitMutants, readMutants, ownerMutants)

// broken is a Model of which some methods do something else.
type broken struct {
	*Model
	commit func(ctx context.Context, cp backend.Checkpoint, parts []backend.Part) error
	latest func(cp backend.Checkpoint) backend.Checkpoint
	get    func(group statefun.KeyGroup, key, dst []byte) (value []byte, ok bool, err error)
	scan   func(r backend.KeyGroupRange) iter.Seq2[backend.Entry, error]
}

func (b *broken) Commit(ctx context.Context, cp backend.Checkpoint, parts []backend.Part) error {
	if b.commit == nil {
		return b.Model.Commit(ctx, cp, parts)
	}
	return b.commit(ctx, cp, parts)
}

func (b *broken) Latest(ctx context.Context) (backend.Checkpoint, bool, error) {
	cp, ok, err := b.Model.Latest(ctx)
	if b.latest != nil {
		cp = b.latest(cp)
	}
	return cp, ok, err
}

func (b *broken) Get(ctx context.Context, group statefun.KeyGroup, key, dst []byte) ([]byte, bool, error) {
	if b.get == nil {
		return b.Model.Get(ctx, group, key, dst)
	}
	return b.get(group, key, dst)
}

func (b *broken) Scan(ctx context.Context, r backend.KeyGroupRange) iter.Seq2[backend.Entry, error] {
	if b.scan == nil {
		return b.Model.Scan(ctx, r)
	}
	return b.scan(r)
}

// breaking makes the factory of Models that fault has been applied to.
func breaking(fault func(b *broken)) Factory {
	return modelFactory(func(m *Model) backend.Backend {
		b := &broken{Model: m}
		fault(b)
		return b
	})
}

// rewriting makes the factory of Models that commit something else than they were given.
func rewriting(rewrite func(m *Model, changes []backend.Change) []backend.Change) Factory {
	return breaking(func(b *broken) {
		b.commit = func(ctx context.Context, cp backend.Checkpoint, parts []backend.Part) error {
			var changes []backend.Change
			for _, p := range parts {
				for c, err := range p.All() {
					if err != nil {
						return b.Model.Commit(ctx, cp, parts)
					}
					changes = append(changes, c)
				}
			}
			return b.Model.Commit(ctx, cp, []backend.Part{encode(rewrite(b.Model, changes))})
		}
	})
}

// forgetting makes the factory of Models that forget what was put before some epoch.
func forgetting(before func(cp backend.Checkpoint) statefun.Epoch) Factory {
	return breaking(func(b *broken) {
		b.commit = func(ctx context.Context, cp backend.Checkpoint, parts []backend.Part) error {
			err := b.Model.Commit(ctx, cp, parts)
			if err == nil {
				b.store.mu.Lock()
				defer b.store.mu.Unlock()
				maps.DeleteFunc(b.store.entries, func(_ modelKey, e modelEntry) bool { return e.put < before(cp) })
			}
			return err
		}
	})
}

func encode(changes []backend.Change) (p backend.Part) {
	for _, c := range changes {
		if c.Delete {
			p.Changes = backend.AppendDelete(p.Changes, c.Group, c.Key)
		} else {
			p.Changes = backend.AppendPut(p.Changes, c.Group, c.Key, c.Value)
		}
	}
	return p
}

// each makes a rewrite of one change at a time.
func each(f func(m *Model, c *backend.Change)) func(*Model, []backend.Change) []backend.Change {
	return func(m *Model, changes []backend.Change) []backend.Change {
		for i := range changes {
			f(m, &changes[i])
		}
		return changes
	}
}

// The faults of Commit.
var commitMutants = []mutant{
	{"drops deletes", rewriting(func(_ *Model, changes []backend.Change) []backend.Change {
		return slices.DeleteFunc(changes, func(c backend.Change) bool { return c.Delete })
	}), []string{"commit puts and deletes", "later changes win", historyName}},
	{"the first change wins", rewriting(func(_ *Model, changes []backend.Change) []backend.Change {
		slices.Reverse(changes)
		return changes
	}), []string{"later changes win", historyName}},
	{"applies the last part first", breaking(func(b *broken) {
		b.commit = func(ctx context.Context, cp backend.Checkpoint, parts []backend.Part) error {
			parts = slices.Clone(parts)
			slices.Reverse(parts)
			return b.Model.Commit(ctx, cp, parts)
		}
	}), []string{"later changes win", historyName}},
	{"takes an empty value for none", rewriting(each(func(_ *Model, c *backend.Change) {
		c.Delete = c.Delete || len(c.Value) == 0
	})), []string{"any bytes are a key and a value", historyName}},
	{"cuts values at 64 KiB", rewriting(each(func(_ *Model, c *backend.Change) {
		c.Value = c.Value[:min(len(c.Value), 1<<16)]
	})), []string{"any bytes are a key and a value"}},
	{"ends keys at a zero byte", rewriting(each(func(_ *Model, c *backend.Change) {
		c.Key, _, _ = bytes.Cut(c.Key, []byte{0})
	})), []string{"any bytes are a key and a value", historyName}},
	{"keeps the tail of a longer value", rewriting(each(func(m *Model, c *backend.Change) {
		if old := m.store.entries[modelKey{c.Group, string(c.Key)}]; len(old.value) > len(c.Value) {
			c.Value = append(slices.Clone(c.Value), old.value[len(c.Value):]...)
		}
	})), []string{"any bytes are a key and a value", historyName}},
	{"accepts stale epochs", breaking(func(b *broken) {
		b.commit = func(ctx context.Context, cp backend.Checkpoint, parts []backend.Part) error {
			b.store.latest.Epoch = min(b.store.latest.Epoch, max(cp.Epoch, 1)-1)
			return b.Model.Commit(ctx, cp, parts)
		}
	}), []string{"epochs ascend", historyName}},
	{"accepts epoch 0", breaking(func(b *broken) {
		b.commit = func(ctx context.Context, cp backend.Checkpoint, parts []backend.Part) error {
			if cp.Epoch == 0 {
				return nil
			}
			return b.Model.Commit(ctx, cp, parts)
		}
	}), []string{"epochs ascend"}},
	{"wants consecutive epochs", breaking(func(b *broken) {
		b.commit = func(ctx context.Context, cp backend.Checkpoint, parts []backend.Part) error {
			if cp.Epoch > b.store.latest.Epoch+1 {
				return backend.ErrEpochOrder
			}
			return b.Model.Commit(ctx, cp, parts)
		}
	}), []string{"epochs ascend", historyName}},
	{"applies what stands before damage", breaking(func(b *broken) {
		b.commit = func(ctx context.Context, cp backend.Checkpoint, parts []backend.Part) error {
			err := b.Model.Commit(ctx, cp, parts)
			for _, p := range parts {
				for c, e := range p.All() {
					if e == nil && int(c.Group) < b.store.opts.KeyGroups && errors.Is(err, backend.ErrCorrupt) {
						b.store.entries[modelKey{c.Group, string(c.Key)}] = modelEntry{value: string(c.Value)}
					}
				}
			}
			return err
		}
	}), []string{"a damaged part changes nothing", historyName}},
	{"uses up the epoch of a damaged part", breaking(func(b *broken) {
		b.commit = func(ctx context.Context, cp backend.Checkpoint, parts []backend.Part) error {
			err := b.Model.Commit(ctx, cp, parts)
			if errors.Is(err, backend.ErrCorrupt) {
				b.store.latest.Epoch = cp.Epoch
			}
			return err
		}
	}), []string{"a damaged part changes nothing", historyName}},
	{"drops unknown key groups", rewriting(func(m *Model, changes []backend.Change) []backend.Change {
		return slices.DeleteFunc(changes, func(c backend.Change) bool { return int(c.Group) >= m.store.opts.KeyGroups })
	}), []string{"a damaged part changes nothing"}},
	{"applies half of a commit that fails", breaking(func(b *broken) {
		b.commit = func(ctx context.Context, cp backend.Checkpoint, parts []backend.Part) error {
			if ctx.Err() != nil {
				parts = parts[:1]
			}
			return errors.Join(b.Model.Commit(ctx, cp, parts), ctx.Err())
		}
	}), []string{"a failed commit can be repeated"}},
	{"borrows values for longer", breaking(func(b *broken) {
		lent := map[string][]byte{}
		b.commit = func(ctx context.Context, cp backend.Checkpoint, parts []backend.Part) error {
			for _, p := range parts {
				for c, err := range p.All() {
					if err == nil {
						lent[string(c.Key)] = c.Value
					}
				}
			}
			return b.Model.Commit(ctx, cp, parts)
		}
		b.get = func(group statefun.KeyGroup, key, dst []byte) ([]byte, bool, error) {
			_, ok, err := b.Model.Get(context.Background(), group, key, dst)
			if !ok {
				return dst, ok, err
			}
			return append(dst, lent[string(key)]...), true, err
		}
	}), []string{"byte slices are borrowed", historyName}},
	{"borrows the checkpoint for longer", breaking(func(b *broken) {
		var lent backend.Checkpoint
		b.commit = func(ctx context.Context, cp backend.Checkpoint, parts []backend.Part) error {
			lent = cp
			return b.Model.Commit(ctx, cp, parts)
		}
		b.latest = func(backend.Checkpoint) backend.Checkpoint { return lent }
	}), []string{"byte slices are borrowed", "latest describes the newest commit", historyName}},
	{"forgets the epoch since which everything has been put, too", forgetting(func(cp backend.Checkpoint) statefun.Epoch {
		return min(cp.Since, 1) * (cp.Since + 1)
	}), []string{"what has been put again is kept", historyName}},
	{"forgets all that is older, once everything has been put again", forgetting(func(cp backend.Checkpoint) statefun.Epoch {
		return min(cp.Since, 1) * cp.Epoch
	}), []string{"what has been put again is kept", historyName}},
	{"shows its parts one by one", breaking(func(b *broken) {
		var scans atomic.Int64
		b.commit = func(ctx context.Context, cp backend.Checkpoint, parts []backend.Part) error {
			if len(parts) < 2 {
				return b.Model.Commit(ctx, cp, parts)
			}
			if err := b.Model.Commit(ctx, cp, parts[:1]); err != nil {
				return err
			}
			b.store.mu.Lock()
			b.store.latest.Epoch--
			b.store.mu.Unlock()
			for seen, i := scans.Load(), 0; scans.Load() == seen && i < 1e5; i++ {
				runtime.Gosched() // Until somebody has looked, or nobody does.
			}
			return b.Model.Commit(ctx, cp, parts)
		}
		b.scan = func(r backend.KeyGroupRange) iter.Seq2[backend.Entry, error] {
			return func(yield func(backend.Entry, error) bool) {
				defer scans.Add(1)
				b.Model.Scan(context.Background(), r)(yield)
			}
		}
	}), []string{"get and scan run during commit"}},
}
