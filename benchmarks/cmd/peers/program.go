// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"github.com/millrace-io/millrace/benchmarks/plaingo"
	"github.com/millrace-io/millrace/benchmarks/protoactor"
	"github.com/millrace-io/millrace/benchmarks/rounds"
	"github.com/millrace-io/millrace/loadgen/keys"
)

// cell is one comparison.
type cell struct {
	workload string
	keys     int
	// messages is how many are sent to fast programs, slow to those that would take minutes over them. What
	// is compared is messages per second, so that the counts need not be the same: they have to be long
	// enough to measure, on each side.
	messages, slow int
}

// plan is everything that is measured in a round.
func plan(keyCounts []int, scale float64) (cells []cell) {
	for _, workload := range []string{"counter", "relay"} {
		for _, n := range keyCounts {
			c := cell{workload: workload, keys: n}
			switch {
			case n <= 10_000:
				c.messages, c.slow = 40_000_000, 10_000_000
			case n <= 100_000:
				c.messages, c.slow = 20_000_000, 1_000_000
			default:
				c.messages, c.slow = 20_000_000, 2_000_000
			}
			c.messages = max(1, int(float64(c.messages)*scale))
			c.slow = max(1, int(float64(c.slow)*scale))
			cells = append(cells, c)
		}
	}
	return cells
}

// parseKeyCounts reads numbers with commas between them.
func parseKeyCounts(s string) (counts []int, err error) {
	for field := range strings.SplitSeq(s, ",") {
		n, err := strconv.Atoi(field)
		if err != nil || n < 1 || n > keys.KeysMax {
			return nil, fmt.Errorf("-keys: %q, want numbers from 1 to %d with commas between them", field, keys.KeysMax)
		}
		counts = append(counts, n)
	}
	return counts, nil
}

// program is one of those that are compared.
type program struct {
	name string
	slow bool
	// run runs a workload and returns the messages executed in a second; by workload. nil for Millrace,
	// which is a command.
	run map[string]func(keys.Load) (perSecond float64, err error)
}

const millrace = "millrace"

var programs = []program{
	{name: millrace},
	{name: "plain Go", run: map[string]func(keys.Load) (float64, error){
		"counter": plaingo.Counter, "relay": plaingo.Relay,
	}},
	{name: "protoactor-go", slow: true, run: map[string]func(keys.Load) (float64, error){
		"counter": protoactor.Counter, "relay": protoactor.Relay,
	}},
}

// measure runs a program in a process of its own.
func (p program) measure(ctx context.Context, loadgen string, c cell, seed uint64) (perSecond float64, err error) {
	messages := c.messages
	if p.slow {
		messages = c.slow
	}
	load := []string{strconv.Itoa(c.keys), strconv.Itoa(messages), string(keys.Uniform), strconv.FormatUint(seed, 10)}
	if p.name == millrace {
		out, err := rounds.Output(exec.CommandContext(ctx, loadgen, "engine", "--json", "--workload", c.workload,
			"--keys", load[0], "--messages", load[1], "--dist", load[2], "--seed", load[3]))
		if err != nil {
			return 0, err
		}
		return parseReport(out)
	}
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	out, err := rounds.Output(exec.CommandContext(ctx, self, append([]string{childArg, p.name, c.workload}, load...)...))
	if err != nil {
		return 0, err
	}
	return strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
}

// parseReport reads what loadgen --json has written: the report is its last line.
func parseReport(out []byte) (perSecond float64, err error) {
	out = bytes.TrimSpace(out)
	var report struct {
		PerSecond float64 `json:"invocations_per_s"`
		Verified  bool    `json:"verified"`
	}
	if err := json.Unmarshal(out[bytes.LastIndexByte(out, '\n')+1:], &report); err != nil {
		return 0, fmt.Errorf("report of loadgen: %w", err)
	}
	if !report.Verified || report.PerSecond <= 0 {
		return 0, errors.New("report of loadgen: not verified")
	}
	return report.PerSecond, nil
}

// childArg is the first argument of a process that is to run one program once:
// PROGRAM WORKLOAD KEYS MESSAGES DIST SEED. It writes the messages per second to stdout.
const childArg = "-one"

func child(args []string, stdout, stderr io.Writer) (code int) {
	perSecond, err := one(args)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	fmt.Fprintln(stdout, perSecond)
	return 0
}

func one(args []string) (perSecond float64, err error) {
	if len(args) != 6 {
		return 0, fmt.Errorf("%d arguments, want PROGRAM WORKLOAD KEYS MESSAGES DIST SEED", len(args))
	}
	keyCount, err1 := strconv.Atoi(args[2])
	messages, err2 := strconv.Atoi(args[3])
	seed, err3 := strconv.ParseUint(args[5], 10, 64)
	if err := errors.Join(err1, err2, err3); err != nil {
		return 0, err
	}
	for _, p := range programs {
		if run := p.run[args[1]]; p.name == args[0] && run != nil {
			return run(keys.Load{Keys: keyCount, Messages: messages, Dist: keys.Dist(args[4]), Seed: seed})
		}
	}
	return 0, fmt.Errorf("no program %q with a workload %q", args[0], args[1])
}
