// SPDX-License-Identifier: Apache-2.0

package loadgen

import (
	"context"
	"fmt"
	"time"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/loadgen/keys"
)

// findShards chooses an id on each shard. It says how many keys it has asked.
func (a *application) findShards(ctx context.Context, e *engine.Engine) (asked int, err error) {
	const tries = 10_000
	a.timers.ids = make([]string, a.Shards)
	found := 0
	for k := range tries {
		shard, err := wheres.Ask(ctx, e, keys.ID(k), 0)
		if err != nil {
			return 0, err
		}
		if a.timers.ids[shard] == "" {
			a.timers.ids[shard] = keys.ID(k)
			found++
		}
		if found == a.Shards {
			return k + 1, nil
		}
	}
	return 0, fmt.Errorf("none of %d keys is on some shard", tries)
}

// measureTimers measures starting, coming due all at once, and cancelling, one after the other. What a report
// says of the measured part is of the second.
func (r *run) measureTimers(ctx context.Context) error {
	began := time.Now()
	if err := r.phase(ctx, r.farOwners(), r.timers.far); err != nil {
		return err
	}
	starting := time.Since(began)
	r.timers.due = dueAfter(time.Now(), starting, r.Load)
	began = time.Now()
	if err := r.phase(ctx, r.soonOwners(), r.timers.soon); err != nil {
		return err
	}
	starting += time.Since(began)
	used := ReadUsage(r.engine)
	const before = 2 * time.Millisecond // The watches are at work by then.
	select {
	case <-time.After(time.Until(r.timers.due) - before):
	case <-ctx.Done():
		return ctx.Err()
	}
	r.timers.watching.Store(true)
	close(r.timers.look.begin)
	began = time.Now()
	if r.timers.due.After(began) { // Unless the machine was so busy that they are late.
		began = r.timers.due
	}
	if err := r.timed(ctx, used, began, r.Load.Messages); err != nil {
		return err
	}
	r.timers.watching.Store(false)
	began = time.Now()
	if err := r.phase(ctx, r.farOwners(), r.timers.cancel); err != nil {
		return err
	}
	cancelling := time.Since(began)
	r.report.TimerFigures = &TimerFigures{
		StartNanos: nanosEach(starting, r.Load.Keys), CancelNanos: nanosEach(cancelling, r.farTimers()),
		FireNanos: round(r.report.Seconds*1e9/float64(r.Load.Messages), 1), FiresPerS: r.report.InvocationsPerS,
	}
	return nil
}

// dueAfter is when the timers that are yet to be started come due: in many times the time that starting them
// will take, going by the others.
func dueAfter(now time.Time, starting time.Duration, l keys.Load) time.Time {
	const slack, patience = 200 * time.Millisecond, 3
	lead := float64(l.Messages) * float64(time.Microsecond)
	if far := l.Keys - l.Messages; far > 0 {
		lead = float64(starting) * float64(l.Messages) / float64(far)
	}
	return now.Add(slack + patience*time.Duration(lead)).Truncate(time.Millisecond)
}

func nanosEach(took time.Duration, n int) float64 {
	if n == 0 {
		return 0
	}
	return round(float64(took)/float64(n), 1)
}

// fillKept writes how long shards were kept from messages.
func (f *TimerFigures) fillKept(watches []*watchFn) {
	all := newLatency()
	for _, w := range watches {
		all.nanos.Merge(w.kept.nanos)
	}
	f.KeptP99Micros, f.KeptMaxMicros = micros(all.nanos.ValueAtPercentile(99)), micros(all.nanos.Max())
}
