// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"sync/atomic"

	"github.com/millrace-io/millrace/engine/internal/shard"
)

// functionStats is how a loop shows the counters of one function type. The loop alone writes.
type functionStats struct {
	changes uint64 // Of what is shown. Owned by the loop.
	shown   [10]atomic.Int64
}

// publishFunctions shows what has changed since the last time.
func (l *Loop) publishFunctions() {
	functions := l.shard.Functions()
	shown := l.stats.functions.Load()
	if shown == nil || len(*shown) < len(functions) {
		more := make([]*functionStats, len(functions))
		if shown != nil {
			copy(more, *shown)
		}
		for i := range more {
			if more[i] == nil {
				more[i] = &functionStats{}
			}
		}
		l.stats.functions.Store(&more)
		shown = &more
	}
	for i, fn := range functions {
		c, to := &fn.Counts, (*shown)[i]
		if to.changes == c.Changes {
			continue
		}
		to.changes = c.Changes
		for i, v := range [len(to.shown)]int64{
			int64(c.In), int64(c.OutLocal), int64(c.OutRemote), int64(c.OutEgress), int64(c.Failures),
			int64(c.DeadLetters), c.Suspended, c.Backlog, c.BacklogBytes, c.InFlight,
		} {
			to.shown[i].Store(v)
		}
	}
}

// FunctionCounts returns what the loop last showed of a function type, by its number. Anyone may call it.
func (l *Loop) FunctionCounts(number int) (c shard.FunctionCounts) {
	shown := l.stats.functions.Load()
	if shown == nil || number >= len(*shown) {
		return c
	}
	v := func(i int) int64 { return (*shown)[number].shown[i].Load() }
	return shard.FunctionCounts{
		In: uint64(v(0)), OutLocal: uint64(v(1)), OutRemote: uint64(v(2)), OutEgress: uint64(v(3)),
		Failures: uint64(v(4)), DeadLetters: uint64(v(5)),
		Suspended: v(6), Backlog: v(7), BacklogBytes: v(8), InFlight: v(9),
	}
}
