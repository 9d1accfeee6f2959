// SPDX-License-Identifier: Apache-2.0

package backendtest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"slices"
	"sync"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"
)

// Model is the obvious Backend: one map behind one lock, and a copy of everything that goes in or out.
// It is what other backends are compared with, and a Backend for tests of what stands above the port.
//
// What it holds survives in memory: [Model.Reopen] opens the same store again, as the next process
// would after a crash. The older Model is fenced by that.
type Model struct {
	store      *modelStore
	generation statefun.Generation
	closed     bool // Guarded by store.mu.
}

var _ backend.Backend = (*Model)(nil)

type modelStore struct {
	opts backend.Options // Written once in NewModel.

	mu         sync.Mutex
	generation statefun.Generation // The newest that was handed out.
	committed  bool
	latest     backend.Checkpoint
	entries    map[modelKey]modelEntry
}

type modelEntry struct {
	value string
	put   statefun.Epoch // The last time.
}

type modelKey struct {
	group statefun.KeyGroup
	key   string
}

// NewModel opens a new and empty store.
func NewModel(opts backend.Options) (*Model, error) {
	if opts.Application == "" {
		return nil, errors.New("backendtest: application is empty")
	}
	if opts.KeyGroups < 1 || opts.KeyGroups > statefun.KeyGroupsMax {
		return nil, fmt.Errorf("backendtest: %d key groups, want 1 to %d", opts.KeyGroups, statefun.KeyGroupsMax)
	}
	store := &modelStore{opts: opts, generation: 1, entries: map[modelKey]modelEntry{}}
	return &Model{store: store, generation: 1}, nil
}

// Reopen opens the store of m under the next generation, whether m was closed or not.
func (m *Model) Reopen(opts backend.Options) (*Model, error) {
	if opts != m.store.opts {
		return nil, fmt.Errorf("backendtest: store of %+v opened with %+v: %w", m.store.opts, opts, backend.ErrMismatch)
	}
	m.store.mu.Lock()
	defer m.store.mu.Unlock()
	m.store.generation++
	return &Model{store: m.store, generation: m.store.generation}, nil
}

// Generation implements [backend.Backend].
func (m *Model) Generation() statefun.Generation { return m.generation }

// Durable implements [backend.Backend]: what is committed survives in memory, for [Model.Reopen].
func (m *Model) Durable() bool { return true }

// LapBytes implements [backend.Backend]. The model keeps no log; it checks what is claimed about one that has some
// pages.
func (m *Model) LapBytes() int64 { return 32 << 10 }

// Latest implements [backend.Backend].
func (m *Model) Latest(context.Context) (cp backend.Checkpoint, ok bool, err error) {
	m.store.mu.Lock()
	defer m.store.mu.Unlock()
	if m.closed {
		return backend.Checkpoint{}, false, errClosed
	}
	return cloneCheckpoint(m.store.latest), m.store.committed, nil
}

// Scan implements [backend.Backend]. Within a key group it goes by key, so that tests are repeatable.
func (m *Model) Scan(_ context.Context, r backend.KeyGroupRange) iter.Seq2[backend.Entry, error] {
	return func(yield func(backend.Entry, error) bool) {
		entries, err := m.sorted(r)
		if err != nil {
			yield(backend.Entry{}, err)
			return
		}
		for _, e := range entries {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func (m *Model) sorted(r backend.KeyGroupRange) (entries []backend.Entry, err error) {
	m.store.mu.Lock()
	defer m.store.mu.Unlock()
	if m.closed {
		return nil, errClosed
	}
	for k, v := range m.store.entries {
		if r.Contains(k.group) {
			entries = append(entries, backend.Entry{Group: k.group, Key: []byte(k.key), Value: []byte(v.value)})
		}
	}
	slices.SortFunc(entries, func(a, b backend.Entry) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), bytes.Compare(a.Key, b.Key))
	})
	return entries, nil
}

// Get implements [backend.Backend].
func (m *Model) Get(_ context.Context, group statefun.KeyGroup, key, dst []byte) (value []byte, ok bool, err error) {
	m.store.mu.Lock()
	defer m.store.mu.Unlock()
	if m.closed {
		return dst, false, errClosed
	}
	v, ok := m.store.entries[modelKey{group, string(key)}]
	return append(dst, v.value...), ok, nil
}

// Commit implements [backend.Backend].
func (m *Model) Commit(_ context.Context, cp backend.Checkpoint, parts []backend.Part) error {
	s := m.store
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case m.closed:
		return errClosed
	case m.generation != s.generation:
		return fmt.Errorf("backendtest: commit by generation %d of %d: %w", m.generation, s.generation, backend.ErrFenced)
	case cp.Epoch <= s.latest.Epoch:
		return fmt.Errorf("backendtest: commit of epoch %d behind %d: %w", cp.Epoch, s.latest.Epoch, backend.ErrEpochOrder)
	}
	var changes []backend.Change
	for _, p := range parts {
		for c, err := range p.All() {
			if err != nil {
				return err
			}
			if int(c.Group) >= s.opts.KeyGroups {
				return fmt.Errorf("%w: part of shard %d: key group %d of %d", backend.ErrCorrupt, p.Shard, c.Group, s.opts.KeyGroups)
			}
			changes = append(changes, c)
		}
	}
	if oldest, k := s.oldest(changes, cp.Epoch); cp.Since > oldest { // A store that forgets what is older would lose it.
		return fmt.Errorf("%w: epoch %d says that everything was put since epoch %d; key %q of key group %d was in %d",
			backend.ErrCorrupt, cp.Epoch, cp.Since, k.key, k.group, oldest)
	}
	for _, c := range changes {
		if k := (modelKey{c.Group, string(c.Key)}); c.Delete {
			delete(s.entries, k)
		} else {
			s.entries[k] = modelEntry{string(c.Value), cp.Epoch}
		}
	}
	s.latest, s.committed = cloneCheckpoint(cp), true
	return nil
}

// oldest returns what changes of an epoch leave as the longest ago that anything was put, and what.
func (s *modelStore) oldest(changes []backend.Change, epoch statefun.Epoch) (oldest statefun.Epoch, key modelKey) {
	changed := map[modelKey]bool{}
	for _, c := range changes {
		changed[modelKey{c.Group, string(c.Key)}] = true
	}
	oldest = epoch
	for k, e := range s.entries {
		if e.put < oldest && !changed[k] {
			oldest, key = e.put, k
		}
	}
	return oldest, key
}

// Close implements [backend.Backend].
func (m *Model) Close() error {
	m.store.mu.Lock()
	defer m.store.mu.Unlock()
	m.closed = true
	return nil
}

var errClosed = fmt.Errorf("backendtest: %w", os.ErrClosed)

func cloneCheckpoint(cp backend.Checkpoint) backend.Checkpoint {
	cp.Names = slices.Clone(cp.Names)
	cp.Sources = slices.Clone(cp.Sources)
	for i := range cp.Sources {
		cp.Sources[i].Position = slices.Clone(cp.Sources[i].Position)
	}
	return cp
}
