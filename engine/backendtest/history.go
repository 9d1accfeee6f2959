// SPDX-License-Identifier: Apache-2.0

package backendtest

import (
	"errors"
	"slices"

	"pgregory.net/rapid"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"
)

// history does one random history to a backend and to the Model and compares all that can be seen. rt
// draws the history, t is told of a difference; in Run they are the same.
func history(t tb, rt *rapid.T, f Factory, location string) {
	s := open(t, f, location, options)
	defer func() { s.close() }()
	m, err := NewModel(options)
	if err != nil {
		t.Fatalf("model: %v", err)
	}
	model := &store{tb: t, ctx: s.ctx, b: m}

	// Few keys and key groups, so that changes meet.
	group := rapid.SampledFrom([]statefun.KeyGroup{0, 1, 15})
	key := rapid.SampledFrom([]string{"", "a", "ab", "\x00", "\xff"})
	value := rapid.SliceOfN(rapid.Byte(), 0, 12)
	var newest statefun.Epoch

	commit := func(rt *rapid.T, epoch statefun.Epoch, parts []backend.Part) {
		oldest, _ := m.store.oldest(decoded(parts), epoch)
		s.since = rapid.SampledFrom([]statefun.Epoch{0, oldest - min(oldest, 1), oldest}).Draw(rt, "since")
		cp := s.checkpoint(epoch)
		cp.Generation = m.generation // A backend may number as it likes; the Model has its own numbers.
		want := m.Commit(s.ctx, cp, parts)
		if got := s.tryCommit(s.ctx, epoch, parts...); !sameFailure(got, want) {
			t.Fatalf("commit of epoch %d: %v; want %v", epoch, got, want)
		}
		if want == nil {
			newest = epoch
		}
	}
	drawParts := func(rt *rapid.T) (parts []backend.Part) {
		for range rapid.IntRange(0, 3).Draw(rt, "parts") {
			var changes []change
			for range rapid.IntRange(0, 5).Draw(rt, "changes") {
				if g, k := group.Draw(rt, "group"), key.Draw(rt, "key"); rapid.Bool().Draw(rt, "delete") {
					changes = append(changes, del(g, k))
				} else {
					changes = append(changes, put(g, k, string(value.Draw(rt, "value"))))
				}
			}
			parts = append(parts, part(changes...))
		}
		return parts
	}

	actions := map[string]func(*rapid.T){
		"commit": func(rt *rapid.T) {
			commit(rt, newest+statefun.Epoch(rapid.IntRange(1, 3).Draw(rt, "ahead")), drawParts(rt))
		},
		"commit everything again": func(rt *rapid.T) {
			commit(rt, newest+1, append(model.again(), drawParts(rt)...))
		},
		"commit a stale epoch": func(rt *rapid.T) {
			commit(rt, newest-min(newest, statefun.Epoch(rapid.IntRange(0, 2).Draw(rt, "behind"))), drawParts(rt))
		},
		"commit a damaged part": func(rt *rapid.T) {
			parts := append(drawParts(rt), part(damage["half a change"]))
			at := rapid.IntRange(0, len(parts)-1).Draw(rt, "at")
			parts[at], parts[len(parts)-1] = parts[len(parts)-1], parts[at]
			commit(rt, newest+1, parts)
		},
		"get": func(rt *rapid.T) {
			g, k := group.Draw(rt, "group"), key.Draw(rt, "key")
			got, gotOK := s.get(g, k)
			if want, ok := model.get(g, k); got != want || gotOK != ok {
				t.Fatalf("get of %d %q: %q, %v; want %q, %v", g, k, got, gotOK, want, ok)
			}
		},
		"scan": func(rt *rapid.T) {
			r := backend.KeyGroupRange{First: group.Draw(rt, "first"), End: group.Draw(rt, "end")}
			if got, want := s.scan(r), model.scan(r); !slices.Equal(got, want) {
				t.Fatalf("scan of %v yields %v; want %v", r, got, want)
			}
		},
		"": func(*rapid.T) {
			if got, want := s.scan(everything), model.scan(everything); !slices.Equal(got, want) {
				t.Fatalf("scan yields %v; want %v", got, want)
			}
			got, gotOK, gotErr := s.b.Latest(s.ctx)
			want, ok, err := m.Latest(s.ctx)
			got.Generation, want.Generation = 0, 0
			if !sameCheckpoint(got, want) || gotOK != ok || gotErr != nil || err != nil {
				t.Fatalf("latest is %+v, %v, %v; want %+v, %v, %v", got, gotOK, gotErr, want, ok, err)
			}
		},
	}
	if f.Durable {
		actions["open again"] = func(*rapid.T) {
			s.reopen()
			if m, err = m.Reopen(options); err != nil {
				t.Fatalf("model: %v", err)
			}
			model.b = m
		}
	}
	rt.Repeat(actions)
}

// again puts everything that the store holds.
func (s *store) again() []backend.Part {
	var changes []change
	for _, i := range s.scan(everything) {
		changes = append(changes, put(i.group, i.key, i.value))
	}
	return []backend.Part{part(changes...)}
}

// decoded returns the changes of parts, up to damage.
func decoded(parts []backend.Part) (changes []backend.Change) {
	for _, p := range parts {
		for c, err := range p.All() {
			if err == nil {
				changes = append(changes, c)
			}
		}
	}
	return changes
}

// sameFailure reports whether two results of Commit mean the same to the engine.
func sameFailure(a, b error) bool {
	for _, target := range []error{backend.ErrEpochOrder, backend.ErrCorrupt, backend.ErrFenced, backend.ErrSync} {
		if errors.Is(a, target) != errors.Is(b, target) {
			return false
		}
	}
	return (a == nil) == (b == nil)
}
