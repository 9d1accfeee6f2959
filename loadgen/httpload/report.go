// SPDX-License-Identifier: Apache-2.0

package httpload

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace-io/millrace/loadgen"
)

// Report is the outcome of a run.
type Report struct {
	// Report is what every report has. Messages are the requests that came due, invocations those that were
	// answered with a status of 200 to 299; what has to do with an engine is 0 or empty. Latencies are of all
	// requests, failed ones too, from when they were due; of one that was never sent, until the end. Verified
	// is false: what the server keeps is not read back.
	loadgen.Report
	URL             string           `json:"url"`
	Method          string           `json:"method"`
	Connections     int              `json:"connections"`
	Arrivals        Arrivals         `json:"arrivals"`
	RateAskedPerS   float64          `json:"rate_asked_per_s"`   // 0 of a closed loop.
	RateReachedPerS float64          `json:"rate_reached_per_s"` // Answers, whatever their status.
	Requests        int64            `json:"requests"`           // That were sent.
	Unsent          int64            `json:"unsent"`             // Requests that were due and found no connection in time.
	Statuses        map[string]int64 `json:"statuses"`           // Answers by status.
	Errors          map[string]int64 `json:"errors"`             // Requests without an answer, by reason.
}

func newReport(c Config, r *results, before loadgen.Usage) Report {
	answered, succeeded := r.answered()
	out := Report{
		Report: loadgen.Report{
			Workload: "http", Messages: r.done + r.unsent, Invocations: succeeded, Seconds: r.end.Seconds(),
			Version: c.Version, Commit: c.Commit,
		},
		URL: c.URL, Method: c.Method, Connections: c.Connections, Arrivals: c.Arrivals, RateAskedPerS: c.Rate,
		Requests: r.done, Unsent: r.unsent, Statuses: map[string]int64{}, Errors: r.errors,
	}
	if c.keyed() {
		out.Keys, out.Dist = c.Keys, string(c.Dist)
	}
	for status, n := range r.statuses {
		out.Statuses[strconv.Itoa(status)] = n
	}
	out.Fill(before, loadgen.ReadUsage(nil))
	out.FillLatency(r.latency)
	took := r.end
	if c.Arrivals != Closed {
		took = max(took, c.Duration) // Behind the last request there may be none for a while.
	}
	out.RateReachedPerS = loadgen.PerSecond(answered, took)
	return out
}

// WriteJSON writes r as one object on one line.
func (r Report) WriteJSON(w io.Writer) error { return loadgen.WriteJSON(w, r) }

// WriteText writes r for people.
func (r Report) WriteText(w io.Writer) error {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-12s "+format+"\n", append([]any{name}, args...)...)
	}
	line("http", "%s %s, %d connections", r.Method, r.URL, r.Connections)
	asked, from := "", "when due"
	if r.Arrivals == Closed {
		from = "sending: in this closed loop a stall is one slow request"
	} else {
		asked = fmt.Sprintf("%s requests/s asked for, %s; ", rate(r.RateAskedPerS), r.Arrivals)
	}
	line("rate", "%s%s answers/s reached (%s requests in %.3f s)", asked, rate(r.RateReachedPerS), loadgen.Count(r.Requests), r.Seconds)
	line("latency", "p50 %.3f ms, p99 %.3f ms, p99.9 %.3f ms, max %.3f ms, from %s",
		r.P50Micros/1e3, r.P99Micros/1e3, r.P999Micros/1e3, r.MaxMicros/1e3, from)
	line("statuses", "%s", list(r.Statuses))
	if len(r.Errors) > 0 {
		line("errors", "%s", list(r.Errors))
	}
	if r.Unsent > 0 {
		line("unsent", "%s requests were due and found no connection: the server cannot carry the rate over so many", loadgen.Count(r.Unsent))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// rate writes a rate, small ones not only to the whole number.
func rate(x float64) string {
	const small = 1000
	if x < small {
		return strconv.FormatFloat(x, 'f', -1, 64)
	}
	return loadgen.Count(int64(math.Round(x)))
}

// list writes counts by name.
func list(counts map[string]int64) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, loadgen.Count(counts[name])+" × "+name)
	}
	return strings.Join(parts, ", ")
}
