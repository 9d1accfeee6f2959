// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/benchmarks/workload"
	"github.com/millrace-io/millrace/loadgen/keys"
)

// small is the plan with few keys and messages: every workload, so that all programs run all of them.
func small() []cell {
	cells := plan(1)
	for i := range cells {
		c := &cells[i]
		c.messages, c.slow = 3000, 3000
		switch c.workload {
		case workload.Counter, workload.Relay, workload.Memory:
			c.keys = min(c.keys, 1000)
		case workload.Skynet:
			c.keys = 100
		}
		if c.workload == workload.Skynet || c.workload == workload.Memory {
			c.messages, c.slow = 0, 0
		}
	}
	return cells
}

// Everything is measured once with the real commands: the table has a row for each workload, with a figure in
// every column, and the files have every measurement.
func TestCompare(t *testing.T) {
	dir := t.TempDir()
	var stdout, stderr bytes.Buffer
	o := options{cells: small(), rounds: 1, scale: 0.001, out: dir, stdout: &stdout, stderr: &stderr}
	if err := o.compare(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	table := stdout.String()
	if got, want := strings.Count(table, "\n"), len(o.cells)+2; got != want {
		t.Errorf("the table has %d lines, want %d:\n%s", got, want, table)
	}
	if strings.Contains(table, "–") {
		t.Errorf("a figure is missing:\n%s", table)
	}
	r, err := latest(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(r.Measurements), len(o.cells)*len(programs); got != want {
		t.Errorf("%d measurements were kept, want %d", got, want)
	}
	for _, m := range r.Measurements {
		if m.Value <= 0 || len(m.Command) < 5 || filepath.IsAbs(m.Command[0]) {
			t.Errorf("measurement %+v", m)
		}
	}
	for _, p := range programs {
		if p.framework() && !strings.HasPrefix(r.Versions[p.name], "v") {
			t.Errorf("version of %s: %q", p.name, r.Versions[p.name])
		}
	}
	if r.Machine.Cores < 1 || r.Commit == "" || r.Taken == "" {
		t.Errorf("the results do not say where they come from: %+v", r)
	}
	for ext, want := range map[string]string{".txt": table, ".svg": "goakt"} {
		files, err := filepath.Glob(filepath.Join(dir, "peers-*"+ext))
		if err != nil || len(files) != 1 {
			t.Fatalf("files %s: %q, %v", ext, files, err)
		}
		text, err := os.ReadFile(files[0])
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), want) {
			t.Errorf("%s has no %q:\n%s", files[0], want, text)
		}
	}
}

// The picture is well-formed, and without rates there is none.
func TestPlot(t *testing.T) {
	file := filepath.Join(t.TempDir(), "plot.svg")
	if err := (results{}).plot(plan(1), file); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("a picture of nothing was drawn")
	}
	if err := sample().plot(plan(1), file); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for d := xml.NewDecoder(f); ; {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// A report that is not verified is no measurement, however fast.
func TestParseReport(t *testing.T) {
	counter, memory, skynet := cell{workload: workload.Counter}, cell{workload: workload.Memory}, cell{workload: workload.Skynet, keys: 10}
	tests := []struct {
		out  string
		cell cell
		want float64
	}{
		{`{"invocations_per_s":5,"verified":true}`, counter, 5},
		{"something else\n" + `{"invocations_per_s":5,"verified":true}` + "\n", counter, 5},
		{`{"bytes_per_instance":96,"invocations_per_s":5,"verified":true}`, memory, 96},
		{`{"seconds":2,"invocations_per_s":5,"verified":true}`, skynet, 5.5},
		{`{"invocations_per_s":5,"verified":false}`, counter, 0},
		{`{"verified":true}`, counter, 0},
		{`{"invocations_per_s":5,"verified":true}`, memory, 0},
		{"", counter, 0},
		{"panic", counter, 0},
	}
	for _, tt := range tests {
		if got, err := parseReport([]byte(tt.out), tt.cell); got != tt.want || (err == nil) != (tt.want > 0) {
			t.Errorf("parseReport(%q) of %s = %v, %v; want %v", tt.out, tt.cell.workload, got, err, tt.want)
		}
	}
}

// The same load for all, but that frameworks get fewer messages.
func TestArgs(t *testing.T) {
	c := cell{name: "x", workload: workload.Counter, keys: 7, dist: keys.Zipf, messages: 9, slow: 3}
	ring := cell{workload: workload.PingPong, keys: 2, across: true, messages: 5, slow: 5}
	tests := []struct {
		program program
		cell    cell
		want    string
	}{
		{programs[0], c, "engine --json --workload counter --keys 7 --seed 4 --messages 9 --dist zipf"},
		{programs[0], ring, "engine --json --workload pingpong --keys 2 --seed 4 --messages 5 --across"},
		{programs[1], c, "counter 7 9 zipf 4"},
		{programs[2], c, "counter 7 3 zipf 4"},
		{programs[2], ring, "pingpong 2 5 uniform 4"},
	}
	for _, tt := range tests {
		if got := strings.Join(tt.program.args(tt.cell, 4), " "); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.program.name, got, tt.want)
		}
	}
}

// A command that fails is in the results, and the run goes on.
func TestFailure(t *testing.T) {
	m := program{name: "gone"}.measure(t.Context(), filepath.Join(t.TempDir(), "gone"), plan(1)[0], 1)
	if m.Error == "" || m.Value != 0 {
		t.Errorf("%+v", m)
	}
	r := results{Measurements: []measurement{m}}
	if err := r.failures(); err == nil || !strings.Contains(err.Error(), "counter/1000: gone") {
		t.Errorf("failures: %v", err)
	}
	if line := m.line(plan(1)[0]); !strings.Contains(line, "failed: ") || strings.Count(line, "\n") != 1 {
		t.Errorf("%q", line)
	}
}

func TestBadUse(t *testing.T) {
	for args, want := range map[string]int{
		"-rounds 0":                    2,
		"-scale 0":                     2,
		"-scale 101":                   2,
		"-rounds x":                    2,
		"-only (":                      2,
		"-only nothing-is-named-so":    2,
		"extra":                        2,
		"-readme -out /nowhere/at/all": 1,
	} {
		var stdout, stderr bytes.Buffer
		if got := run(t.Context(), strings.Fields(args), &stdout, &stderr); got != want || stderr.Len() == 0 {
			t.Errorf("peers %s: exit code %d, stderr %q; want %d and a reason", args, got, stderr.String(), want)
		}
	}
}

// Without node there is no Restate, and the run says so and goes on.
func TestDurableSkipped(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	text, err := durable(t.Context(), t.TempDir(), options{rounds: 1, scale: 1})
	if err != nil || !strings.Contains(text, "skipped: ") || strings.Count(text, "\n") != 1 {
		t.Errorf("%q, %v", text, err)
	}
}
