// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The test binary is also the command: measurements start it again.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == childArg {
		os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// Everything is measured once, with a thousandth of the messages, with the real commands: what comes out is a
// row for each comparison and a line for each measurement.
func TestCompare(t *testing.T) {
	dir := t.TempDir()
	loadgen := filepath.Join(dir, "loadgen")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", loadgen, "./cmd/loadgen")
	build.Dir = filepath.Join("..", "..", "..", "loadgen")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"-rounds", "1", "-scale", "0.001", "-keys", "1000,20000", "-loadgen", loadgen, "-out", dir}, &stdout, &stderr); code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	cells := plan([]int{1000, 20_000}, 1)
	if got, want := strings.Count(stdout.String(), "\n"), len(cells)+2; got != want {
		t.Errorf("the table has %d lines, want %d:\n%s", got, want, stdout.String())
	}
	files, err := filepath.Glob(filepath.Join(dir, "peers-*.txt"))
	if err != nil || len(files) != 1 {
		t.Fatalf("raw output: %q, %v", files, err)
	}
	raw, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range programs {
		if n := strings.Count(string(raw), p.name+" "); n < len(cells) {
			t.Errorf("%d measurements of %s, want %d:\n%s", n, p.name, len(cells), raw)
		}
	}
	if !strings.Contains(string(raw), "# machine: ") || !strings.Contains(string(raw), "# commit: ") {
		t.Errorf("the raw output does not say where it comes from:\n%s", raw)
	}
}

func TestMedian(t *testing.T) {
	c := cell{workload: "counter", keys: 1}
	results := []result{
		{1, c, "a", 9},
		{2, c, "a", 1},
		{3, c, "a", 4},
		{1, c, "b", 8},
		{2, c, "b", 2},
		{1, cell{workload: "relay", keys: 1}, "a", 100},
	}
	for program, want := range map[string]float64{"a": 4, "b": 5, "none": 0} {
		if got := median(results, c, program); got != want {
			t.Errorf("median of %s is %v, want %v", program, got, want)
		}
	}
}

// A report that is not verified is no measurement, however fast.
func TestParseReport(t *testing.T) {
	tests := []struct {
		out  string
		want float64
		ok   bool
	}{
		{`{"invocations_per_s":5,"verified":true}`, 5, true},
		{"something else\n" + `{"invocations_per_s":5,"verified":true}` + "\n", 5, true},
		{`{"invocations_per_s":5,"verified":false}`, 0, false},
		{`{"verified":true}`, 0, false},
		{"", 0, false},
		{"panic", 0, false},
	}
	for _, tt := range tests {
		if got, err := parseReport([]byte(tt.out)); got != tt.want || (err == nil) != tt.ok {
			t.Errorf("parseReport(%q) = %v, %v; want %v", tt.out, got, err, tt.want)
		}
	}
}

func TestBadUse(t *testing.T) {
	for args, want := range map[string]int{
		"-rounds 0":                         2,
		"-keys 1,":                          2,
		"-keys 0":                           2,
		"-scale 0":                          2,
		"-rounds x":                         2,
		"extra":                             2,
		"-one":                              1,
		"-one nobody counter 1 1 uniform 1": 1,
		"-loadgen /nowhere/at/all":          1,
	} {
		var stdout, stderr bytes.Buffer
		if got := run(t.Context(), strings.Fields(args), &stdout, &stderr); got != want || stderr.Len() == 0 {
			t.Errorf("peers %s: exit code %d, stderr %q; want %d and a reason", args, got, stderr.String(), want)
		}
	}
}
