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
	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/statefun"
)

// ErrNoCheckpoint is returned by Engine.State while no epoch has been committed.
var ErrNoCheckpoint = errors.New("no epoch has been committed yet")

// State is what an address has kept.
type State struct {
	Epoch  statefun.Epoch // The committed epoch that it is as of; 0, without a backend: it is as of now.
	Values []StateValue   // Those that are present, in the order in which the function became known to have them.
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
// that have expired by now are left out. An address without state has no values, and that is no error. An engine
// without a backend asks the shard, and returns what there is between two of its batches.
func (e *Engine) State(ctx context.Context, a Address) (State, error) {
	s, err := e.state(ctx, a)
	if err != nil {
		return State{}, fmt.Errorf("engine: state of %s: %w", clip(a.String()), err)
	}
	return s, nil
}

func (e *Engine) state(ctx context.Context, a Address) (State, error) {
	if err := a.Validate(); err != nil {
		return State{}, err
	}
	number, known := e.directory.known(a.Type)
	if !known && e.directory.namespaces[a.Type.Namespace] == nil || known && e.directory.at(number).external {
		return State{}, ErrNoFunction
	}
	var epoch statefun.Epoch
	var entry []byte
	var err error
	hash := statefun.KeyHash(a.ID)
	switch {
	case e.config.Backend != nil:
		group := statefun.KeyGroupOf(hash, e.config.KeyGroups)
		epoch, entry, err = e.entryOf(ctx, group, checkpoint.AppendStateKey(nil, number, []byte(a.ID)))
	case known:
		entry, err = e.kept(ctx, number, hash, []byte(a.ID))
	}
	if err != nil || !known { // Of a type that nobody has sent to yet there is nothing.
		return State{Epoch: epoch}, err
	}
	// Numbers stay what they are, so the names of now serve for every epoch.
	values, err := stateValues(e.directory.at(number).valueNames(), entry, e.clock.Now().Time())
	if err != nil {
		return State{}, fmt.Errorf("%w: epoch %d: %w", backend.ErrCorrupt, epoch, err)
	}
	return State{Epoch: epoch, Values: values}, nil
}

// kept asks the shard that has an address.
func (e *Engine) kept(ctx context.Context, number envelope.Function, hash uint64, id []byte) ([]byte, error) {
	until, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(e.ctx, cancel)()
	entry, err := e.shardOf(hash).Kept(until, number, hash, id)
	if err != nil {
		return nil, cmp.Or(ctx.Err(), ErrClosing)
	}
	return entry, nil
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
