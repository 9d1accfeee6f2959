// SPDX-License-Identifier: Apache-2.0

package loadgen

import (
	"context"

	"github.com/millrace-io/millrace/loadgen/keys"
)

// verify reads all counters back, through messages, and compares them with what was sent.
func (r *run) verify(ctx context.Context) error {
	if err := r.phase(ctx, 2*r.instances(), r.tells); err != nil { // Each key, and its tally.
		return err
	}
	var sum told
	for shard := range r.Shards {
		t, err := sums.Ask(ctx, r.engine, tallyID(shard), 0)
		if err != nil {
			return err
		}
		sum.Keys += t.Keys
		sum.Count += t.Count
		sum.Wrong += t.Wrong
	}
	verified := sum == told{Keys: int64(r.instances()), Count: int64(r.Load.Messages)} &&
		r.report.Invocations == int64(r.Load.Messages)
	switch r.Workload {
	case Skynet:
		total, err := r.skynetVerified(ctx)
		if err != nil {
			return err
		}
		verified = verified && total
	case Timers:
		verified = verified && r.timersVerified()
	}
	r.report.Verified = verified
	return nil
}

// skynetVerified asks the root.
func (r *run) skynetVerified(ctx context.Context) (bool, error) {
	total, err := totals.Ask(ctx, r.engine, keys.ID(0), 0)
	return total == r.tree.total, err
}

// timersVerified reports whether no delayed message is left, and as many came due as were to.
func (r *run) timersVerified() bool {
	var pending, fired int64
	for _, s := range r.engine.Stats().Shards {
		pending += s.Delayed
		fired += s.Fired
	}
	return pending == 0 && fired == int64(r.Load.Messages)
}
