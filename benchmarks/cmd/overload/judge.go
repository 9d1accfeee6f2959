// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/millrace-io/millrace/benchmarks/rounds"
)

// counts is what became of a load.
type counts struct {
	Seconds  float64 `json:"seconds"`
	Sent     int64   `json:"sent"`
	Accepted int64   `json:"accepted"`
	Refused  int64   `json:"refused"` // For want of credit.
	Failed   int64   `json:"failed"`  // Anything else.
	Unsent   int64   `json:"unsent"`  // Due, and the generator or its connections did not get to it.
	P50, P99 float64 `json:"-"`       // Milliseconds; 0: not measured.
}

// report is what loadgen http --json writes.
type report struct {
	Seconds     float64          `json:"seconds"`
	Requests    int64            `json:"requests"`
	Invocations int64            `json:"invocations"` // Answered with a status of 200 to 299.
	Unsent      int64            `json:"unsent"`
	Statuses    map[string]int64 `json:"statuses"`
	P50         float64          `json:"p50_us"`
	P99         float64          `json:"p99_us"`
}

// parseReport reads what was written: the report is the last line. A rate is of the time that it was asked for, at
// least.
func parseReport(out []byte, d time.Duration) (c counts, err error) {
	var r report
	out = bytes.TrimSpace(out)
	if err := json.Unmarshal(out[bytes.LastIndexByte(out, '\n')+1:], &r); err != nil {
		return counts{}, fmt.Errorf("report of loadgen: %w", err)
	}
	c = counts{
		Seconds: max(r.Seconds, d.Seconds()), Sent: r.Requests, Accepted: r.Invocations, Refused: r.Statuses["503"] + r.Statuses["429"],
		Unsent: r.Unsent, P50: r.P50 / 1e3, P99: r.P99 / 1e3,
	}
	c.Failed = c.Sent - c.Accepted - c.Refused
	return c, nil
}

// row is one load and what the engine did meanwhile.
type row struct {
	load
	counts
	asked, executed, peak float64 // A second.
	cores                 float64 // What the process has had of the processors.
	queued                int64   // The most bytes there have been so far.
	rss, rssAtPeak        int64
	median, longest       time.Duration // Between two commits.
}

func newRow(l load, asked float64, c counts, samples []sample) row {
	first, last := samples[0], samples[len(samples)-1]
	r := row{load: l, counts: c, asked: asked, queued: last.QueuedPeak}
	seconds := float64(last.At-first.At) / 1e6
	r.executed, r.cores = float64(last.Executed-first.Executed)/seconds, (last.CPU-first.CPU)/seconds
	var commits []int64
	for _, s := range samples {
		r.rss = max(r.rss, s.RSS)
		commits = append(commits, s.Commits...)
	}
	r.median, r.longest = intervals(commits, first.At, last.At)
	return r
}

// intervals is the median time between two commits, and the longest without one, within a time. All are in
// microseconds.
func intervals(commits []int64, begin, end int64) (median, longest time.Duration) {
	var gaps []float64
	last := begin
	for _, at := range commits {
		if at < begin || at > end {
			continue
		}
		if last != begin {
			gaps = append(gaps, float64(at-last))
		}
		longest = max(longest, time.Duration(at-last)*time.Microsecond)
		last = at
	}
	longest = max(longest, time.Duration(end-last)*time.Microsecond)
	if len(gaps) == 0 {
		return longest, longest
	}
	return time.Duration(rounds.Median(gaps)) * time.Microsecond, longest
}

// What must hold under overload.
const (
	shareMin    = 0.9 // Of the peak.
	queueMax    = 1.2 // Of the limit.
	intervalMax = 2 * epochInterval
	sentMin     = 1.5 // Times the peak: with less, nothing has been overloaded.
)

// misses is what does not hold.
func (r row) misses(queueBytesMax int64) (all []string) {
	miss := func(format string, args ...any) { all = append(all, r.name+": "+fmt.Sprintf(format, args...)) }
	if r.share() < shareMin {
		miss("%.0f %% of the peak was executed, with %.2f cores, want %.0f %%", 100*r.share(), r.cores, 100*shareMin)
	}
	if limit := queueMax * float64(queueBytesMax); float64(r.queued) > limit {
		miss("%d bytes were queued, want at most %.0f", r.queued, limit)
	}
	if r.median > intervalMax {
		miss("an epoch took %v at the median, want at most %v", r.median, intervalMax)
	}
	if r.times > 0 && r.perSecond(r.Sent) < sentMin*r.peak {
		miss("%.0f a second were sent, which overloads nobody whose peak is %.0f", r.perSecond(r.Sent), r.peak)
	}
	return all
}

func (r row) share() float64 { return r.executed / max(r.peak, 1) }

func (r row) perSecond(n int64) float64 { return float64(n) / r.Seconds }

// table has a row for each load. Latencies are of all requests, refused ones as well, from when they were due. Cores
// are what the engine's process has had of them: with less than at the peak, somebody else has overloaded the machine.
func table(rows []row, queueBytesMax int64) string {
	const mib = 1 << 20
	columns := []string{
		"load", "asked/s", "sent/s", "accepted/s", "refused/s", "failed/s", "executed/s", "of the peak", "cores", "p50 / p99 ms",
		fmt.Sprintf("queued MiB, limit %.3g", float64(queueBytesMax)/mib), "RSS MiB", "÷ at peak", "epochs ms, median / longest",
	}
	var b strings.Builder
	fmt.Fprintf(&b, "| %s |\n|%s\n", strings.Join(columns, " | "), strings.Repeat(" --- |", len(columns)))
	for _, r := range rows {
		asked, latency := "–", "–"
		if r.times > 0 {
			asked = fmt.Sprintf("%.0f", r.asked)
		}
		if r.times == flatOut {
			asked = "all"
		}
		if r.P99 > 0 {
			latency = fmt.Sprintf("%.2f / %.2f", r.P50, r.P99)
		}
		fmt.Fprintf(&b, "| %s | %s | %.0f | %.0f | %.0f | %.0f | %.0f | %.2f | %.2f | %s | %.1f | %.0f | %.2f | %d / %d |\n", r.name, asked,
			r.perSecond(r.Sent), r.perSecond(r.Accepted), r.perSecond(r.Refused), r.perSecond(r.Failed), r.executed, r.share(), r.cores, latency,
			float64(r.queued)/mib, float64(r.rss)/mib, float64(r.rss)/max(float64(r.rssAtPeak), 1), r.median.Milliseconds(), r.longest.Milliseconds())
	}
	return b.String()
}
