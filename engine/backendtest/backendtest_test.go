// SPDX-License-Identifier: Apache-2.0

package backendtest

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"
)

// modelFactory keeps Models by location, as a durable backend keeps files. wrap may break them.
func modelFactory(wrap func(m *Model) backend.Backend) Factory {
	stores := map[string]*Model{}
	return Factory{Durable: true, Open: func(_ context.Context, location string, opts backend.Options) (backend.Backend, error) {
		m, err := reopenOrNew(stores[location], opts)
		if err != nil {
			return nil, err
		}
		stores[location] = m
		return wrap(m), nil
	}}
}

func intact(m *Model) backend.Backend { return m }

// The Model is a Backend: it passes what it is the measure of.
func TestModel(t *testing.T) {
	t.Run("durable", func(t *testing.T) { Run(t, modelFactory(intact)) })
	t.Run("volatile", func(t *testing.T) {
		Run(t, Factory{Open: func(_ context.Context, _ string, opts backend.Options) (backend.Backend, error) {
			return NewModel(opts)
		}})
	})
}

// A commit that says more of those before than is true is refused, and changes nothing.
func TestModelRefusesFalseClaims(t *testing.T) {
	for _, tt := range []struct {
		name  string
		parts []backend.Part
		since statefun.Epoch
		ok    bool
	}{
		{"says nothing", nil, 0, true},
		{"since the oldest", nil, 2, true},
		{"since the next", nil, 3, false},
		{"the oldest is put again", []backend.Part{part(put(1, "two", "2"))}, 3, true},
		{"the oldest is deleted", []backend.Part{part(del(1, "two"))}, 3, true},
		{"another is put again", []backend.Part{part(put(1, "three", "3"), put(2, "two", "2"))}, 3, false},
		{"all is put again", []backend.Part{part(put(1, "two", "2")), part(put(1, "three", "3"))}, 5, true},
		{"since later", []backend.Part{part(put(1, "two", "2")), part(put(1, "three", "3"))}, 6, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, err := NewModel(options)
			if err != nil {
				t.Fatal(err)
			}
			s := &store{tb: t, ctx: t.Context(), b: m}
			s.commit(2, part(put(1, "two", "2")))
			s.commit(3, part(put(1, "three", "3")))
			s.since = tt.since
			switch err := s.tryCommit(s.ctx, 5, tt.parts...); {
			case tt.ok && err != nil:
				t.Error(err)
			case !tt.ok && !errors.Is(err, backend.ErrCorrupt):
				t.Errorf("error %v; want ErrCorrupt", err)
			case !tt.ok:
				s.want("after it was refused", item{1, "three", "3"}, item{1, "two", "2"})
				s.wantLatest("after it was refused", s.checkpoint(3))
			}
		})
	}
}

// recorder is a tb that notes the first failure and ends the check there, as *testing.T does.
type recorder struct{ failure string }

func (r *recorder) Helper() {}

func (r *recorder) Fatalf(format string, args ...any) {
	r.failure = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// failure runs one check of the suite and returns how it fails, "" when it does not.
func failure(f Factory, name, location string) string {
	r := &recorder{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if name == historyName {
			for seed := range 200 {
				rapid.Custom(func(rt *rapid.T) int {
					history(r, rt, f, filepath.Join(location, fmt.Sprint(seed)))
					return 0
				}).Example(seed)
			}
			return
		}
		for _, c := range checks {
			if c.name == name {
				c.on(r, f, location)
			}
		}
	}()
	<-done
	return r.failure
}

// Every mutant breaks one sentence of the contract, and the check of that sentence must say so.
func TestSuiteCatches(t *testing.T) {
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			for _, name := range m.caughtBy {
				got := failure(m.factory, name, filepath.Join(t.TempDir(), name))
				if got == "" {
					t.Errorf("check %q does not notice", name)
				}
				t.Logf("%s: %s", name, got)
			}
		})
	}
}

// A check that no mutant fails may check nothing, and one that the Model fails checks too much.
func TestEveryCheckCatches(t *testing.T) {
	var names, caught []string
	for _, c := range checks {
		names = append(names, c.name)
	}
	names = append(names, historyName)
	for _, m := range mutants {
		caught = append(caught, m.caughtBy...)
	}
	for _, name := range names {
		if !slices.Contains(caught, name) {
			t.Errorf("no mutant fails check %q", name)
		}
		if got := failure(modelFactory(intact), name, name); got != "" {
			t.Errorf("check %q fails for the Model: %s", name, got)
		}
	}
	for _, name := range caught {
		if !slices.Contains(names, name) {
			t.Errorf("there is no check %q", name)
		}
	}
}
