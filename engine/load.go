// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/internal/checkpoint"
	"github.com/millrace-io/millrace/engine/internal/planted"
	"github.com/millrace-io/millrace/engine/internal/shard"
	"github.com/millrace-io/millrace/engine/statefun"
)

// loaded counts what recovery has found.
type loaded struct {
	mu      sync.Mutex
	kinds   [checkpoint.KindRecord + 1]int
	records []backend.Entry
}

// load fills the shards with the checkpoint, side by side, each with its own key groups: how many shards there
// were when it was made does not matter. Nothing runs yet.
func (w *wiring) load(ctx context.Context) error {
	stored, shards := w.recovered, w.loading
	w.recovered, w.loading = recovered{}, nil
	if !stored.ok {
		return nil
	}
	start := time.Now()
	found := &loaded{}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(cmp.Or(w.loaders, -1)) // A simulation has one at a time.
	for _, s := range shards {
		group.Go(func() error { return w.loadShard(ctx, s, found) })
	}
	err := group.Wait()
	if err == nil {
		err = w.restore(found.records)
	}
	if err != nil {
		return fmt.Errorf("engine: recover epoch %d: %w", stored.Epoch, err)
	}
	suspended := 0
	for i, s := range shards {
		for _, f := range s.Failures() {
			w.reports.restore(f, w.clock.Now().Time())
			suspended++
		}
		w.loops[i].Account() // Before anybody asks for credit.
		if s.Alien() {
			w.epochs.NoLaps()
		}
	}
	w.config.Logger.Info("recovered", "epoch", stored.Epoch, "generation", w.template().Generation,
		"instances", found.kinds[checkpoint.KindState], "messages", found.kinds[checkpoint.KindMessage],
		"timers", found.kinds[checkpoint.KindDelayed], "keys", found.kinds[checkpoint.KindKey],
		"records", found.kinds[checkpoint.KindRecord], "suspended", suspended, "took", time.Since(start))
	w.tellKept(stored.Sources)
	return nil
}

// restore hands the egress records to the outflow, in the order in which they would have left (P35).
func (w *wiring) restore(records []backend.Entry) error {
	if planted.RecordsOutOfOrder {
		slices.Reverse(records)
		return w.outflow.Restore(records)
	}
	slices.SortFunc(records, func(a, b backend.Entry) int { return bytes.Compare(a.Key, b.Key) })
	if err := w.outflow.Restore(records); err != nil {
		return fmt.Errorf("%w: %w", backend.ErrCorrupt, err)
	}
	return nil
}

// tellKept tells of what the store has and no module takes: it is carried from checkpoint to checkpoint (P38).
func (w *wiring) tellKept(positions []backend.SourcePosition) {
	var functions, sources []string
	for t := range w.directory.absent {
		functions = append(functions, t.String())
	}
	for _, p := range positions {
		if !slices.Contains(w.sources, p.Source) {
			sources = append(sources, p.Source)
		}
	}
	egresses := slices.Sorted(maps.Keys(w.outflow.Unbound()))
	if len(functions)+len(sources)+len(egresses) == 0 {
		return
	}
	slices.Sort(functions)
	list := func(names []string) string { return clip(strings.Join(names, " ")) }
	w.config.Logger.Warn("the store knows what no module brings any more: it is kept",
		"functions", list(functions), "sources", list(sources), "egresses", list(egresses))
}

// loadedEvery is how many entries are loaded before somebody looks whether it is still wanted.
const loadedEvery = 1024

func (w *wiring) loadShard(ctx context.Context, s *shard.Shard, found *loaded) error {
	var kinds [checkpoint.KindRecord + 1]int
	var records []backend.Entry
	r := w.keyGroups(s.ID())
	n := 0
	for e, err := range w.config.Backend.Scan(ctx, r) {
		if err != nil {
			return fmt.Errorf("scan key groups %d to %d: %w", r.First, r.End-1, err)
		}
		if n++; n%loadedEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if !r.Contains(e.Group) {
			return fmt.Errorf("%w: asked for key groups %d to %d, the store returns an entry of %d", backend.ErrCorrupt, r.First, r.End-1, e.Group)
		}
		switch kind := checkpoint.KindOf(e.Key); kind {
		case checkpoint.KindRecord:
			e.Key, e.Value = bytes.Clone(e.Key), bytes.Clone(e.Value)
			records = append(records, e)
			kinds[kind]++
		default:
			if err := s.Load(e); err != nil {
				return fmt.Errorf("%w: key group %d, key %s: %w", backend.ErrCorrupt, e.Group, hexOf(e.Key), err)
			}
			kinds[kind]++ // Load knows the kind.
		}
	}
	if err := ctx.Err(); err != nil {
		return err // What has been scanned may not be all.
	}
	s.Loaded()
	found.add(kinds, records)
	return nil
}

func (l *loaded) add(kinds [checkpoint.KindRecord + 1]int, records []backend.Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.records = append(l.records, records...)
	for kind, n := range kinds {
		l.kinds[kind] += n
	}
}

// keyGroups returns the key groups of a shard: they are one range.
func (w *wiring) keyGroups(id int) backend.KeyGroupRange {
	first, _ := slices.BinarySearch(w.route, uint16(id))
	end, _ := slices.BinarySearch(w.route, uint16(id)+1)
	return backend.KeyGroupRange{First: statefun.KeyGroup(first), End: statefun.KeyGroup(end)}
}

// hexOf shows a key of which nothing is known, or its beginning.
func hexOf(key []byte) string {
	const most = 48
	if len(key) > most {
		return fmt.Sprintf("%x…", key[:most])
	}
	return fmt.Sprintf("%x", key)
}
