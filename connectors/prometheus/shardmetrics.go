// SPDX-License-Identifier: Apache-2.0

package prometheus

import "github.com/millrace-io/millrace/engine"

var shardMetrics = []metric[engine.ShardStats]{
	{
		"shard_invocations_total", "Invocations that took effect.", counter,
		func(s *engine.ShardStats) float64 { return float64(s.Invocations) },
	},
	{
		"shard_failures_total", "Invocations that left no trace.", counter,
		func(s *engine.ShardStats) float64 { return float64(s.Failures) },
	},
	{
		"shard_batches_total", "Batches of messages taken.", counter,
		func(s *engine.ShardStats) float64 { return float64(s.Batches) },
	},
	{
		"shard_instances", "Instances in memory.", gauge,
		func(s *engine.ShardStats) float64 { return float64(s.Instances) },
	},
	{
		"shard_blocked_addresses", "Addresses that are suspended: they wait to be resumed.", gauge,
		func(s *engine.ShardStats) float64 { return float64(s.Suspended) },
	},
	{
		"shard_delayed_messages", "Delayed messages that are pending.", gauge,
		func(s *engine.ShardStats) float64 { return float64(s.Delayed) },
	},
	{
		"shard_delayed_fired_total", "Delayed messages that came due.", counter,
		func(s *engine.ShardStats) float64 { return float64(s.Fired) },
	},
	{
		"shard_skipped_total", "Messages that an operator has given up.", counter,
		func(s *engine.ShardStats) float64 { return float64(s.Skipped) },
	},
	{
		"shard_encoded_total", "Instances encoded for checkpoints.", counter,
		func(s *engine.ShardStats) float64 { return float64(s.Encoded) },
	},
	{
		"shard_memory_bytes", "Memory of instances, their index and their strings.", gauge,
		func(s *engine.ShardStats) float64 { return float64(s.MemoryBytes) },
	},
	{
		"shard_turns_total", "Turns of the shard's loop.", counter,
		func(s *engine.ShardStats) float64 { return float64(s.Turns) },
	},
	{
		"shard_parks_total", "How often the shard has slept.", counter,
		func(s *engine.ShardStats) float64 { return float64(s.Parks) },
	},
	{
		"shard_epoch", "The epoch that the shard is in.", gauge,
		func(s *engine.ShardStats) float64 { return float64(s.Epoch) },
	},
	{
		"shard_longest_stop_seconds", "The longest that a cut or a slice of encoding has kept the shard from messages.", gauge,
		func(s *engine.ShardStats) float64 { return s.MaxStop.Seconds() },
	},
}
