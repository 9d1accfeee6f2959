// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/internal/checkpoint"
	"github.com/millrace-io/millrace/engine/internal/clock"
	"github.com/millrace-io/millrace/engine/statefun"
)

// cut is an epoch as it is handed to the store.
type cut struct {
	cp      backend.Checkpoint
	changes []change
	sum     trace // Of all bytes.

	// What the changes are about.
	states    map[address]bool
	suspended map[address]bool
	messages  map[uint64]bool
	records   map[string]bool // By their keys.
	keys      map[string]bool
}

// readCut copies an epoch: what is handed over is only borrowed.
func readCut(cp backend.Checkpoint, parts []backend.Part) (*cut, error) {
	c := &cut{
		cp: cp, sum: sum(parts), states: map[address]bool{}, suspended: map[address]bool{}, messages: map[uint64]bool{},
		records: map[string]bool{}, keys: map[string]bool{},
	}
	c.cp.Names, c.cp.Sources = slices.Clone(cp.Names), slices.Clone(cp.Sources)
	for i := range c.cp.Sources {
		c.cp.Sources[i].Position = slices.Clone(c.cp.Sources[i].Position)
	}
	for _, p := range parts {
		for ch, err := range p.All() {
			if err != nil {
				return nil, err
			}
			ch.Key, ch.Value = slices.Clone(ch.Key), slices.Clone(ch.Value)
			c.changes = append(c.changes, change{ch, p.Shard})
		}
	}
	return c, nil
}

// committed takes over an epoch that the store has made durable, and demands of it that it is a consistent cut
// (I4): states, messages in flight, positions, suspended addresses, records and keys are what the model has.
func (r *run) committed(c *cut) error {
	l, before := r.ledger, r.ledger.cp
	if before.Epoch != 0 && c.cp.Epoch != before.Epoch+1 {
		return fmt.Errorf("epoch %d comes after %d (P33)", c.cp.Epoch, before.Epoch)
	}
	if c.cp.Numbers < before.Numbers || c.cp.CreatedAt < before.CreatedAt || clock.Instant(c.cp.CreatedAt) > r.clock.Now() {
		return fmt.Errorf("time: %d numbers at %d, after %d at %d (P11, P37)", c.cp.Numbers, c.cp.CreatedAt, before.Numbers, before.CreatedAt)
	}
	if err := l.name(c.cp.Names); err != nil {
		return err
	}
	l.cp = c.cp
	for _, ch := range c.changes {
		if err := c.about(l, ch); err != nil {
			return err
		}
		if err := l.apply(ch); err != nil {
			return err
		}
		if err := c.about(l, ch); err != nil {
			return err
		}
	}
	if err := r.checkPlaces(c); err != nil {
		return err
	}
	for _, check := range []func(*cut) error{
		r.checkPositions, r.checkStates, r.checkFlights, r.checkSuspended, r.checkOutbox, r.checkKeys, r.checkMoney,
	} {
		if err := check(c); err != nil {
			return err
		}
	}
	r.model.committed(c.cp.Epoch)
	return nil
}

// about notes what a change is about. A deletion says so only by what is there before it.
func (c *cut) about(l *ledger, ch change) error {
	key := string(ch.Key)
	switch checkpoint.KindOf(ch.Key) {
	case checkpoint.KindState, checkpoint.KindSuspended:
		parse, set := checkpoint.ParseStateKey, c.states
		if key[0] == checkpoint.KindSuspended {
			parse, set = checkpoint.ParseSuspendedKey, c.suspended
		}
		fn, id, err := parse(ch.Key)
		if err != nil {
			return err
		}
		a, err := l.address(fn, id)
		set[a] = true
		return err
	case checkpoint.KindMessage, checkpoint.KindDelayed:
		value, ok := l.entries[key]
		if ok && !l.isAnswer(key) {
			f, err := l.flight(key, value)
			c.messages[f.serial] = true
			return err
		}
	case checkpoint.KindRecord:
		c.records[key] = true
	case checkpoint.KindKey:
		c.keys[key] = true
	default:
		return fmt.Errorf("an entry of kind %d", checkpoint.KindOf(ch.Key))
	}
	return nil
}

// checkPlaces demands that each entry lies in the key group of its id, and comes from the shard that has that.
func (r *run) checkPlaces(c *cut) error {
	cfg := r.Case.Config
	for _, ch := range c.changes {
		value, ok := r.ledger.entries[string(ch.Key)]
		if !ok {
			continue // Where it was is checked when the store is scanned.
		}
		id, err := r.ledger.owner(string(ch.Key), value)
		if err != nil {
			return err
		}
		group := groupOf(id, cfg.KeyGroups)
		outbox := ch.Key[0] == checkpoint.KindRecord
		if ch.Group != group || !outbox && int(group)*r.layout.Shards/cfg.KeyGroups != ch.shard {
			return fmt.Errorf("cuts: shard %d has an entry of %q in group %d", ch.shard, id, ch.Group)
		}
	}
	return nil
}

// groupOf returns the key group of an id. Callers with a key are named by that where it is kept.
func groupOf(id string, groups int) statefun.KeyGroup {
	var group uint16
	if n, _ := fmt.Sscanf(id, "%04x-", &group); n == 1 && strings.HasSuffix(id, "k") {
		return statefun.KeyGroup(group)
	}
	return statefun.KeyGroupOf(statefun.KeyHash(id), groups)
}

// owner returns the id whose entry it is.
func (l *ledger) owner(key, value string) (string, error) {
	switch k := []byte(key); k[0] {
	case checkpoint.KindState:
		_, id, err := checkpoint.ParseStateKey(k)
		return string(id), err
	case checkpoint.KindSuspended:
		_, id, err := checkpoint.ParseSuspendedKey(k)
		return string(id), err
	case checkpoint.KindKey:
		_, id, _, err := checkpoint.ParseKeyKey(k)
		return string(id), err
	case checkpoint.KindRecord:
		rec, err := checkpoint.ParseRecord([]byte(value))
		return string(rec.SenderID), err
	default:
		if l.isAnswer(key) {
			_, id, _, err := checkpoint.ParseMessageKey(k)
			return string(id), err
		}
		f, err := l.flight(key, value)
		if f.delayed {
			return f.caller.ID, err
		}
		return ids[f.to.id], err
	}
}

func sum(parts []backend.Part) (t trace) {
	for _, p := range parts {
		t.bytes(p.Changes)
	}
	return t
}

var errDead = errors.Join(errors.New("sim: the process is dead"), backend.ErrFenced)
