// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
	"cmp"
	"slices"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/internal/clock"
	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/internal/invariant"
	"github.com/millrace-io/millrace/engine/internal/planted"
	"github.com/millrace-io/millrace/engine/statefun"
)

// Coordinator decides when epochs end. It is a state machine without time or threads of its own:
//
//	open e ──Announce──► closing e ──all parts and positions──► complete ──Committed──► open e+1
//
// The next epoch is announced only when the last one is committed (P5), so epochs do not pile up.
type Coordinator struct {
	shards, sources int
	carried         []backend.SourcePosition

	epoch     statefun.Epoch // The open one.
	closing   bool
	has       []bool // By shard: its part is there;
	there     int    // and how many are.
	parts     []backend.Part
	egress    [][]*envelope.Batch // By shard.
	bytes     int64
	positions []backend.SourcePosition
	now       clock.Instant
}

// NewCoordinator waits for one part of each shard and one position of each source.
func NewCoordinator(shards, sources int) *Coordinator {
	return &Coordinator{
		shards: shards, sources: sources, epoch: 1,
		has:    make([]bool, shards),
		egress: make([][]*envelope.Batch, shards),
	}
}

// StartAt sets the first epoch, before anything is announced; it is 1 otherwise.
func (c *Coordinator) StartAt(first statefun.Epoch) { c.epoch = first }

// Carry sets the positions of sources that are gone, before anything is announced: they are in every checkpoint
// until somebody drops them by name (P38).
func (c *Coordinator) Carry(positions []backend.SourcePosition) {
	c.carried = positions
	c.positions = slices.Clone(positions)
}

// Announce ends the open epoch and returns the one that is open now; ok is false while the last one is
// not committed.
func (c *Coordinator) Announce() (epoch statefun.Epoch, ok bool) {
	if c.closing && !planted.CutBeforeParts {
		return 0, false
	}
	c.closing = true
	c.epoch++
	return c.epoch, true
}

// Closing reports whether an epoch is being closed or committed.
func (c *Coordinator) Closing() bool { return c.closing }

// AddPart takes a shard's share of the closing epoch.
func (c *Coordinator) AddPart(epoch statefun.Epoch, now clock.Instant, shard int, changes []backend.Part, egress []*envelope.Batch) {
	c.expect(epoch)
	if c.has[shard] {
		invariant.Failf("coordinator: a second part of shard %d for epoch %d", shard, epoch)
	}
	c.has[shard] = true
	c.there++
	c.parts = append(c.parts, changes...)
	c.egress[shard] = egress
	for i := range changes {
		c.bytes += int64(len(changes[i].Changes))
	}
	c.now = max(c.now, now)
}

// AddPosition takes where a source stood at its cut.
func (c *Coordinator) AddPosition(epoch statefun.Epoch, p backend.SourcePosition) {
	c.expect(epoch)
	for _, have := range c.positions {
		if have.Source == p.Source {
			invariant.Failf("coordinator: a second position of source %s for epoch %d", p.Source, epoch)
		}
	}
	c.positions = append(c.positions, p)
}

func (c *Coordinator) expect(epoch statefun.Epoch) {
	if !c.closing || epoch != c.epoch-1 {
		invariant.Failf("coordinator: part of epoch %d while epoch %d is open, closing %v", epoch, c.epoch, c.closing)
	}
}

// Epoch is everything that one epoch consists of. Its slices are valid until Committed.
type Epoch struct {
	Checkpoint backend.Checkpoint
	Parts      []backend.Part      // By shard, and in order.
	Egress     [][]*envelope.Batch // By shard: the order in which records leave (P35).
	Bytes      int64               // Of all parts.
}

// Complete returns the closing epoch once everything is there. The checkpoint lacks what the coordinator
// does not know: application, generation, key groups and names.
func (c *Coordinator) Complete() (e Epoch, ok bool) {
	if !c.closing || c.there < c.shards || len(c.positions) < c.sources+len(c.carried) {
		return Epoch{}, false
	}
	slices.SortStableFunc(c.parts, func(a, b backend.Part) int { return cmp.Compare(a.Shard, b.Shard) })
	slices.SortFunc(c.positions, func(a, b backend.SourcePosition) int { return cmp.Compare(a.Source, b.Source) })
	return Epoch{
		Checkpoint: backend.Checkpoint{Epoch: c.epoch - 1, CreatedAt: int64(c.now), Sources: c.positions},
		Parts:      c.parts,
		Egress:     c.egress,
		Bytes:      c.bytes,
	}, true
}

// Committed says that what Complete returned is durable.
func (c *Coordinator) Committed() {
	c.closing = false
	c.parts, c.positions = c.parts[:0], append(c.positions[:0], c.carried...)
	c.there = 0
	clear(c.has)
	clear(c.egress)
	c.bytes, c.now = 0, 0
}
