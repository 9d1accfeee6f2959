// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/internal/checkpoint"
	"github.com/millrace-io/millrace/engine/internal/planted"
)

// store has an epoch committed: its parts, and one more for the outbox when there is something to say in it.
func (e *Epochs) store(ctx context.Context, epoch *checkpoint.Epoch) error {
	cp := e.template
	cp.Epoch, cp.CreatedAt = epoch.Checkpoint.Epoch, epoch.Checkpoint.CreatedAt
	// A source without a position begins where it is configured to, also after a restart (P39).
	cp.Sources = slices.DeleteFunc(slices.Clone(epoch.Checkpoint.Sources), func(p backend.SourcePosition) bool { return p.Position == nil })
	cp.Names, cp.Numbers = e.names(), e.numbers
	if changes := e.outflow.Changes(cp.Epoch, epoch.Egress); len(changes) > 0 {
		epoch.Parts = append(epoch.Parts, backend.Part{Shard: e.shards, Changes: changes})
		epoch.Bytes += int64(len(changes))
	}
	cp.Since = e.laps.claim(e.outflow.Oldest())
	return e.persist(ctx, cp, epoch.Parts)
}

// sweep commits that records are done, after the last epoch and as one more.
func (e *Epochs) sweep(ctx context.Context) error {
	if e.backend == nil || !e.ended || e.coordinator.Closing() {
		return nil
	}
	changes := e.outflow.Changes(0, nil)
	if len(changes) == 0 {
		return nil
	}
	cp := e.template
	cp.Epoch++
	cp.Since = 0
	return e.persist(ctx, cp, []backend.Part{{Shard: e.shards, Changes: changes}})
}

// Back-off between attempts at a commit.
const (
	commitRetryFirst = 10 * time.Millisecond
	commitRetryMost  = 5 * time.Second
)

// persist hands an epoch to the backend, again and again with the same bytes (P24), until it is committed or
// the backend says that there is doubt.
func (e *Epochs) persist(ctx context.Context, cp backend.Checkpoint, parts []backend.Part) error {
	for pause := commitRetryFirst; ; pause = min(2*pause, commitRetryMost) {
		if planted.RetriedOtherwise && pause > commitRetryFirst {
			parts = slices.DeleteFunc(slices.Clone(parts), func(p backend.Part) bool { return p.Shard == e.shards })
		}
		err := e.backend.Commit(ctx, cp, parts)
		switch {
		case err == nil:
			e.template = cp
			if pause > commitRetryFirst {
				e.gate.Hold(false)
				e.stuck(cp.Epoch, nil)
			}
			return nil
		case fatal(err):
			return err
		}
		if planted.FailedDropped {
			return nil
		}
		if pause == commitRetryFirst {
			e.gate.Hold(true) // What comes in now can only make the next epoch larger.
			e.stuck(cp.Epoch, err)
		}
		e.failures.Add(1)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err
		}
	}
}

// fatal reports whether an error of a backend stops the engine: doubt halts.
func fatal(err error) bool {
	for _, f := range []error{backend.ErrFenced, backend.ErrCorrupt, backend.ErrSync, backend.ErrEpochOrder, backend.ErrMismatch} {
		if errors.Is(err, f) && !(planted.DoubtRetried && f == backend.ErrSync) {
			return true
		}
	}
	return false
}
