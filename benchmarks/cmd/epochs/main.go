// SPDX-License-Identifier: Apache-2.0

// Command epochs measures what exactly-once costs: the same load with epochs off, and with a checkpoint every
// 100 ms in each backend. The measurements take turns, each in a process of its own, and the medians of the
// rounds count.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"github.com/millrace-io/millrace/benchmarks/rounds"
	"github.com/millrace-io/millrace/loadgen/keys"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// setting is how checkpoints are taken.
type setting struct {
	name, backend, interval string
	floor                   float64 // What must be left of the rate without epochs; 0: nothing is asked.
}

const interval = "100ms"

var settings = []setting{
	{name: "off", backend: "memory", interval: "off"},
	{name: "memory", backend: "memory", interval: interval, floor: 0.85},
	{name: "memory:kept", backend: "memory:kept", interval: interval},
	{name: "file", backend: "file://", interval: interval, floor: 0.50},
	{name: "pebble", backend: "pebble://", interval: interval},
}

// load is what is measured.
type load struct {
	keys, messages int
	loadgen, dir   string // The command, and where stores are made.
}

// result is one measurement, as loadgen --json reports it.
type result struct {
	PerSecond      float64 `json:"invocations_per_s"`
	Seconds        float64 `json:"seconds"`
	Epochs         float64 `json:"epochs"`
	BytesCommitted float64 `json:"bytes_committed"`
	MaxStopMicros  float64 `json:"max_stop_us"`
	Verified       bool    `json:"verified"`

	behind float64 // Epochs that the base has been behind the log, at most.
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (code int) {
	set := flag.NewFlagSet("epochs", flag.ContinueOnError)
	set.SetOutput(stderr)
	count := set.Int("rounds", 5, "how often everything is measured; medians are reported")
	var l load
	set.IntVar(&l.keys, "keys", 1_000_000, "number of keys")
	set.IntVar(&l.messages, "messages", 60_000_000, "messages of one measurement: enough for the first epochs, whose buffers grow, not to count")
	set.StringVar(&l.loadgen, "loadgen", "", "the command loadgen; built when empty")
	out := set.String("out", filepath.Join("benchmarks", "results"), "folder for the raw output")
	if err := set.Parse(args); err != nil {
		return 2
	}
	if *count < 1 || set.NArg() > 0 || l.keys < 1 || l.keys > keys.KeysMax || l.messages < 1 || l.messages > keys.MessagesMax {
		fmt.Fprintln(stderr, "epochs: want no arguments, and -rounds, -keys and -messages above 0")
		return 2
	}
	if err := compare(ctx, *count, l, *out, stdout, stderr); err != nil {
		fmt.Fprintln(stderr, "epochs:", err)
		return 1
	}
	return 0
}

func compare(ctx context.Context, count int, l load, out string, stdout, stderr io.Writer) (err error) {
	if l.dir, err = os.MkdirTemp("", "epochs"); err != nil {
		return err
	}
	defer os.RemoveAll(l.dir)
	if l.loadgen == "" {
		if l.loadgen, err = rounds.BuildLoadgen(ctx, l.dir); err != nil {
			return err
		}
	}
	results := map[string][]result{}
	var raw strings.Builder
	fmt.Fprintf(&raw, "# counter, %d keys, %d messages\n%5s %-7s %14s %10s %14s %12s %7s\n",
		l.keys, l.messages, "round", "epochs", "invocations/s", "committed", "bytes", "max stop µs", "behind")
	for round := 1; round <= count; round++ {
		for _, s := range settings {
			r, err := l.measure(ctx, s, round)
			if err != nil {
				return fmt.Errorf("round %d: %s: %w", round, s.name, err)
			}
			results[s.name] = append(results[s.name], r)
			line := fmt.Sprintf("%5d %-7s %14.0f %10.0f %14.0f %12.0f %7.0f\n",
				round, s.name, r.PerSecond, r.Epochs, r.BytesCommitted, r.MaxStopMicros, r.behind)
			raw.WriteString(line)
			io.WriteString(stderr, line)
		}
	}
	summary := table(results)
	name, err := rounds.Save(ctx, out, "epochs", raw.String()+"\n"+summary)
	if err != nil {
		return err
	}
	fmt.Fprintf(stderr, "raw output: %s\n", name)
	_, err = io.WriteString(stdout, summary)
	return err
}

func (l load) measure(ctx context.Context, s setting, seed int) (r result, err error) {
	where := s.backend
	if strings.HasSuffix(where, "://") {
		where += l.dir
	}
	cmd := exec.CommandContext(ctx, l.loadgen, "engine", "--json", "--workload", "counter",
		"--keys", strconv.Itoa(l.keys), "--messages", strconv.Itoa(l.messages), "--seed", strconv.Itoa(seed),
		"--backend", where, "--epoch-interval", s.interval)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return result{}, fmt.Errorf("loadgen: %w: %s", err, bytes.TrimSpace(said.Bytes()))
	}
	if r, err = parseReport(out); err != nil {
		return result{}, err
	}
	if m := behind.FindSubmatch(said.Bytes()); m != nil {
		r.behind, err = strconv.ParseFloat(string(m[1]), 64)
	}
	return r, err
}

// behind is what loadgen says, besides its report, of a backend whose base follows a log.
var behind = regexp.MustCompile(`the base was at most (\d+) epochs`)

// parseReport reads what loadgen --json has written: the report is its last line.
func parseReport(out []byte) (r result, err error) {
	out = bytes.TrimSpace(out)
	if err := json.Unmarshal(out[bytes.LastIndexByte(out, '\n')+1:], &r); err != nil {
		return result{}, fmt.Errorf("report of loadgen: %w", err)
	}
	if !r.Verified || r.PerSecond <= 0 {
		return result{}, errors.New("report of loadgen: not verified")
	}
	return r, nil
}

// table shows the medians, and what is left of the rate without epochs.
func table(results map[string][]result) string {
	median := func(name string, of func(result) float64) float64 {
		var values []float64
		for _, r := range results[name] {
			values = append(values, of(r))
		}
		return rounds.Median(values)
	}
	perSecond := func(r result) float64 { return r.PerSecond }
	var b strings.Builder
	b.WriteString("| checkpoints | million/s | ÷ off | floor | interval ms | MB/epoch | MB/s | longest stop µs | base behind |\n" + "|" + strings.Repeat(" --- |", 9) + "\n")
	for _, s := range settings {
		rate := median(s.name, perSecond)
		fmt.Fprintf(&b, "| %s | %.2f | %.2f | %.2f | %.0f | %.1f | %.0f | %.0f | %.0f |\n", s.name, rate/1e6, rate/median(settings[0].name, perSecond), s.floor,
			median(s.name, func(r result) float64 { return r.Seconds * 1e3 * min(r.Epochs, 1) / max(r.Epochs, 1) }),
			median(s.name, func(r result) float64 { return r.BytesCommitted / 1e6 / max(r.Epochs, 1) }),
			median(s.name, func(r result) float64 { return r.BytesCommitted / 1e6 / r.Seconds }),
			median(s.name, func(r result) float64 { return r.MaxStopMicros }), median(s.name, func(r result) float64 { return r.behind }))
	}
	return b.String()
}
