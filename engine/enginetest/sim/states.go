// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"maps"
	"slices"

	"github.com/millrace-io/millrace/engine/internal/checkpoint"
	"github.com/millrace-io/millrace/engine/internal/clock"
	"github.com/millrace-io/millrace/engine/statefun"
)

// checkStates demands that states are what addresses kept at the cut: after the last invocation of the epoch.
func (r *run) checkStates(c *cut) error {
	for a, inst := range r.model.instances {
		if inst.at(c.cp.Epoch).epoch == c.cp.Epoch {
			c.states[a] = true
		}
	}
	for a := range c.states {
		if err := r.compare(a, c.cp.Epoch); err != nil {
			return err
		}
	}
	return nil
}

// compare demands that the ledger's state of an address is what the address kept at the end of an epoch. What had
// expired may be gone, or not yet.
func (r *run) compare(a address, epoch statefun.Epoch) error {
	var want version
	inst := r.model.instances[a]
	if inst != nil {
		want = inst.at(epoch)
	}
	entry, there := r.ledger.entries[r.ledger.stateKey(a)]
	if !there && inst != nil && inst.mayForget(a, want, clock.Instant(r.ledger.cp.CreatedAt)) {
		return nil
	}
	if err := checkpoint.Validate([]byte(entry)); err != nil {
		return err
	}
	got := r.ledger.values(a)
	for i, v := range want.values {
		if v == nil {
			continue
		}
		slot := r.slots[a.kind][i]
		name, wire := slot.encoded(*v)
		value, ok := got[name]
		delete(got, name)
		leased := slot.lease().moves != never
		if !ok && leased && want.stamps[i]+clock.Instant(slot.lease().ttl) <= clock.Instant(r.ledger.cp.CreatedAt) {
			continue
		}
		if !ok || string(value.Bytes) != string(wire) || value.Stamped != leased || leased && value.Stamp != int64(want.stamps[i]) {
			return fmt.Errorf("cuts: value %s of %v was %.40q at the cut, from %d on; the checkpoint has %.40q, from %d on (%v)",
				name, a, wire, want.stamps[i], value.Bytes, value.Stamp, ok)
		}
	}
	if len(got) > 0 {
		return fmt.Errorf("cuts: %v had no values %v at the cut", a, slices.Collect(maps.Keys(got)))
	}
	return nil
}

// checkSuspended demands that those addresses are suspended that were at the cut, unless somebody had asked for
// them to be resumed: the model hears of that only when they run.
func (r *run) checkSuspended(c *cut) error {
	epoch := c.cp.Epoch
	for a, inst := range r.model.instances {
		was := inst.at(epoch)
		if !c.suspended[a] && was.epoch != epoch {
			continue
		}
		_, got := r.ledger.entries[r.ledger.suspendedKey(a)]
		if got != was.suspended && (got || was.asked == 0 || was.asked > epoch) {
			return fmt.Errorf("cuts: the checkpoint has %v as suspended: %v", a, got)
		}
	}
	return nil
}

// values reads the state of an address.
func (l *ledger) values(a address) map[string]checkpoint.Value {
	values, _, _ := checkpoint.CutTouched([]byte(l.entries[l.stateKey(a)]))
	got := map[string]checkpoint.Value{}
	for v := range checkpoint.Values(values) {
		got[l.names[l.numbers[a.kind]].Values[v.Number].Name] = v
	}
	return got
}

// drop has an instance forget what had expired at the cut and is not in the checkpoint any more.
func (r *run) drop(a address, inst *instance) {
	got := r.ledger.values(a)
	inst.values = slices.Clone(inst.values)
	for i, slot := range r.slots[a.kind] {
		if inst.values[i] == nil {
			continue
		}
		name, _ := slot.encoded(0)
		if _, ok := got[name]; !ok {
			inst.values[i] = nil
		}
	}
}
