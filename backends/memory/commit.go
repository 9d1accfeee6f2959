// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"context"
	"fmt"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"
)

// Commit applies the parts in their order and makes them visible together.
func (b *Backend) Commit(ctx context.Context, cp backend.Checkpoint, parts []backend.Part) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return errClosed
	}
	if cp.Epoch <= b.latest.Epoch {
		return fmt.Errorf("memory: commit of epoch %d behind %d: %w", cp.Epoch, b.latest.Epoch, backend.ErrEpochOrder)
	}
	// All of it is read before any of it is applied: there is no way back.
	for _, p := range parts {
		if err := b.validate(p); err != nil {
			return fmt.Errorf("memory: commit of epoch %d: %w", cp.Epoch, err)
		}
	}
	for _, p := range parts {
		b.apply(p)
	}
	b.latest = cloneCheckpoint(cp)
	return nil
}

func (b *Backend) validate(p backend.Part) error {
	for c, err := range p.All() {
		switch {
		case err != nil:
			return err
		case int(c.Group) >= len(b.tables):
			return fmt.Errorf("%w: part of shard %d: key group %d of %d", backend.ErrCorrupt, p.Shard, c.Group, len(b.tables))
		case len(c.Key) > fieldBytesMax || len(c.Value) > fieldBytesMax:
			return fmt.Errorf("part of shard %d: key of %d and value of %d bytes, at most %d each are possible",
				p.Shard, len(c.Key), len(c.Value), fieldBytesMax)
		}
	}
	return nil
}

// lookup is one change with what finding its place needs.
type lookup struct {
	change backend.Change
	table  *table
	hash   uint64
	at     uint64
}

// apply applies a part that has been validated, 32 changes at a time: first it touches where each of
// them will probably read, then it applies them. The loads of the first pass do not depend on each
// other, so that their cache misses overlap; one change after the other took 1.7 to 2.7 times as long
// at a million keys, and a map from string to bytes 2.2 to 4.7 times. More than 32 brought nothing.
func (b *Backend) apply(p backend.Part) {
	var ahead [32]lookup
	n := 0
	for c := range p.All() {
		ahead[n] = lookup{change: c, table: b.writable(c.Group), hash: b.hash(c.Key)}
		if n++; n == len(ahead) {
			b.warm(ahead[:n])
			applyAll(ahead[:n])
			n = 0
		}
	}
	applyAll(ahead[:n])
}

func (b *Backend) warm(ahead []lookup) {
	for i := range ahead {
		ahead[i].at = ahead[i].table.probable(ahead[i].hash)
	}
	for i := range ahead {
		b.warmth += ahead[i].table.arena[ahead[i].at]
	}
}

func applyAll(ahead []lookup) {
	for i := range ahead {
		if s := &ahead[i]; s.change.Delete {
			s.table.delete(s.hash, s.change.Key)
		} else {
			s.table.put(s.hash, s.change.Key, s.change.Value)
		}
	}
}

// writable returns the table of a key group, a new one when it has none or when the one that it has is
// being scanned. The caller holds mu, so no scan can begin meanwhile.
func (b *Backend) writable(group statefun.KeyGroup) *table {
	t := b.tables[group]
	switch {
	case t == nil:
		t = newTable(b.hash)
	case t.scans.Load() > 0:
		t = t.clone()
	default:
		return t
	}
	b.tables[group] = t
	return t
}
