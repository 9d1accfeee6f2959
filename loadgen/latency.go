// SPDX-License-Identifier: Apache-2.0

package loadgen

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// latencyMax is the longest latency that is told from longer ones.
const latencyMax = time.Minute

// sampleEvery is one in how many messages carries the time of its making. Reading the clock costs as much
// as running several messages.
const sampleEvery = 1024

// epochStart is what stamps count from, so that they fit where a message has room for them and are
// taken from the monotonic clock.
var epochStart = time.Now()

// stamp is the time now, in nanoseconds, never 0: that says that a message is not sampled.
func stamp() int64 { return int64(time.Since(epochStart)) + 1 }

// latency is one shard's histogram of the time from a message's making to its execution. It belongs to
// the shard's goroutine until the run has ended.
type latency struct{ nanos *hdrhistogram.Histogram }

func newLatency() latency {
	return latency{hdrhistogram.New(1, int64(latencyMax), 3)}
}

// record notes the age of a sampled message.
func (l latency) record(stamped int64) {
	// An age beyond the last bucket is recorded as the longest there is.
	_ = l.nanos.RecordValue(min(max(stamp()-stamped, 1), int64(latencyMax)))
}

// fillLatencies writes the percentiles over all shards to the report, and returns all latencies.
func (r *Report) fillLatencies(shards []*keyFn) *hdrhistogram.Histogram {
	all := newLatency().nanos
	for _, k := range shards {
		all.Merge(k.latency.nanos)
	}
	r.FillLatency(all)
	return all
}

// FillLatency fills in what a histogram of nanoseconds says.
func (r *Report) FillLatency(nanos *hdrhistogram.Histogram) {
	r.P50Micros = micros(nanos.ValueAtPercentile(50))
	r.P99Micros = micros(nanos.ValueAtPercentile(99))
	r.P999Micros = micros(nanos.ValueAtPercentile(99.9))
	r.MaxMicros = micros(nanos.Max())
}
