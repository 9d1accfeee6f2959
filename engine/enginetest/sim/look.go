// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"context"
	"errors"
	"fmt"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/internal/checkpoint"
)

// look has somebody ask what an address has kept: it is what the last committed epoch has (P16).
func (r *run) look() {
	a := address{r.schedule.IntN(len(kinds)), r.schedule.IntN(r.Case.Config.IDs)}
	if r.recorder == nil {
		return // Shards are asked then, and nobody turns them while somebody waits.
	}
	got, err := r.app.Engine.(*engine.Engine).State(context.Background(), a.address())
	if r.disk != nil && r.disk.Dead() {
		r.crash("while it reads")
	}
	switch {
	case r.dead, kinds[a.kind].idle > 0:
	case r.ledger.cp.Epoch == 0 && errors.Is(err, engine.ErrNoCheckpoint):
	case err != nil:
		r.violate(fmt.Errorf("state of %v: %w", a, err))
	default:
		r.violate(r.compareState(a, got))
	}
}

func (r *run) compareState(a address, got engine.State) error {
	if got.Epoch != r.ledger.cp.Epoch {
		return fmt.Errorf("state of %v: of epoch %d, not %d", a, got.Epoch, r.ledger.cp.Epoch)
	}
	values, _, _ := checkpoint.CutTouched([]byte(r.ledger.entries[r.ledger.stateKey(a)]))
	n := 0
	for v := range checkpoint.Values(values) {
		name := r.ledger.names[r.ledger.numbers[a.kind]].Values[v.Number]
		if v.Stamped && int64(r.clock.Now()) >= v.Stamp+int64(name.TTL) {
			continue
		}
		if n >= len(got.Values) || got.Values[n].Name != name.Name || got.Values[n].Typename != name.Typename || string(got.Values[n].Value) != string(v.Bytes) {
			return fmt.Errorf("state of %v: value %d is not %s as of epoch %d", a, n, name.Name, got.Epoch)
		}
		n++
	}
	if n != len(got.Values) {
		return fmt.Errorf("state of %v: %d values, and %d in epoch %d", a, len(got.Values), n, got.Epoch)
	}
	return nil
}
