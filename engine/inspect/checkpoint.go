// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"time"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/internal/checkpoint"
	"github.com/millrace-io/millrace/engine/statefun"
)

var (
	// ErrNone is returned for a store that never had a checkpoint.
	ErrNone = errors.New("inspect: the store holds no checkpoint")
	// ErrChanged is returned when a later epoch has been committed than the one that was asked for. Read again.
	ErrChanged = errors.New("inspect: another epoch has been committed meanwhile")
)

// Checkpoint is the newest committed checkpoint of a store, as it was when [Read] was called. Its methods are
// of that epoch, or fail with [ErrChanged]: an engine may be running.
type Checkpoint struct {
	backend.Checkpoint
	// Functions are the function types that the store knows, by number.
	Functions []Function

	store backend.Backend
}

// Function is a function type with the state values that are known of it, by number.
type Function struct {
	Type   statefun.FunctionType
	States []State
}

// State is a state value that a function type has.
type State struct {
	Name, Typename string
	TTL            time.Duration // How long it lives from its stamp on; 0: it does not expire.
}

// Read describes the newest checkpoint of a store.
func Read(ctx context.Context, store backend.Backend) (*Checkpoint, error) {
	cp, ok, err := store.Latest(ctx)
	if err != nil {
		return nil, fmt.Errorf("inspect: %w", err)
	}
	if !ok {
		return nil, ErrNone
	}
	names, err := checkpoint.ParseNames(cp.Names)
	if err != nil {
		return nil, fmt.Errorf("inspect: %w: names of epoch %d: %w", backend.ErrCorrupt, cp.Epoch, err)
	}
	c := &Checkpoint{Checkpoint: cp, Functions: make([]Function, len(names)), store: store}
	for i, n := range names {
		f := &c.Functions[i]
		if f.Type, err = statefun.ParseFunctionType(n.Function); err != nil {
			return nil, fmt.Errorf("inspect: %w: names of epoch %d: %w", backend.ErrCorrupt, cp.Epoch, err)
		}
		for _, v := range n.Values {
			s := State{Name: v.Name, Typename: v.Typename}
			if v.Expiry != 0 {
				s.TTL = time.Duration(min(v.TTL, uint64(math.MaxInt64/time.Millisecond))) * time.Millisecond
			}
			f.States = append(f.States, s)
		}
	}
	return c, nil
}

// All yields all entries, grouped by key group in ascending order, in no other order. The bytes of an entry and
// its Values are valid until the next one is yielded.
func (c *Checkpoint) All(ctx context.Context) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		if err := c.current(ctx); err != nil {
			yield(nil, err)
			return
		}
		checked := false
		d := decoder{functions: c.Functions}
		for raw, err := range c.store.Scan(ctx, backend.KeyGroupRange{End: statefun.KeyGroup(c.KeyGroups)}) {
			if err == nil && !checked {
				// What is scanned was fixed between the first look and this one.
				checked, err = true, c.current(ctx)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			e, err := d.entry(raw)
			if err != nil {
				yield(nil, fmt.Errorf("inspect: %w: epoch %d: key group %d: %w", backend.ErrCorrupt, c.Epoch, raw.Group, err))
				return
			}
			if !yield(e, nil) {
				return
			}
		}
		if !checked {
			if err := c.current(ctx); err != nil {
				yield(nil, err)
			}
		}
	}
}

// current fails unless the store's newest epoch is c's.
func (c *Checkpoint) current(ctx context.Context) error {
	cp, ok, err := c.store.Latest(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("inspect: %w", err)
	case !ok || cp.Epoch != c.Epoch:
		return fmt.Errorf("%w: it was %d, and is %d", ErrChanged, c.Epoch, cp.Epoch)
	}
	return nil
}

// Instances yields the instances that have state.
func (c *Checkpoint) Instances(ctx context.Context) iter.Seq2[Instance, error] {
	return only[Instance](c.All(ctx))
}

// Messages yields the messages in flight: those of one address are in no order, see [Message.Number].
func (c *Checkpoint) Messages(ctx context.Context) iter.Seq2[Message, error] {
	return only[Message](c.All(ctx))
}

// Suspended yields the addresses that are suspended.
func (c *Checkpoint) Suspended(ctx context.Context) iter.Seq2[Suspended, error] {
	return only[Suspended](c.All(ctx))
}

// Delayed yields the delayed messages.
func (c *Checkpoint) Delayed(ctx context.Context) iter.Seq2[Delayed, error] {
	return only[Delayed](c.All(ctx))
}

// Keys yields the idempotency keys that are remembered.
func (c *Checkpoint) Keys(ctx context.Context) iter.Seq2[Key, error] { return only[Key](c.All(ctx)) }

// Records yields the egress records that no sink has confirmed.
func (c *Checkpoint) Records(ctx context.Context) iter.Seq2[Record, error] {
	return only[Record](c.All(ctx))
}

// only picks the entries of one kind.
func only[E Entry](all iter.Seq2[Entry, error]) iter.Seq2[E, error] {
	return func(yield func(E, error) bool) {
		for e, err := range all {
			picked, ok := e.(E)
			if (ok || err != nil) && !yield(picked, err) {
				return
			}
		}
	}
}

// Instance returns the state of an address; ok is false when it has none.
func (c *Checkpoint) Instance(ctx context.Context, a statefun.Address) (in Instance, ok bool, err error) {
	if err := a.Validate(); err != nil {
		return Instance{}, false, fmt.Errorf("inspect: %w", err)
	}
	for number, f := range c.Functions {
		if f.Type != a.Type {
			continue
		}
		raw := backend.Entry{Group: statefun.KeyGroupOf(statefun.KeyHash(a.ID), c.KeyGroups)}
		raw.Key = appendStateKey(number, a.ID)
		if raw.Value, ok, err = c.store.Get(ctx, raw.Group, raw.Key, nil); err != nil {
			return Instance{}, false, fmt.Errorf("inspect: %w", err)
		}
		if err := c.current(ctx); err != nil || !ok {
			return Instance{}, false, err
		}
		e, err := (&decoder{functions: c.Functions}).entry(raw)
		if err != nil {
			return Instance{}, false, fmt.Errorf("inspect: %w: epoch %d: key group %d: %w", backend.ErrCorrupt, c.Epoch, raw.Group, err)
		}
		return e.(Instance), true, nil
	}
	return Instance{}, false, nil
}
