// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/internal/checkpoint"
	"github.com/millrace-io/millrace/engine/statefun"
)

// What Engine.State can be refused with, besides ErrNoFunction and what the backend says.
var (
	// ErrVolatile is returned when the engine has no backend.
	ErrVolatile = errors.New("the engine has no backend: nothing is kept")
	// ErrNoCheckpoint is returned while no epoch has been committed.
	ErrNoCheckpoint = errors.New("no epoch has been committed yet")
)

// State is what an address has kept as of a committed epoch.
type State struct {
	Epoch  statefun.Epoch
	Values []StateValue // Those that are present, in the order in which the function became known to have them.
}

// StateValue is a state value of an address.
type StateValue struct {
	Name string
	TypedValue
	// ExpiresAt is when the value expires in engine time, unless it is written or used before; the zero time if
	// it does not.
	ExpiresAt time.Time
}

// State returns what an address has kept as of the last committed epoch. All values are of that one epoch. Those
// that have expired by now are left out. An address without state has no values, and that is no error.
func (e *Engine) State(ctx context.Context, a Address) (State, error) {
	s, err := e.state(ctx, a)
	if err != nil {
		return State{}, fmt.Errorf("engine: state of %s: %w", clip(a.String()), err)
	}
	return s, nil
}

func (w *wiring) state(ctx context.Context, a Address) (State, error) {
	if err := a.Validate(); err != nil {
		return State{}, err
	}
	number, known := w.directory.known(a.Type)
	switch {
	case !known && w.directory.namespaces[a.Type.Namespace] == nil, known && w.directory.at(number).external:
		return State{}, ErrNoFunction
	case w.config.Backend == nil:
		return State{}, ErrVolatile
	}
	group := statefun.KeyGroupOf(statefun.KeyHash(a.ID), w.config.KeyGroups)
	epoch, entry, err := w.entryOf(ctx, group, checkpoint.AppendStateKey(nil, number, []byte(a.ID)))
	if err != nil || !known { // Of a type that nobody has sent to yet there is nothing.
		return State{Epoch: epoch}, err
	}
	// Numbers stay what they are, so the names of now serve for every epoch.
	values, err := stateValues(w.directory.at(number).valueNames(), entry, w.clock.Now().Time())
	if err != nil {
		return State{}, fmt.Errorf("%w: epoch %d: %w", backend.ErrCorrupt, epoch, err)
	}
	return State{Epoch: epoch, Values: values}, nil
}

// entryOf reads an entry and the epoch that it is of. Those are two calls, and an epoch may be committed between
// them: then they are made again.
func (w *wiring) entryOf(ctx context.Context, group statefun.KeyGroup, key []byte) (epoch statefun.Epoch, entry []byte, err error) {
	before, ok, err := w.config.Backend.Latest(ctx)
	for err == nil {
		if !ok {
			return 0, nil, ErrNoCheckpoint
		}
		if entry, _, err = w.config.Backend.Get(ctx, group, key, entry[:0]); err != nil {
			break
		}
		after, _, again := w.config.Backend.Latest(ctx)
		if again == nil && after.Epoch == before.Epoch {
			return before.Epoch, entry, nil
		}
		before, err = after, cmp.Or(again, ctx.Err())
	}
	return 0, nil, err
}

// stateValues takes an entry apart.
func stateValues(names []checkpoint.ValueName, entry []byte, now time.Time) (values []StateValue, err error) {
	if err := checkpoint.Validate(entry); err != nil {
		return nil, err
	}
	for v := range checkpoint.Values(entry) {
		if v.Number >= len(names) {
			return nil, fmt.Errorf("state value %d, of which the names know nothing", v.Number)
		}
		name := names[v.Number]
		value := StateValue{Name: name.Name, TypedValue: TypedValue{Typename: name.Typename, Value: v.Bytes}}
		if v.Stamped && name.Expiry != 0 {
			value.ExpiresAt = expiresAt(v.Stamp, name.TTL)
			if !value.ExpiresAt.After(now) {
				continue
			}
		}
		values = append(values, value)
	}
	return values, nil
}

func expiresAt(stamp int64, ttl uint64) time.Time {
	at := stamp + int64(min(ttl, math.MaxInt64))
	if at < stamp {
		at = math.MaxInt64
	}
	return time.UnixMilli(at).UTC()
}
