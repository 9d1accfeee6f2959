// SPDX-License-Identifier: Apache-2.0

package remote

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace-io/millrace/loadgen"
	"github.com/millrace-io/millrace/loadgen/keys"
)

// Report is the outcome of a run. Figures are medians over the rounds; the ratio is the median of the rounds'
// ratios, because rounds differ by more than the two sides of one.
type Report struct {
	// Report is what every report has: here of the engine's side alone, in all rounds of all figures. See total.
	loadgen.Report
	Network      string    `json:"network"`
	Server       string    `json:"server,omitempty"`
	Connections  int       `json:"connections"`
	Rounds       int       `json:"rounds"`
	RoundSeconds float64   `json:"round_seconds"` // Of each side in each round.
	Figures      []Figures `json:"figures"`
}

// Figures are those for one number of invocations in a request.
type Figures struct {
	InvocationsPerRequest int     `json:"invocations_per_request"` // That were wanted.
	Reached               float64 `json:"reached"`                 // The engine's mean.
	Keys                  int     `json:"keys"`
	BareInvocationsPerS   float64 `json:"bare_invocations_per_s"`
	BareRequestsPerS      float64 `json:"bare_requests_per_s"`
	BareP50Micros         float64 `json:"bare_p50_us"` // Of a request, as are the others.
	BareP99Micros         float64 `json:"bare_p99_us"`
	InvocationsPerS       float64 `json:"invocations_per_s"`
	RequestsPerS          float64 `json:"requests_per_s"`
	P50Micros             float64 `json:"p50_us"`
	P99Micros             float64 `json:"p99_us"`
	Ratio                 float64 `json:"ratio"`              // Of the engine's invocations to those of the bare client.
	BareCPUMicros         float64 `json:"bare_cpu_us"`        // Processor time for a request, of this process,
	BareServerCPUMicros   float64 `json:"bare_server_cpu_us"` // and of the one that serves.
	CPUMicros             float64 `json:"cpu_us"`
	ServerCPUMicros       float64 `json:"server_cpu_us"`
	// CPURatio is what Ratio would be if nothing but the processor time of both processes mattered. It
	// hardly depends on what else the machine does.
	CPURatio float64 `json:"cpu_ratio"`
	// Verified says that the counters, read back, are what was sent to them, and that the SDK has run
	// exactly as much as both sides have had run.
	Verified bool `json:"verified"`
}

func newReport(c Config) Report {
	return Report{
		Report: loadgen.Report{
			Workload: "remote", Dist: string(keys.Uniform), Backend: "memory", Shards: c.Shards,
			EpochIntervalMillis: float64(epochInterval.Milliseconds()), Verified: true, Version: c.Version, Commit: c.Commit,
		},
		Network: string(c.Network), Server: string(c.Server), Connections: c.Connections,
		Rounds: c.Rounds, RoundSeconds: c.Each.Seconds(),
	}
}

// total fills in what the engine's sides come to. What does not add up is that of the worst round, and
// latencies are those of requests. Bytes per instance stay 0: the instances are not measured.
func (r *Report) total(rounds []round) {
	all, allocs := newLatency(), 0.0
	for i := range rounds {
		s := &rounds[i].millrace
		r.Messages += s.report.Messages
		r.Invocations += s.report.Invocations
		r.Seconds += s.report.Seconds
		r.Epochs += s.report.Epochs
		r.BytesCommitted += s.report.BytesCommitted
		r.DirtyEncoded += s.report.DirtyEncoded
		r.RSSBytes = max(r.RSSBytes, s.report.RSSBytes)
		r.MaxStopMicros = max(r.MaxStopMicros, s.report.MaxStopMicros)
		r.GCPauseP99Micros = max(r.GCPauseP99Micros, s.report.GCPauseP99Micros)
		allocs += s.report.AllocsPerInvocation * float64(s.report.Invocations)
		all.nanos.Merge(s.latency.nanos)
	}
	r.Seconds = roundTo(r.Seconds, 6)
	r.InvocationsPerS = roundTo(float64(r.Invocations)/r.Seconds, 1)
	r.AllocsPerInvocation = roundTo(allocs/float64(r.Invocations), 3)
	r.P50Micros, r.P99Micros, r.P999Micros, r.MaxMicros = all.micros(50), all.micros(99), all.micros(99.9), all.micros(100)
}

func (r *Report) add(invocations, keyCount int, rounds []round) {
	median := func(decimals int, of func(round) float64) float64 {
		all := make([]float64, len(rounds))
		for i, round := range rounds {
			all[i] = of(round)
		}
		slices.Sort(all)
		return roundTo((all[(len(all)-1)/2]+all[len(all)/2])/2, decimals)
	}
	f := Figures{
		InvocationsPerRequest: invocations, Keys: keyCount,
		Reached:             median(2, func(r round) float64 { return float64(r.millrace.invocations) / float64(r.millrace.requests) }),
		BareInvocationsPerS: median(1, func(r round) float64 { return r.bare.invocationsPerS() }),
		BareRequestsPerS:    median(1, func(r round) float64 { return r.bare.requestsPerS() }),
		BareP50Micros:       median(1, func(r round) float64 { return r.bare.latency.micros(50) }),
		BareP99Micros:       median(1, func(r round) float64 { return r.bare.latency.micros(99) }),
		InvocationsPerS:     median(1, func(r round) float64 { return r.millrace.invocationsPerS() }),
		RequestsPerS:        median(1, func(r round) float64 { return r.millrace.requestsPerS() }),
		P50Micros:           median(1, func(r round) float64 { return r.millrace.latency.micros(50) }),
		P99Micros:           median(1, func(r round) float64 { return r.millrace.latency.micros(99) }),
		Ratio:               median(3, round.ratio),
		BareCPUMicros:       median(1, func(r round) float64 { return r.bare.cpuMicros(r.bare.cpu) }),
		BareServerCPUMicros: median(1, func(r round) float64 { return r.bare.cpuMicros(r.bare.served) }),
		CPUMicros:           median(1, func(r round) float64 { return r.millrace.cpuMicros(r.millrace.cpu) }),
		ServerCPUMicros:     median(1, func(r round) float64 { return r.millrace.cpuMicros(r.millrace.served) }),
		CPURatio:            median(3, round.cpuRatio),
		Verified:            !slices.ContainsFunc(rounds, func(r round) bool { return !r.bare.verified || !r.millrace.verified }),
	}
	r.Figures = append(r.Figures, f)
	r.Keys = max(r.Keys, keyCount)
	r.Verified = r.Verified && f.Verified
}

// WriteJSON writes r as one object on one line.
func (r Report) WriteJSON(w io.Writer) error { return loadgen.WriteJSON(w, r) }

// WriteText writes r for people.
func (r Report) WriteText(w io.Writer) error {
	var b strings.Builder
	served := r.Network
	if r.Server != "" {
		served += ", SDK behind " + r.Server + " in a second process"
	}
	fmt.Fprintf(&b, "%s; %d connections, %d shards, medians of %d rounds of %g s\n", served, r.Connections, r.Shards, r.Rounds, r.RoundSeconds)
	line := func(cells ...any) {
		const row = "%9s %-9s %11s %10s %9s %9s %8s %8s %9s %6s %7s"
		b.WriteString(strings.TrimRight(fmt.Sprintf(row, cells...), " ") + "\n")
	}
	line("wanted", "", "inv/s", "requests/s", "reached", "p50 µs", "p99 µs", "CPU µs", "served µs", "ratio", "by CPU")
	for _, f := range r.Figures {
		line(grouped(float64(f.InvocationsPerRequest)), "bare", grouped(f.BareInvocationsPerS), grouped(f.BareRequestsPerS),
			"", short(f.BareP50Micros, 0), short(f.BareP99Micros, 0), short(f.BareCPUMicros, 1), short(f.BareServerCPUMicros, 1), "", "")
		line("", "Millrace", grouped(f.InvocationsPerS), grouped(f.RequestsPerS), short(f.Reached, 2),
			short(f.P50Micros, 0), short(f.P99Micros, 0), short(f.CPUMicros, 1), short(f.ServerCPUMicros, 1), short(f.Ratio, 3), short(f.CPURatio, 3))
	}
	fmt.Fprintf(&b, "verified  %t\n", r.Verified)
	_, err := io.WriteString(w, b.String())
	return err
}

// short writes x with so many decimals.
func short(x float64, decimals int) string { return strconv.FormatFloat(x, 'f', decimals, 64) }

// grouped writes the whole part of x with its thousands set apart.
func grouped(x float64) string { return loadgen.Count(int64(math.Round(x))) }

// roundTo keeps the given number of decimals.
func roundTo(x float64, decimals int) float64 {
	p := math.Pow10(decimals)
	return math.Round(x*p) / p
}
