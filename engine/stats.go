// SPDX-License-Identifier: Apache-2.0

package engine

import "time"

// Stats are an engine's counters. Those of shards are at most a few turns old while a shard is busy, and
// exact while it is idle. Reading them costs the shards nothing.
type Stats struct {
	Shards []ShardStats

	QueuedBytes     int64 // On their way or waiting, now.
	QueuedBytesPeak int64 // The most there have ever been.
	QueuedBytesMax  int64 // The high-water mark.
	IngressStalls   int64 // How often a source or a caller has had to wait for credit.
	Events          int64 // Handed over by sources.
	RepliesDropped  int64 // Answers that nobody waited for, or could take.

	EpochsCommitted int64
	BytesCommitted  int64
	CommitFailures  int64 // Attempts that failed and were tried again.
	Egress          []EgressStats

	// Functions are the function types that are known by now.
	Functions []FunctionStats
}

// FunctionStats are the counters of one function type, over all shards.
type FunctionStats struct {
	Type FunctionType
	// Remote says that the function runs elsewhere: then the fields below Counters count as well.
	Remote bool

	In        int64 // Messages that took effect.
	OutLocal  int64 // Messages sent to addresses of the same shard, delayed ones included,
	OutRemote int64 // to those of others, and to callers outside,
	OutEgress int64 // and records emitted.
	Failures  int64 // Invocations, or attempts at a request, that left no trace.
	Suspended int64 // Addresses that wait to be resumed, now.
	Backlog   int64 // Messages that wait at their addresses, now: those of requests in progress, too.

	// Counters are those that the function has declared with Schema.Counter.
	Counters []CounterStats

	InFlight     int64 // Requests in progress, now.
	BacklogBytes int64 // What the messages of Backlog hold.
	DeadLetters  int64 // Messages emitted to the egress of Policy.DeadLetter.
}

// CounterStats is a counter of a function.
type CounterStats struct {
	Name  string
	Value int64
}

// Observer is told of each attempt to invoke a function elsewhere: how long it took, and how it ended, nil or
// an *[remote.Error]. It is called by the goroutines of invokers and must not wait.
type Observer interface {
	Invoked(t FunctionType, took time.Duration, err error)
}

// ShardStats are the counters of one shard.
type ShardStats struct {
	Invocations int64 // Those that took effect.
	Failures    int64 // Those that left no trace.
	Batches     int64
	Instances   int64 // In memory now.
	Suspended   int64 // Addresses that wait to be resumed.
	Delayed     int64 // Delayed messages that are pending.
	Fired       int64 // Delayed messages that came due.
	Skipped     int64 // Messages given up by Engine.Skip.
	Encoded     int64 // Instances encoded for checkpoints.
	MemoryBytes int64 // Of instances, index and strings.
	Turns       int64
	Parks       int64 // How often the shard has slept.
	Epoch       uint64
	// MaxStop is the longest that a cut or a slice of encoding has kept the shard from messages.
	MaxStop time.Duration
}

// EgressStats are the counters of one egress.
type EgressStats struct {
	Egress    string
	Delivered int64
	Dropped   int64 // Records that the sink refused for good.
}

// Invocations returns the invocations that took effect, of all shards.
func (s Stats) Invocations() (n int64) {
	for _, shard := range s.Shards {
		n += shard.Invocations
	}
	return n
}

// Stats returns the engine's counters.
func (e *Engine) Stats() Stats {
	s := Stats{
		QueuedBytes: e.gate.Queued(), QueuedBytesPeak: e.gate.Peak(), QueuedBytesMax: e.gate.Max(),
		IngressStalls: e.gate.Stalls(), RepliesDropped: e.calls.dropped.Load(),
	}
	s.EpochsCommitted, s.BytesCommitted = e.epochs.Committed()
	s.CommitFailures = e.epochs.Failures()
	for _, l := range e.loops {
		c := l.Stats()
		s.RepliesDropped += c.Unanswered
		s.Shards = append(s.Shards, ShardStats{
			Invocations: c.Invocations, Failures: c.Failures, Batches: c.Batches, Instances: c.Instances,
			Suspended: c.Suspended, Delayed: c.Delayed, Fired: c.Fired, Skipped: c.Skipped, Encoded: c.Encoded,
			MemoryBytes: c.MemoryBytes, Turns: c.Turns, Parks: c.Parks, Epoch: uint64(c.Epoch), MaxStop: c.MaxStop,
		})
	}
	for _, p := range e.pumps {
		s.Events += p.Events()
	}
	s.Functions = e.functionStats()
	for _, d := range e.drains {
		delivered, lost := d.Counts()
		s.Egress = append(s.Egress, EgressStats{Egress: d.Egress(), Delivered: delivered, Dropped: lost})
	}
	return s
}

func (w *wiring) functionStats() (list []FunctionStats) {
	for number, f := range w.directory.all() {
		if f.external {
			continue
		}
		s := FunctionStats{Type: f.typ, Remote: f.endpoint != nil, Counters: f.counts()}
		for _, l := range w.loops {
			c := l.FunctionCounts(number)
			s.In += int64(c.In)
			s.OutLocal += int64(c.OutLocal)
			s.OutRemote += int64(c.OutRemote)
			s.OutEgress += int64(c.OutEgress)
			s.Failures += int64(c.Failures)
			s.DeadLetters += int64(c.DeadLetters)
			s.Suspended += c.Suspended
			s.Backlog += c.Backlog
			s.BacklogBytes += c.BacklogBytes
			s.InFlight += c.InFlight
		}
		if f.absent && s.Backlog == 0 {
			continue // A number that the store keeps, and nothing else.
		}
		list = append(list, s)
	}
	return list
}

// counts adds up the shards' shares of the function's counters, all of which have the same ones.
func (f *function) counts() (list []CounterStats) {
	for shard, counters := range f.counters {
		for i, c := range counters {
			if shard == 0 {
				list = append(list, CounterStats{Name: c.name})
			}
			list[i].Value += c.n.Load()
		}
	}
	return list
}
