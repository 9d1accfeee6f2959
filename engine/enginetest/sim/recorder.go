// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"context"
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/internal/checkpoint"
	"github.com/millrace-io/millrace/engine/statefun"
)

// recorder stands between the engine and the backend: it keeps a map of what has been committed and
// compares every commit with the model.
type recorder struct {
	backend.Backend
	run     *run
	epoch   statefun.Epoch
	entries map[address]map[string]string // Values by name.
	faults  int
}

// committed returns the newest epoch that has been committed.
func (r *run) committed() statefun.Epoch {
	if r.recorder != nil {
		return r.recorder.epoch
	}
	epochs, _ := r.app.Epochs.Committed()
	return r.first + statefun.Epoch(epochs) - 1
}

// Commit implements backend.Backend. Much happens while it is at it, but not to what it was given.
func (rec *recorder) Commit(ctx context.Context, cp backend.Checkpoint, parts []backend.Part) error {
	r := rec.run
	before := sum(parts)
	r.meanwhile()
	if sum(parts) != before {
		r.violate(fmt.Errorf("cuts: what is committed of epoch %d changes meanwhile", cp.Epoch))
	}
	if rec.faults < r.Case.Config.CommitFaults && one(r.schedule, 4) {
		rec.faults++
		return errFault
	}
	if err := rec.check(cp, parts); err != nil {
		r.violate(fmt.Errorf("commit of epoch %d: %w", cp.Epoch, err))
	}
	r.logf("commit  epoch %d", cp.Epoch)
	if err := rec.Backend.Commit(ctx, cp, parts); err != nil {
		return err
	}
	rec.epoch = cp.Epoch
	return nil
}

func sum(parts []backend.Part) (t trace) {
	for _, p := range parts {
		t.bytes(p.Changes)
	}
	return t
}

func (rec *recorder) check(cp backend.Checkpoint, parts []backend.Part) error {
	r := rec.run
	cfg := r.Case.Config
	if rec.epoch != 0 && cp.Epoch != rec.epoch+1 || len(parts) != cfg.Shards || len(cp.Sources) != cfg.Sources {
		return fmt.Errorf("cuts: %d parts and %d positions after epoch %d", len(parts), len(cp.Sources), rec.epoch)
	}
	names, err := checkpoint.ParseNames(cp.Names)
	if err != nil {
		return err
	}
	touched := map[address]bool{}
	for shard, p := range parts {
		if p.Shard != shard {
			return fmt.Errorf("cuts: part %d is of shard %d", shard, p.Shard)
		}
		r.trace.bytes(p.Changes)
		for c, err := range p.All() {
			if err != nil {
				return err
			}
			a, values, err := parse(names, c)
			if err != nil {
				return err
			}
			group := statefun.KeyGroupOf(statefun.KeyHash(ids[a.id]), cfg.KeyGroups)
			if c.Group != group || int(group)*cfg.Shards/cfg.KeyGroups != shard {
				return fmt.Errorf("cuts: shard %d has an entry of %v in group %d", shard, a, c.Group)
			}
			touched[a] = true
			rec.entries[a] = values
		}
	}
	for a := range r.model.changed[cp.Epoch] {
		touched[a] = true
	}
	for a := range touched {
		if err := r.compare(a, rec.entries[a], cp.Epoch); err != nil {
			return err
		}
	}
	delete(r.model.changed, cp.Epoch)
	return r.checkPositions(cp)
}

// parse reads a change; a deletion has no values.
func parse(names []checkpoint.FunctionNames, c backend.Change) (a address, values map[string]string, err error) {
	fn, id, err := checkpoint.ParseStateKey(c.Key)
	if err != nil {
		return a, nil, err
	}
	a.kind = slices.IndexFunc(kinds[:], func(k kind) bool { return k.fn.Type().String() == names[fn].Function })
	a.id = slices.Index(ids, string(id))
	if a.kind < 0 || a.id < 0 {
		return a, nil, fmt.Errorf("isolation: entry of function %d, id %q", fn, id)
	}
	if c.Delete {
		return a, nil, nil
	}
	if err := checkpoint.Validate(c.Value); err != nil {
		return a, nil, err
	}
	values = map[string]string{}
	for v := range checkpoint.Values(c.Value) {
		values[names[fn].Values[v.Number].Name] = string(v.Bytes)
	}
	return a, values, nil
}

// compare demands that an entry is what the address kept at the cut: what it kept after the last
// invocation of the epoch, or nothing new.
func (r *run) compare(a address, got map[string]string, epoch statefun.Epoch) error {
	if changed, ok := r.model.changed[epoch][a]; ok {
		r.stored[a] = changed
	}
	want := r.stored[a]
	n := 0
	for i, v := range want {
		if v == nil {
			continue
		}
		n++
		name, wire := r.slots[a.kind][i].encoded(*v)
		if value, ok := got[name]; !ok || value != string(wire) {
			return fmt.Errorf("cuts: value %s of %v is not what it was at the cut (present: %v)", name, a, ok)
		}
	}
	if n != len(got) {
		return fmt.Errorf("cuts: %v has %d values, and had %d at the cut", a, len(got), n)
	}
	return nil
}

func (r *run) checkPositions(cp backend.Checkpoint) error {
	for _, p := range cp.Sources {
		var number int
		if _, err := fmt.Sscanf(p.Source, "sim/in#%d", &number); err != nil {
			return err
		}
		if err := r.sources[number].checkPosition(cp.Epoch, p.Position); err != nil {
			return err
		}
	}
	return nil
}

// checkStored compares what the backend holds at the end with what has been committed.
func (rec *recorder) checkStored(ctx context.Context) error {
	cp, ok, err := rec.Latest(ctx)
	if err != nil || !ok || cp.Epoch != rec.epoch {
		return fmt.Errorf("backend: latest is epoch %d, %v, %v; committed was %d", cp.Epoch, ok, err, rec.epoch)
	}
	names, err := checkpoint.ParseNames(cp.Names)
	if err != nil {
		return err
	}
	n := 0
	for e, err := range rec.Scan(ctx, backend.KeyGroupRange{End: statefun.KeyGroup(cp.KeyGroups)}) {
		if err != nil {
			return err
		}
		a, values, err := parse(names, backend.Change{Entry: e})
		if err != nil {
			return err
		}
		if err := rec.run.compare(a, values, 0); err != nil {
			return err
		}
		n++
	}
	for _, values := range rec.run.stored {
		if kept(values) {
			n--
		}
	}
	if n != 0 {
		return fmt.Errorf("backend: %+d entries more than were committed", n)
	}
	return nil
}
