// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/benchmarks/rounds"
)

// sample is a run of one round in which every program does as well as it is known to, and Millrace twice as well as
// plain Go.
func sample() results {
	r := results{
		Commit: "0123456789abcdef-modified", Machine: rounds.Machine{CPU: "Z80", Cores: 2, OS: "cpm", Arch: "z80", Go: "go1"},
		Taken: "2026-11-21T10:11:12Z", Rounds: 1, Scale: 1,
	}
	for _, c := range plan(1) {
		r.add(c, millrace, 20e6)
		r.add(c, plainGo, 10e6)
	}
	for _, k := range knownRatios {
		r.add(cell{name: k.cell}, k.program, k.ratio*10e6)
	}
	return r
}

func (r *results) add(c cell, program string, value float64) {
	r.Measurements = append(r.Measurements, measurement{Round: 1, Cell: c.name, Program: program, Value: value})
}

func find(t *testing.T, name string) cell {
	t.Helper()
	for _, c := range plan(1) {
		if c.name == name {
			return c
		}
	}
	t.Fatalf("no workload %s", name)
	return cell{}
}

func TestMedianAndRatio(t *testing.T) {
	var r results
	rate, hop := find(t, "counter/1000"), find(t, "ring/1000")
	for _, v := range []float64{9e6, 1e6, 4e6} {
		r.add(rate, "a", v)
	}
	r.add(rate, "b", 2e6)
	r.Measurements = append(r.Measurements, measurement{Cell: rate.name, Program: "b", Error: "killed"})
	r.add(hop, "a", 4e6)
	r.add(hop, "b", 2e6)
	for _, tt := range []struct{ got, want float64 }{
		{r.median(rate, "a"), 4},
		{r.median(rate, "b"), 2},
		{r.median(rate, "c"), 0},
		{r.median(hop, "a"), 250},
		{r.ratio(rate, "a", "b"), 2},
		{r.ratio(hop, "a", "b"), 2}, // Half the time is twice as good.
		{r.ratio(hop, "b", "a"), 0.5},
	} {
		if tt.got != tt.want {
			t.Errorf("got %v, want %v", tt.got, tt.want)
		}
	}
	if got := r.ratio(rate, "a", "c"); !math.IsNaN(got) {
		t.Errorf("the ratio to what was not measured is %v", got)
	}
}

// Plain Go is no framework, and neither is Millrace, however good they are.
func TestBest(t *testing.T) {
	var r results
	rate, memory := find(t, "counter/1000"), find(t, "memory/1000000")
	if got := r.best(rate); got != "" {
		t.Errorf("best of nothing is %s", got)
	}
	for i, p := range programs {
		r.add(rate, p.name, float64(100-i))
		r.add(memory, p.name, float64(100-i))
	}
	if got := r.best(rate); got != programs[2].name {
		t.Errorf("the best rate is that of %s", got)
	}
	if got := r.best(memory); got != programs[len(programs)-1].name {
		t.Errorf("the best memory is that of %s", got)
	}
}

func TestTable(t *testing.T) {
	var r results
	r.add(find(t, "counter/1000"), millrace, 52.34e6)
	r.add(find(t, "counter/1000"), plainGo, 80e6)
	r.add(find(t, "counter/1000"), "ergo", 0.123e6)
	r.add(find(t, "ring/1000"), millrace, 5e6)
	r.add(find(t, "ring/1000"), "hollywood", 1e6)
	want := `| workload | unit | Millrace | plain Go | protoactor-go | hollywood | ergo | goakt | best framework | to it | to plain Go |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
| counter, 1,000 keys | million/s | 52.3 | 80.0 | – | – | 0.12 | – | ergo | × 426 | × 0.65 |
| ring of 1,000 | ns/hop | 200 | – | – | 1000 | – | – | hollywood | × 5 | – |
`
	if got := r.table(plan(1)); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if got, want := r.raw(plan(1)), "    1 ring/1000        hollywood          1000.000 ns/hop\n"; !strings.Contains(got, want) {
		t.Errorf("%q is not in\n%s", want, got)
	}
}

// A program that reaches a third of what is known of it passes, one that reaches less does not; short runs are
// not judged, and what was not measured is no reason to fail.
func TestJudge(t *testing.T) {
	k := knownRatios[0]
	for _, tt := range []struct {
		reached, scale float64
		want           bool
	}{
		{1, 1, true},
		{1.0001 / margin, 1, true},
		{0.9999 / margin, 1, false},
		{0.9999 / margin, 0.4, true},
		{0, 1, true},
	} {
		r := results{Scale: tt.scale}
		c := find(t, k.cell)
		r.add(c, plainGo, 10e6)
		if tt.reached > 0 {
			r.add(c, k.program, tt.reached*k.ratio*10e6)
		}
		err := r.judge(plan(1))
		if (err == nil) != tt.want || err != nil && !strings.Contains(err.Error(), k.cell+": "+k.program) {
			t.Errorf("%.4f of what is known, scale %g: %v", tt.reached, tt.scale, err)
		}
	}
	if err := sample().judge(plan(1)); err != nil {
		t.Error(err)
	}
	for _, k := range knownRatios {
		c := find(t, k.cell)
		if c.unit().lowerWins || k.ratio <= 0 || k.ratio >= 1 {
			t.Errorf("%+v", k)
		}
	}
}

func TestReadme(t *testing.T) {
	text := "before\n" + readmeBegin + "old\n" + readmeEnd + "after\n"
	got, err := replaceBlock(text, "new\n")
	if want := strings.Replace(text, "old", "new", 1); err != nil || got != want {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	for _, text := range []string{"", readmeBegin, readmeEnd + readmeBegin, readmeBegin + readmeEnd + readmeBegin} {
		if got, err := replaceBlock(text, "new\n"); err == nil {
			t.Errorf("%q became %q", text, got)
		}
	}
	r := sample()
	r.Durable = "durable replies beside Restate: skipped: no node\n"
	block := r.readme(plan(1))
	for _, want := range []string{"Z80, 2 cores, cpm/z80, go1, commit 0123456789, modified, 2026-11-21, one round.\n", r.table(plan(1)), r.Durable} {
		if !strings.Contains(block, want) {
			t.Errorf("the block has no %q:\n%s", want, block)
		}
	}
}

// The README of the project has the lines between which results are written, and the newest results are taken.
func TestWriteReadme(t *testing.T) {
	project, err := os.ReadFile(filepath.Join("..", "..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "README.md")
	if err := os.WriteFile(file, project, 0o644); err != nil {
		t.Fatal(err)
	}
	write := func(day int, measured []cell) {
		t.Helper()
		r := results{Commit: fmt.Sprintf("c%d", day), Taken: fmt.Sprintf("2026-11-%dT00:00:00Z", day), Rounds: 5, Scale: 1}
		for _, c := range measured {
			r.Measurements = append(r.Measurements, measurement{Round: 1, Cell: c.name, Program: millrace, Value: 1})
		}
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("peers-202611%d-000000.json", day)), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, day := range []int{21, 23, 22} {
		write(day, plan(1))
	}
	if err := writeReadme(file, dir); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if want := "commit c23, 2026-11-23, the median of 5 rounds.\n"; !strings.Contains(string(text), want) {
		t.Errorf("the README has no %q", want)
	}
	write(24, plan(1)[:1])
	if err := writeReadme(file, dir); err == nil || !strings.Contains(err.Error(), plan(1)[1].name) {
		t.Errorf("the results of one workload replace all: %v", err)
	}
	if after, err := os.ReadFile(file); err != nil || string(after) != string(text) {
		t.Errorf("the README has changed: %v", err)
	}
}
