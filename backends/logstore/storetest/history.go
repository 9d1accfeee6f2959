// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"

	"github.com/millrace-io/millrace/backends/logstore"
)

// Options are those of the stores.
var Options = backend.Options{Application: "shop", KeyGroups: 8}

var everything = backend.KeyGroupRange{End: 8}

// Contents are the entries of a store, "group key" to value.
type Contents map[string]string

// A history is a fixed sequence of epochs, 1, 2, 3 and so on, and what a store holds after each.
type history struct {
	parts  [][]backend.Part
	states []Contents       // By epoch; empty at 0.
	since  []statefun.Epoch // By epoch: the one since which all that it holds has been put.
}

// newHistory makes epochs that put, overwrite and delete. Some have a value that is this long, and each fourth puts
// everything that there is once more, so that the log before it can be forgotten.
func newHistory(epochs, long int) *history {
	h := &history{states: []Contents{{}}, since: []statefun.Epoch{0}}
	put, entries := map[string]statefun.Epoch{}, map[string]backend.Entry{}
	for epoch := 1; epoch <= epochs; epoch++ {
		state := maps.Clone(h.states[epoch-1])
		parts := make([]backend.Part, 2)
		for i := range 6 {
			p := &parts[i%2]
			p.Shard = i % 2
			group, key := statefun.KeyGroup((i+epoch)%8), fmt.Sprintf("key-%d", (i*epoch)%5)
			name := fmt.Sprint(group, " ", key)
			entries[name] = backend.Entry{Group: group, Key: []byte(key)}
			if (i+epoch)%4 == 0 {
				p.Changes = backend.AppendDelete(p.Changes, group, []byte(key))
				delete(state, name)
				delete(put, name)
				continue
			}
			value := fmt.Sprintf("value of epoch %d", epoch)
			if epoch%5 == 3 && i == 0 {
				value += strings.Repeat("long ", long/5)
			}
			p.Changes = backend.AppendPut(p.Changes, group, []byte(key), []byte(value))
			state[name], put[name] = value, statefun.Epoch(epoch)
		}
		if epoch%4 == 0 {
			for _, name := range slices.Sorted(maps.Keys(state)) {
				e := entries[name]
				parts[1].Changes = backend.AppendPut(parts[1].Changes, e.Group, e.Key, []byte(state[name]))
				put[name] = statefun.Epoch(epoch)
			}
		}
		h.parts = append(h.parts, parts)
		h.states = append(h.states, state)
		h.since = append(h.since, slices.Min(slices.AppendSeq([]statefun.Epoch{statefun.Epoch(epoch)}, maps.Values(put))))
	}
	return h
}

func (h *history) last() statefun.Epoch { return statefun.Epoch(len(h.parts)) }

func (h *history) checkpoint(b *logstore.Store, epoch statefun.Epoch) backend.Checkpoint {
	return backend.Checkpoint{
		Application: Options.Application, Generation: b.Generation(), Epoch: epoch, KeyGroups: Options.KeyGroups,
		Since: h.since[epoch], CreatedAt: int64(epoch) * 1000, Numbers: uint64(epoch) * 7, Names: fmt.Appendf(nil, "names of %d", epoch),
		Sources: []backend.SourcePosition{{Source: "clicks", Position: fmt.Append(nil, epoch)}},
	}
}

func (h *history) commit(t *testing.T, b *logstore.Store, epoch statefun.Epoch) error {
	return b.Commit(t.Context(), h.checkpoint(b, epoch), h.parts[epoch-1])
}

// scan returns what a store holds.
func scan(t *testing.T, b *logstore.Store) (Contents, error) {
	t.Helper()
	state := Contents{}
	group := statefun.KeyGroup(0)
	for e, err := range b.Scan(t.Context(), everything) {
		if err != nil {
			return nil, err
		}
		name := fmt.Sprint(e.Group, " ", string(e.Key))
		if _, twice := state[name]; twice || e.Group < group {
			t.Errorf("scan yields %s twice or out of order", name)
		}
		group = e.Group
		state[name] = string(e.Value)
	}
	return state, nil
}

// Read returns what a store holds, by Scan, and compares Get with it.
func Read(t *testing.T, b *logstore.Store) (Contents, error) {
	t.Helper()
	state, err := scan(t, b)
	if err != nil {
		return nil, err
	}
	for group := range statefun.KeyGroup(8) {
		for k := range 5 {
			key := fmt.Sprintf("key-%d", k)
			value, ok, err := b.Get(t.Context(), group, []byte(key), nil)
			if err != nil {
				return nil, err
			}
			if want, there := state[fmt.Sprint(group, " ", key)]; string(value) != want || ok != there {
				t.Errorf("get of %d %s yields %.40q, %v; scan %.40q, %v", group, key, value, ok, want, there)
			}
		}
	}
	return state, nil
}

// check fails unless the store holds one committed epoch of the history, one of those allowed.
func (h *history) check(t *testing.T, b *logstore.Store, allowed ...statefun.Epoch) (epoch statefun.Epoch) {
	t.Helper()
	cp, ok, err := b.Latest(t.Context())
	if err != nil || ok != (cp.Epoch > 0) {
		t.Fatalf("latest: %+v, %v, %v", cp, ok, err)
	}
	found := false
	for _, e := range allowed {
		found = found || e == cp.Epoch
	}
	if !found {
		t.Fatalf("latest is epoch %d, want one of %d", cp.Epoch, allowed)
	}
	if want := h.checkpoint(b, cp.Epoch); ok && (cp.CreatedAt != want.CreatedAt || cp.Numbers != want.Numbers || string(cp.Names) != string(want.Names)) {
		t.Fatalf("latest is %+v, want %+v", cp, want)
	}
	state, err := Read(t, b)
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	if !maps.Equal(state, h.states[cp.Epoch]) {
		t.Fatalf("epoch %d holds %.200q, want %.200q", cp.Epoch, state, h.states[cp.Epoch])
	}
	return cp.Epoch
}

// halts reports whether an error stops the process.
func halts(err error) bool {
	return errors.Is(err, backend.ErrSync) || errors.Is(err, backend.ErrFenced) || errors.Is(err, backend.ErrCorrupt)
}
