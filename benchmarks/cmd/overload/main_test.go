// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The test binary is also the command: a measurement starts it again.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == serveArg {
		os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// Everything is measured once, for too short a time to say how well: with a queue of which a few messages are too
// many, each overload is refused, and no row is without work done.
func TestMeasure(t *testing.T) {
	dir := t.TempDir()
	var stdout, stderr bytes.Buffer
	args := "-peak 1s -for 1s -backend memory:kept -queue 20000 -out " + dir
	if code := run(t.Context(), strings.Fields(args), nil, &stdout, &stderr); code == 2 {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	for _, l := range append(overHTTP[:len(overHTTP):len(overHTTP)], inProcess...) {
		if !strings.Contains(stdout.String(), "\n| "+l.name+" | ") {
			t.Errorf("the table has no %s:\n%s%s", l.name, stdout.String(), stderr.String())
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "overload-*.txt"))
	if err != nil || len(files) != 1 {
		t.Fatalf("raw output: %q, %v", files, err)
	}
	if raw, err := os.ReadFile(files[0]); err != nil || !strings.HasSuffix(string(raw), stdout.String()) {
		t.Errorf("the raw output does not end with the table: %s, %v", raw, err)
	}
}

func TestMisses(t *testing.T) {
	good := row{
		load: load{name: "x", times: 10}, counts: counts{Seconds: 2, Sent: 4000}, peak: 1000, executed: 900, queued: 120,
		median: 2 * epochInterval,
	}
	tests := []struct {
		name string
		edit func(*row)
		want []string
	}{
		{"good", func(*row) {}, nil},
		{"slow", func(r *row) { r.executed, r.cores = 899, 1.5 }, []string{"x: 90 % of the peak was executed, with 1.50 cores, want 90 %"}},
		{"nothing done, not even at the peak", func(r *row) { r.executed, r.peak = 0, 0 }, []string{"x: 0 % of the peak was executed, with 0.00 cores, want 90 %"}},
		{"full", func(r *row) { r.queued = 121 }, []string{"x: 121 bytes were queued, want at most 120"}},
		{"late", func(r *row) { r.median++ }, []string{"x: an epoch took 200.000001ms at the median, want at most 200ms"}},
		{"hardly any load", func(r *row) { r.Sent = 2999 }, []string{"x: 1500 a second were sent, which overloads nobody whose peak is 1000"}},
		{"a peak is no overload", func(r *row) { r.times, r.Sent = 0, 0 }, nil},
		{"late and full", func(r *row) { r.median, r.queued = time.Second, 500 }, []string{
			"x: 500 bytes were queued, want at most 120", "x: an epoch took 1s at the median, want at most 200ms",
		}},
	}
	for _, tt := range tests {
		r := good
		tt.edit(&r)
		if got := strings.Join(r.misses(100), "\n"); got != strings.Join(tt.want, "\n") {
			t.Errorf("%s: missed %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestIntervals(t *testing.T) {
	tests := []struct {
		name            string
		commits         []int64
		median, longest time.Duration // From 1000 to 2000.
	}{
		{"none", nil, 1000, 1000},
		{"one", []int64{1400}, 600, 600},
		{"regular", []int64{1100, 1200, 1300, 1400, 1500, 1600, 1700, 1800, 1900}, 100, 100},
		{"a stall", []int64{1100, 1200, 1300, 1800, 1900}, 100, 500},
		{"nothing at the beginning", []int64{1700, 1800, 1900}, 100, 700},
		{"nothing at the end", []int64{1100, 1200}, 100, 800},
		{"others, before and after", []int64{10, 990, 1500, 1900, 2010}, 400, 500},
	}
	for _, tt := range tests {
		median, longest := intervals(tt.commits, 1000, 2000)
		if median != tt.median*time.Microsecond || longest != tt.longest*time.Microsecond {
			t.Errorf("%s: %v and %v, want %d and %d µs", tt.name, median, longest, tt.median, tt.longest)
		}
	}
}

// What was done is counted between the first and the last sample, and what was sent over the whole load.
func TestTable(t *testing.T) {
	samples := []sample{
		{At: 1e6, Executed: 500, CPU: 2, RSS: 10 << 20, QueuedPeak: 1 << 20, Commits: []int64{0.5e6}},
		{At: 2e6, Executed: 1500, CPU: 3, RSS: 60 << 20, QueuedPeak: 2 << 20, Commits: []int64{1.1e6, 1.3e6}},
		{At: 3e6, Executed: 2300, CPU: 5, RSS: 30 << 20, QueuedPeak: 3 << 20, Commits: []int64{2.5e6, 2.7e6}},
	}
	c := counts{Seconds: 2, Sent: 20_000, Accepted: 2000, Refused: 17_990, Failed: 10, P50: 1, P99: 2.5}
	r := newRow(load{name: "x", times: 10}, 10_000, c, samples)
	r.peak, r.rssAtPeak = 1000, 30<<20
	want := "| x | 10000 | 10000 | 1000 | 8995 | 5 | 900 | 0.90 | 1.50 | 1.00 / 2.50 | 3.0 | 60 | 2.00 | 200 / 1200 |\n"
	if got := table([]row{r}, 16<<20); !strings.HasSuffix(got, want) {
		t.Errorf("the table is\n%swant\n%s", got, want)
	}
}

// What is neither accepted nor refused has failed, whether it was answered or not.
func TestParseReport(t *testing.T) {
	const line = `{"seconds":3,"requests":100,"invocations":50,"unsent":7,"statuses":{"202":50,"503":30,"429":5,"404":5},"errors":{"timeout":10},"p50_us":500,"p99_us":2000}`
	want := counts{Seconds: 3, Sent: 100, Accepted: 50, Refused: 35, Failed: 15, Unsent: 7, P50: 0.5, P99: 2}
	longer := want
	longer.Seconds = 5
	tests := []struct {
		out  string
		d    time.Duration
		want counts
		ok   bool
	}{
		{line, 2 * time.Second, want, true},
		{"something else\n" + line + "\n", 2 * time.Second, want, true},
		{line, 5 * time.Second, longer, true},
		{"", time.Second, counts{}, false},
		{line + "\npanic", time.Second, counts{}, false},
	}
	for _, tt := range tests {
		if got, err := parseReport([]byte(tt.out), tt.d); got != tt.want || (err == nil) != tt.ok {
			t.Errorf("parseReport(%q, %v) = %+v, %v; want %+v", tt.out, tt.d, got, err, tt.want)
		}
	}
}

func TestParseCPU(t *testing.T) {
	tests := map[string]float64{
		"7 (a) S 1 2 3 4 5 6 7 8 9 10 250 50 13 14":       3,
		"7 (a) b) c) S 1 2 3 4 5 6 7 8 9 10 250 50 13 14": 3,
		"7 (a) S 1": 0,
		"":          0,
	}
	for stat, want := range tests {
		if got := parseCPU(stat); got != want {
			t.Errorf("parseCPU(%q) = %v, want %v", stat, got, want)
		}
	}
}

func TestBadUse(t *testing.T) {
	for args, want := range map[string]int{
		"-for 10ms":            2,
		"-peak no":             2,
		"-backend s3":          2,
		"-only x":              2,
		"-queue 0":             2,
		"-hashes 0":            2,
		"-hashes-in-process 0": 2,
		"extra":                2,
		"-loadgen /nowhere":    1,
		"-serve {":             1,
		`-serve {"backend":"file","dir":"/dev/null/no"}`: 1,
	} {
		var stdout, stderr bytes.Buffer
		if got := run(t.Context(), strings.Fields(args), nil, &stdout, &stderr); got != want || stderr.Len() == 0 {
			t.Errorf("overload %s: exit code %d, stderr %q; want %d and a reason", args, got, stderr.String(), want)
		}
	}
}
