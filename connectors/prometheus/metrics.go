// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-io/millrace/engine"
)

const (
	counter = prometheus.CounterValue
	gauge   = prometheus.GaugeValue
)

var engineMetrics = []metric[engine.Stats]{
	{
		"queued_bytes", "Bytes of messages that are on their way or waiting.", gauge,
		func(s *engine.Stats) float64 { return float64(s.QueuedBytes) },
	},
	{
		"queued_peak_bytes", "The most bytes that have ever been queued.", gauge,
		func(s *engine.Stats) float64 { return float64(s.QueuedBytesPeak) },
	},
	{
		"queued_mark_bytes", "The high-water mark of queued bytes: above it ingress waits, or is refused.", gauge,
		func(s *engine.Stats) float64 { return float64(s.QueuedBytesMax) },
	},
	{
		"ingress_stalls_total", "How often a source or a caller has had to wait for credit.", counter,
		func(s *engine.Stats) float64 { return float64(s.IngressStalls) },
	},
	{
		"ingress_events_total", "Events handed over by sources.", counter,
		func(s *engine.Stats) float64 { return float64(s.Events) },
	},
	{
		"replies_dropped_total", "Answers that nobody waited for, or could take.", counter,
		func(s *engine.Stats) float64 { return float64(s.RepliesDropped) },
	},
	{
		"epochs_committed_total", "Epochs committed.", counter,
		func(s *engine.Stats) float64 { return float64(s.EpochsCommitted) },
	},
	{
		"committed_bytes_total", "Bytes committed.", counter,
		func(s *engine.Stats) float64 { return float64(s.BytesCommitted) },
	},
	{
		"commit_failures_total", "Attempts at a commit that failed and were made again.", counter,
		func(s *engine.Stats) float64 { return float64(s.CommitFailures) },
	},
}

var egressMetrics = []metric[engine.EgressStats]{
	{
		"egress_delivered_total", "Records delivered.", counter,
		func(s *engine.EgressStats) float64 { return float64(s.Delivered) },
	},
	{
		"egress_dropped_total", "Records that the sink has refused for good.", counter,
		func(s *engine.EgressStats) float64 { return float64(s.Dropped) },
	},
}

var functionMetrics = []metric[engine.FunctionStats]{
	{
		"function_in_total", "Messages that took effect.", counter,
		func(s *engine.FunctionStats) float64 { return float64(s.In) },
	},
	{
		"function_out_local_total", "Messages sent to addresses of the same shard, delayed ones included.", counter,
		func(s *engine.FunctionStats) float64 { return float64(s.OutLocal) },
	},
	{
		"function_out_remote_total", "Messages sent to addresses of other shards, and to callers outside.", counter,
		func(s *engine.FunctionStats) float64 { return float64(s.OutRemote) },
	},
	{
		"function_out_egress_total", "Records emitted to egresses.", counter,
		func(s *engine.FunctionStats) float64 { return float64(s.OutEgress) },
	},
	{
		"function_failures_total", "Invocations, or attempts at a request, that left no trace.", counter,
		func(s *engine.FunctionStats) float64 { return float64(s.Failures) },
	},
	{
		"function_blocked_addresses", "Addresses that are suspended: they wait to be resumed.", gauge,
		func(s *engine.FunctionStats) float64 { return float64(s.Suspended) },
	},
	{
		"function_backlog_messages", "Messages that wait at their addresses.", gauge,
		func(s *engine.FunctionStats) float64 { return float64(s.Backlog) },
	},
}

// remoteMetrics are those of functions that run elsewhere only.
var remoteMetrics = []metric[engine.FunctionStats]{
	{
		"function_inflight_requests", "Requests in progress.", gauge,
		func(s *engine.FunctionStats) float64 { return float64(s.InFlight) },
	},
	{
		"function_backlog_bytes", "Bytes of the messages that wait at their addresses.", gauge,
		func(s *engine.FunctionStats) float64 { return float64(s.BacklogBytes) },
	},
	{
		"function_dead_letters_total", "Messages emitted to the egress for dead letters.", counter,
		func(s *engine.FunctionStats) float64 { return float64(s.DeadLetters) },
	},
}

var counterMetrics = []metric[engine.CounterStats]{
	{
		"function_counted_total", "What the function itself has counted, by the counter that it has declared.", counter,
		func(s *engine.CounterStats) float64 { return float64(s.Value) },
	},
}
