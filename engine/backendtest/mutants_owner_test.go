// SPDX-License-Identifier: Apache-2.0

package backendtest

import (
	"context"
	"errors"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"
)

// The faults of opening and closing.
var ownerMutants = []mutant{
	{"begins with generation 0", modelFactory(func(m *Model) backend.Backend { return renumbered{m, -1} }), []string{"a new store is empty"}},
	{"never opens a new generation", modelFactory(func(m *Model) backend.Backend {
		return renumbered{m, 1 - int(m.generation)}
	}), []string{"generations ascend"}},
	{"begins with an entry", modelFactory(func(m *Model) backend.Backend {
		m.store.entries[modelKey{0, "k"}] = modelEntry{value: "v"}
		return m
	}), []string{"a new store is empty", historyName}},
	{"takes any options", opening(func(old *Model, opts backend.Options) (*Model, error) {
		m, err := NewModel(opts)
		if err != nil {
			return NewModel(options)
		}
		return m, nil
	}), []string{"options are validated"}},
	{"forgets what it has when it is opened", opening(func(old *Model, opts backend.Options) (*Model, error) {
		m, err := reopenOrNew(old, opts)
		if old != nil && err == nil {
			clear(m.store.entries)
		}
		return m, err
	}), []string{"a store survives", historyName}},
	{"forgets the epoch when it is opened", opening(func(old *Model, opts backend.Options) (*Model, error) {
		m, err := reopenOrNew(old, opts)
		if err == nil {
			m.store.latest.Epoch = 0
		}
		return m, err
	}), []string{"a store survives", historyName}},
	{"opens the store of another application", opening(func(old *Model, opts backend.Options) (*Model, error) {
		if old != nil {
			opts = old.store.opts
		}
		return reopenOrNew(old, opts)
	}), []string{"another application is refused"}},
	{"destroys the store of another application", opening(func(old *Model, opts backend.Options) (*Model, error) {
		m, err := reopenOrNew(old, opts)
		if errors.Is(err, backend.ErrMismatch) {
			clear(old.store.entries)
		}
		return m, err
	}), []string{"another application is refused"}},
	{"has two owners", opening(func(old *Model, opts backend.Options) (*Model, error) {
		if old == nil || old.closed {
			return reopenOrNew(old, opts)
		}
		return &Model{store: old.store, generation: old.generation}, nil
	}), []string{"a store has one owner"}},
	{"works when it is closed", modelFactory(func(m *Model) backend.Backend { return immortal{m} }), []string{"a closed store is closed"}},
}

type renumbered struct {
	*Model
	add int
}

func (r renumbered) Generation() statefun.Generation {
	return statefun.Generation(int(r.generation) + r.add)
}

type immortal struct{ *Model }

func (immortal) Close() error { return nil }

// opening makes the factory of Models that are opened in a wrong way; old is nil the first time.
func opening(open func(old *Model, opts backend.Options) (*Model, error)) Factory {
	stores := map[string]*Model{}
	return Factory{Durable: true, Open: func(_ context.Context, location string, opts backend.Options) (backend.Backend, error) {
		m, err := open(stores[location], opts)
		if err != nil {
			return nil, err
		}
		stores[location] = m
		return m, nil
	}}
}

func reopenOrNew(old *Model, opts backend.Options) (*Model, error) {
	if old == nil {
		return NewModel(opts)
	}
	return old.Reopen(opts)
}
