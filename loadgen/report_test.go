// SPDX-License-Identifier: Apache-2.0

package loadgen

import (
	"bytes"
	"flag"
	"math"
	"os"
	"runtime"
	"runtime/metrics"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var sample = Report{
	Workload: "counter", Keys: 1_000_000, Dist: "uniform", Messages: 20_000_000, Invocations: 20_000_000,
	Seconds: 1.25, InvocationsPerS: 16e6, P50Micros: 1.5, P99Micros: 20, P999Micros: 300.125, MaxMicros: 4000,
	BytesPerInstance: 96.5, RSSBytes: 1 << 30, Epochs: 12, BytesCommitted: 1 << 29, DirtyEncoded: 9_000_000,
	MaxStopMicros: 250, GCPauseP99Micros: 60, AllocsPerInvocation: 0, Backend: "memory", Shards: 2,
	EpochIntervalMillis: 100, Verified: true, Version: "v0.1.0", Commit: "0123abc",
}

// all has the figures of every workload.
func all() Report {
	r := sample
	r.HopNanos, r.InstanceNanos = 187.6, 1090
	r.TimerFigures = &TimerFigures{
		StartNanos: 243.8, CancelNanos: 173.8, FireNanos: 384.4, FiresPerS: 2_601_727.5, KeptP99Micros: 180.095, KeptMaxMicros: 414.207,
	}
	return r
}

// Programs read the report: its keys, their order and their units do not change unnoticed.
func TestReportGolden(t *testing.T) {
	for name, write := range map[string]func(*bytes.Buffer) error{
		"testdata/report.golden":      func(b *bytes.Buffer) error { return sample.WriteJSON(b) },
		"testdata/report_text.golden": func(b *bytes.Buffer) error { return sample.WriteText(b) },
		"testdata/all.golden":         func(b *bytes.Buffer) error { return all().WriteJSON(b) },
		"testdata/all_text.golden":    func(b *bytes.Buffer) error { return all().WriteText(b) },
	} {
		var got bytes.Buffer
		if err := write(&got); err != nil {
			t.Fatal(err)
		}
		if *update {
			if err := os.WriteFile(name, got.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%s:\ngot  %swant %s", name, got.Bytes(), want)
		}
	}
}

func TestCount(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1000: "-1,000", 1234567: "1,234,567", -999: "-999"} {
		if got := Count(n); got != want {
			t.Errorf("Count(%d) = %q, want %q", n, got, want)
		}
	}
}

// Only pauses between the two moments count, and the upper bound of the bucket is reported.
func TestPauseP99(t *testing.T) {
	buckets := []float64{math.Inf(-1), 1, 2, 3, math.Inf(1)}
	tests := []struct {
		before, after []uint64
		want          float64
	}{
		{nil, []uint64{0, 0, 0, 0}, 0},
		{nil, []uint64{99, 1, 0, 0}, 1},
		{nil, []uint64{98, 2, 0, 0}, 2},
		{[]uint64{0, 50, 0, 0}, []uint64{0, 50, 1, 0}, 3},
		{nil, []uint64{0, 0, 0, 1}, 3}, // Its upper bound is infinity.
	}
	for _, tt := range tests {
		before := metrics.Float64Histogram{Counts: tt.before}
		after := metrics.Float64Histogram{Counts: tt.after, Buckets: buckets}
		if got := pauseP99(before, after); got != tt.want {
			t.Errorf("pauses %v, then %v: p99 %v, want %v", tt.before, tt.after, got, tt.want)
		}
	}
}

func TestReadUsage(t *testing.T) {
	before := readProcess()
	runtime.GC()
	after := readProcess()
	if pauseP99(before.pauses, after.pauses) <= 0 {
		t.Error("a collection has left no pause: has the metric been renamed?")
	}
	if after.mallocs <= before.mallocs {
		t.Error("reading the metrics allocates, but no allocation was counted")
	}
	if runtime.GOOS == "linux" && residentBytes() <= 0 {
		t.Error("no resident set size on Linux")
	}
}

// Latencies of several shards add up, and one that is off the scale counts as the longest there is.
func TestLatencies(t *testing.T) {
	a, b := &keyFn{latency: newLatency()}, &keyFn{latency: newLatency()}
	for range 99 {
		a.latency.record(stamp() + int64(time.Hour)) // From the future: the shortest.
	}
	b.latency.record(stamp() - int64(time.Hour))
	var r Report
	r.fillLatencies([]*keyFn{a, b})
	if r.P50Micros != 0.001 || r.MaxMicros < 59e6 || r.MaxMicros > 61e6 {
		t.Errorf("p50 %v µs, max %v µs; want 0.001 and about a minute", r.P50Micros, r.MaxMicros)
	}
}

// Where there is no terminal, progress is a line now and then, and the last one is never left out.
func TestProgressLines(t *testing.T) {
	var b strings.Builder
	show := lines(&b, time.Hour)
	show(0, 2000)
	show(1000, 2000)
	show(2000, 2000)
	if got := b.String(); strings.Count(got, "\n") != 1 || !strings.HasPrefix(got, "2,000 of 2,000 invocations, ") {
		t.Errorf("progress is %q, want one line about the end", got)
	}
	b.Reset()
	show = lines(&b, 0)
	show(0, 2000)
	show(1000, 2000)
	if got := b.String(); !strings.HasPrefix(got, "1,000 of 2,000 invocations, ") {
		t.Errorf("progress is %q, want a line about the middle", got)
	}
}
