// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"context"
	"iter"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"
)

// Scan yields the entries of the key groups in r as of the commit that is the last when it begins.
func (b *Backend) Scan(ctx context.Context, r backend.KeyGroupRange) iter.Seq2[backend.Entry, error] {
	return func(yield func(backend.Entry, error) bool) {
		held, err := b.hold(r)
		if err != nil {
			yield(backend.Entry{}, err)
			return
		}
		defer func() { // What is left of them when the loop is left early.
			for _, h := range held {
				h.table.scans.Add(-1)
			}
		}()
		for len(held) > 0 {
			if err := ctx.Err(); err != nil {
				yield(backend.Entry{}, err)
				return
			}
			h := held[0]
			for at := h.table.first(); at != 0; at = h.table.next(at) {
				if !yield(backend.Entry{Group: h.group, Key: h.table.key(at), Value: h.table.value(at)}, nil) {
					return
				}
			}
			h.table.scans.Add(-1) // From here on a commit need not copy it.
			held = held[1:]
		}
	}
}

type heldTable struct {
	group statefun.KeyGroup
	table *table
}

// hold notes the tables of one commit. Until their scans are counted down again nobody writes to them.
func (b *Backend) hold(r backend.KeyGroupRange) (held []heldTable, err error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.closed {
		return nil, errClosed
	}
	for group := int(r.First); group < min(int(r.End), len(b.tables)); group++ {
		if t := b.tables[group]; t != nil {
			t.scans.Add(1)
			held = append(held, heldTable{statefun.KeyGroup(group), t})
		}
	}
	return held, nil
}
