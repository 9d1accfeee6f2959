// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/internal/checkpoint"
	"github.com/millrace-io/millrace/engine/internal/clock"
	"github.com/millrace-io/millrace/engine/internal/planted"
	"github.com/millrace-io/millrace/engine/statefun"
)

// Recovery is load, re-enqueue, seek, go (I6), and writes nothing (P28). Its order is that of P29: the backend has
// taken its generation when it was opened (P26); then
//
//	latest ──► numbers, clock, epoch ──► sinks and invokers open ──► load all shards ──► loops ──► sources
//
// Until the loops run nothing has been done that a second attempt would not do again.

// recovered is what a store holds when an engine starts on it: the zero value if there is nothing.
type recovered struct {
	backend.Checkpoint
	ok        bool             // There is a checkpoint.
	functions []storedFunction // By number.
}

// startClock makes the engine's clock, which must not be before the end of the last run (P37).
type startClock func(notBefore clock.Instant) clock.Clock

func realClock(notBefore clock.Instant) clock.Clock { return clock.NewReal(notBefore) }

// latest reads what the store's newest checkpoint says of itself, and refuses one that is not for this
// application.
func latest(ctx context.Context, c Config) (r recovered, err error) {
	if c.Backend == nil {
		return recovered{}, nil
	}
	r.Checkpoint, r.ok, err = c.Backend.Latest(ctx)
	switch {
	case err != nil:
		return recovered{}, fmt.Errorf("engine: read the latest checkpoint: %w", err)
	case !r.ok:
		return recovered{}, nil
	case r.Application != c.Application:
		return recovered{}, fmt.Errorf("engine: the checkpoint of epoch %d is one of application %q, and Config.Application is %q: %w",
			r.Epoch, r.Application, c.Application, backend.ErrMismatch)
	case r.KeyGroups != c.KeyGroups:
		return recovered{}, fmt.Errorf("engine: the checkpoint of epoch %d has %d key groups, and Config.KeyGroups is %d: %w; their number is fixed for the life of a store",
			r.Epoch, r.KeyGroups, c.KeyGroups, backend.ErrMismatch)
	}
	if planted.NumbersRestart {
		r.Numbers = 0
	}
	if planted.TimeRestarts {
		r.CreatedAt = 0
	}
	if err := r.parseNames(); err != nil {
		return recovered{}, fmt.Errorf("engine: the checkpoint of epoch %d: %w: %w", r.Epoch, backend.ErrCorrupt, err)
	}
	return r, nil
}

func (r *recovered) parseNames() error {
	names, err := checkpoint.ParseNames(r.Names)
	if err != nil {
		return err
	}
	known := make(map[FunctionType]bool, len(names))
	for n, name := range names {
		t, err := statefun.ParseFunctionType(name.Function)
		switch {
		case err != nil:
			return fmt.Errorf("name of function type %d: %w", n, err)
		case known[t]:
			return fmt.Errorf("two function types are named %s", t)
		}
		known[t] = true
		r.functions = append(r.functions, storedFunction{t, name.Values})
		if err := validValues(name.Values); err != nil {
			return fmt.Errorf("%s: %w", t, err)
		}
	}
	return nil
}

func validValues(values []checkpoint.ValueName) error {
	known := make(map[string]bool, len(values))
	for _, v := range values {
		switch {
		case known[v.Name]:
			return fmt.Errorf("two state values are named %q", v.Name)
		case len(values) > checkpoint.NumbersMax:
			return fmt.Errorf("%d state values, and at most %d are possible", len(values), checkpoint.NumbersMax)
		}
		known[v.Name] = true
	}
	return nil
}

// position returns where a source stood; nil: it is new.
func (r *recovered) position(source string) []byte {
	for _, p := range r.Sources {
		if p.Source == source {
			return append([]byte{}, p.Position...) // Empty is a position too.
		}
	}
	return nil
}

// firstEpoch is the first of this run: no number is used again (P33). What nothing is stored of begins at the
// time of day, so that it is ahead of every earlier run, and idempotency keys stay keys. So do epochs that are
// never committed, whose records leave all the same.
func (w *wiring) firstEpoch() statefun.Epoch {
	now := statefun.Epoch(max(w.clock.Now(), 1))
	switch {
	case !w.recovered.ok:
		return now
	case w.config.EpochInterval == EpochsOff:
		return max(w.recovered.Epoch+1, now)
	case planted.EpochReused:
		return w.recovered.Epoch
	}
	return w.recovered.Epoch + 1
}

// sourceNames names the sources, in their order, as checkpoints know them. The number counts the sources of one
// ingress, so that those of others do not change it.
func (b *Binder) sourceNames() []string {
	counts := map[string]int{}
	names := make([]string, len(b.sources))
	for i, s := range b.sources {
		names[i] = fmt.Sprintf("%s#%d", s.ingress, counts[s.ingress])
		counts[s.ingress]++
	}
	return names
}

// unknownPositions returns where sources stood that no module connects: they are carried on (P38).
func (r *recovered) unknownPositions(sources []string) []backend.SourcePosition {
	var unknown []backend.SourcePosition
	for _, p := range r.Sources {
		if !slices.Contains(sources, p.Source) {
			unknown = append(unknown, backend.SourcePosition{Source: p.Source, Position: r.position(p.Source)})
		}
	}
	return unknown
}
