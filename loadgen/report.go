// SPDX-License-Identifier: Apache-2.0

package loadgen

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"time"
)

// Report is the outcome of a run. Its JSON keys and their order are part of the command-line contract
// (testdata/report.golden); a figure that a workload does not have is 0.
type Report struct {
	Workload            string  `json:"workload"`
	Keys                int     `json:"keys"`
	Dist                string  `json:"dist"`
	Messages            int64   `json:"messages"`              // That were to be executed, those that functions send included.
	Invocations         int64   `json:"invocations"`           // That were, in the measured part.
	Seconds             float64 `json:"seconds"`               // From the first message to the execution of the last.
	InvocationsPerS     float64 `json:"invocations_per_s"`     //
	P50Micros           float64 `json:"p50_us"`                // Of the time from a message's making to its execution,
	P99Micros           float64 `json:"p99_us"`                // sampled; under a load without pauses that is mostly
	P999Micros          float64 `json:"p999_us"`               // the time in queues.
	MaxMicros           float64 `json:"max_us"`                //
	BytesPerInstance    float64 `json:"bytes_per_instance"`    // Growth of the resident set, divided by the instances made.
	RSSBytes            int64   `json:"rss_bytes"`             // At the end of the measured part, load generator included.
	Epochs              int64   `json:"epochs"`                // Committed in the measured part, as are the next two.
	BytesCommitted      int64   `json:"bytes_committed"`       //
	DirtyEncoded        int64   `json:"dirty_encoded"`         //
	MaxStopMicros       float64 `json:"max_stop_us"`           // Longest stop of a shard for a cut, since the start.
	GCPauseP99Micros    float64 `json:"gc_pause_p99_us"`       //
	AllocsPerInvocation float64 `json:"allocs_per_invocation"` // Rounded to thousandths: a run's own few are no message's.
	Backend             string  `json:"backend"`               // As the flag has it; "memory" keeps nothing.
	Shards              int     `json:"shards"`                //
	EpochIntervalMillis float64 `json:"epoch_interval_ms"`     // 0: off.
	Verified            bool    `json:"verified"`              // The counters, read back, add up to the messages sent.
	Version             string  `json:"version"`               //
	Commit              string  `json:"commit"`                //

	// Figures of single workloads, which the others' reports do not have. All are of wall time: with more
	// shards, each takes as many times longer over it.
	HopNanos      float64 `json:"hop_ns,omitempty"`      // Ring: from key to key.
	InstanceNanos float64 `json:"instance_ns,omitempty"` // Skynet: for each leaf; the nodes above, a ninth as many, come on top.
	*TimerFigures
}

// TimerFigures are those of the workload timers. What the report says otherwise, its seconds, invocations and
// latencies among it, is of the messages that come due: a latency is how late they are executed.
type TimerFigures struct {
	StartNanos    float64 `json:"start_ns"`    // For each delayed message that is started,
	CancelNanos   float64 `json:"cancel_ns"`   // or cancelled by its token,
	FireNanos     float64 `json:"fire_ns"`     // or comes due and is executed.
	FiresPerS     float64 `json:"fires_per_s"` //
	KeptP99Micros float64 `json:"kept_p99_us"` // Time between two moments in which a shard takes messages, while all comes due.
	KeptMaxMicros float64 `json:"kept_max_us"` //
}

// Fill fills in what was done and used between two moments, in which there were r.Invocations in r.Seconds.
func (r *Report) Fill(before, after Usage) {
	r.InvocationsPerS = round(float64(r.Invocations)/r.Seconds, 1)
	r.AllocsPerInvocation = round(float64(after.mallocs-before.mallocs)/float64(max(r.Invocations, 1)), 3)
	r.GCPauseP99Micros = round(pauseP99(before.pauses, after.pauses)*1e6, 3)
	r.RSSBytes = after.resident
	r.Epochs = after.stats.EpochsCommitted - before.stats.EpochsCommitted
	r.BytesCommitted = after.stats.BytesCommitted - before.stats.BytesCommitted
	for i, s := range after.stats.Shards {
		r.DirtyEncoded += s.Encoded - before.stats.Shards[i].Encoded
		r.MaxStopMicros = max(r.MaxStopMicros, micros(s.MaxStop.Nanoseconds()))
	}
}

// WriteJSON writes r as one object on one line.
func (r Report) WriteJSON(w io.Writer) error { return WriteJSON(w, r) }

// WriteJSON writes a report as one object on one line.
func WriteJSON(w io.Writer, report any) error {
	b, err := json.Marshal(report)
	if err != nil {
		return fmt.Errorf("loadgen: report: %w", err)
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

// WriteText writes r for people.
func (r Report) WriteText(w io.Writer) error {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-12s "+format+"\n", append([]any{name}, args...)...)
	}
	line("workload", "%s, %s keys (%s), %s messages, %d shards", r.Workload, Count(int64(r.Keys)), r.Dist, Count(r.Messages), r.Shards)
	line("throughput", "%s invocations/s (%s in %.3f s)", Count(int64(r.InvocationsPerS)), Count(r.Invocations), r.Seconds)
	if r.HopNanos > 0 {
		line("ring", "%.1f ns per hop", r.HopNanos)
	}
	if r.InstanceNanos > 0 {
		line("skynet", "%.1f ns per leaf", r.InstanceNanos)
	}
	if t := r.TimerFigures; t != nil {
		line("timers", "%.1f ns to start, %.1f ns to cancel, %.1f ns to fire each; %s fires/s", t.StartNanos, t.CancelNanos, t.FireNanos, Count(int64(t.FiresPerS)))
		line("kept", "a shard from messages while all fire: p99 %.2f µs, max %.2f µs", t.KeptP99Micros, t.KeptMaxMicros)
	}
	if r.MaxMicros > 0 {
		line("latency", "p50 %.2f µs, p99 %.2f µs, p99.9 %.2f µs, max %.2f µs", r.P50Micros, r.P99Micros, r.P999Micros, r.MaxMicros)
	}
	memory := ""
	if r.BytesPerInstance > 0 {
		memory = fmt.Sprintf("%.0f bytes per instance, ", r.BytesPerInstance)
	}
	line("memory", "%s%s bytes resident, %.3f allocations per invocation, GC pause p99 %.0f µs", memory, Count(r.RSSBytes), r.AllocsPerInvocation, r.GCPauseP99Micros)
	line("epochs", "%d every %g ms to backend %s, %s states encoded, %s bytes, longest stop %.0f µs",
		r.Epochs, r.EpochIntervalMillis, r.Backend, Count(r.DirtyEncoded), Count(r.BytesCommitted), r.MaxStopMicros)
	line("verified", "%t", r.Verified)
	_, err := io.WriteString(w, b.String())
	return err
}

// Count writes n with its thousands set apart.
func Count(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// PerSecond is a rate, rounded as in reports.
func PerSecond(n int64, in time.Duration) float64 { return round(float64(n)/in.Seconds(), 1) }

// micros is nanoseconds in microseconds.
func micros(nanos int64) float64 { return round(float64(nanos)/1e3, 3) }

// round keeps the given number of decimals.
func round(x float64, decimals int) float64 {
	p := math.Pow10(decimals)
	return math.Round(x*p) / p
}
