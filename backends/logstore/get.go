// SPDX-License-Identifier: Apache-2.0

package logstore

import (
	"context"
	"slices"
	"sync"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"

	"github.com/millrace-io/millrace/backends/logstore/internal/epochlog"
	"github.com/millrace-io/millrace/backends/logstore/sorted"
)

// recent is what the log says that is not in the base, for Get. It is made when Get is first called, and carried
// on by later calls: commits do not pay for it.
type recent struct {
	mu      sync.Mutex
	from    epochlog.Position // Where it begins.
	end     epochlog.Position // How far it goes.
	changes *sorted.Memtable  // Nil until it is made.
}

// Get implements [backend.Backend]. The first call after a start or a fold reads the log; a call after a commit
// reads that commit. What is in memory then is the price of all others: a look into it, and one into the base.
func (s *Store) Get(ctx context.Context, group statefun.KeyGroup, key, dst []byte) (value []byte, ok bool, err error) {
	now, err := s.snapshot()
	if err != nil {
		return dst, false, err
	}
	defer now.release()
	c, found, err := s.recent.get(ctx, s, now, backend.Entry{Group: group, Key: key})
	if err == nil && !found {
		c, found, err = now.view.Get(group, key)
	}
	if err != nil {
		return dst, false, err
	}
	return append(dst, c.Value...), found && !c.Delete, nil
}

// get returns what the log says of a key, if anything. It owns its bytes.
func (r *recent) get(ctx context.Context, s *Store, now *snapshot, key backend.Entry) (c backend.Change, ok bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.carryOn(ctx, s, now); err != nil {
		return backend.Change{}, false, err
	}
	c, ok = r.changes.Get(key)
	c.Value = slices.Clone(c.Value)
	return c, ok, nil
}

func (r *recent) carryOn(ctx context.Context, s *Store, now *snapshot) error {
	if r.changes == nil || r.from.Sequence != now.from.Sequence {
		r.changes, r.from, r.end = sorted.NewMemtable(s.everything()), now.from, now.from
	}
	if r.end.Sequence >= now.end.Sequence {
		return nil
	}
	from := r.end
	changes := r.changes
	r.changes = nil // Half a commit is not kept.
	err := epochlog.Replay(now.segments, s.id, from, now.end, epochlog.Visitor{
		Changes: func(some []backend.Change) error {
			changes.PutAll(some)
			return ctx.Err()
		},
	})
	if err != nil {
		return err
	}
	r.changes, r.end = changes, now.end
	return nil
}

// drop gives the memory back after a fold: who calls Get again has it made again. A Get that is under way keeps
// it.
func (r *recent) drop() {
	if r.mu.TryLock() {
		r.changes = nil
		r.mu.Unlock()
	}
}
