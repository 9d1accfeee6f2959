// SPDX-License-Identifier: Apache-2.0

package loadgen

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
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
	Backend             string  `json:"backend"`               // "none" is volatile.
	Shards              int     `json:"shards"`                //
	EpochIntervalMillis float64 `json:"epoch_interval_ms"`     // 0: off.
	Verified            bool    `json:"verified"`              // The counters, read back, add up to the messages sent.
	Version             string  `json:"version"`               //
	Commit              string  `json:"commit"`                //
}

// Fill fills in what was done and used between two moments, in which there were r.Invocations in r.Seconds.
func (r *Report) Fill(before, after Usage) {
	r.InvocationsPerS = round(float64(r.Invocations)/r.Seconds, 1)
	r.AllocsPerInvocation = round(float64(after.mallocs-before.mallocs)/float64(r.Invocations), 3)
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
func (r Report) WriteJSON(w io.Writer) error {
	b, err := json.Marshal(r)
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
	line("workload", "%s, %s keys (%s), %s messages, %d shards", r.Workload, count(int64(r.Keys)), r.Dist, count(r.Messages), r.Shards)
	line("throughput", "%s invocations/s (%s in %.3f s)", count(int64(r.InvocationsPerS)), count(r.Invocations), r.Seconds)
	if r.MaxMicros > 0 {
		line("latency", "p50 %.2f µs, p99 %.2f µs, p99.9 %.2f µs, max %.2f µs", r.P50Micros, r.P99Micros, r.P999Micros, r.MaxMicros)
	}
	memory := ""
	if r.BytesPerInstance > 0 {
		memory = fmt.Sprintf("%.0f bytes per instance, ", r.BytesPerInstance)
	}
	line("memory", "%s%s bytes resident, %.3f allocations per invocation, GC pause p99 %.0f µs", memory, count(r.RSSBytes), r.AllocsPerInvocation, r.GCPauseP99Micros)
	line("epochs", "%d every %g ms to backend %s, %s states encoded, %s bytes, longest stop %.0f µs",
		r.Epochs, r.EpochIntervalMillis, r.Backend, count(r.DirtyEncoded), count(r.BytesCommitted), r.MaxStopMicros)
	line("verified", "%t", r.Verified)
	_, err := io.WriteString(w, b.String())
	return err
}

// count writes n with its thousands set apart.
func count(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// micros is nanoseconds in microseconds.
func micros(nanos int64) float64 { return round(float64(nanos)/1e3, 3) }

// round keeps the given number of decimals.
func round(x float64, decimals int) float64 {
	p := math.Pow10(decimals)
	return math.Round(x*p) / p
}
