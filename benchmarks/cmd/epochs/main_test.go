// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Everything is measured once, with few messages, with the real command: what comes out is a row for each
// setting, each with epochs if it has any.
func TestCompare(t *testing.T) {
	dir := t.TempDir()
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"-rounds", "1", "-keys", "10000", "-messages", "100000", "-out", dir}, &stdout, &stderr); code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	for _, s := range settings {
		if !strings.Contains(stdout.String(), "\n| "+s.name+" | ") {
			t.Errorf("the table has no %s:\n%s", s.name, stdout.String())
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "epochs-*.txt"))
	if err != nil || len(files) != 1 {
		t.Fatalf("raw output: %q, %v", files, err)
	}
	if raw, err := os.ReadFile(files[0]); err != nil || !strings.HasSuffix(string(raw), stdout.String()) {
		t.Errorf("the raw output does not end with the table: %s, %v", raw, err)
	}
}

// A report that is not verified is no measurement, however fast.
func TestParseReport(t *testing.T) {
	tests := []struct {
		out  string
		want result
	}{
		{`{"invocations_per_s":5,"epochs":2,"verified":true}`, result{PerSecond: 5, Epochs: 2, Verified: true}},
		{"something else\n" + `{"invocations_per_s":5,"verified":true}` + "\n", result{PerSecond: 5, Verified: true}},
		{`{"invocations_per_s":5,"verified":false}`, result{}},
		{`{"verified":true}`, result{}},
		{"", result{}},
		{"panic", result{}},
	}
	for _, tt := range tests {
		if got, err := parseReport([]byte(tt.out)); got != tt.want || (err == nil) != tt.want.Verified {
			t.Errorf("parseReport(%q) = %+v, %v; want %+v", tt.out, got, err, tt.want)
		}
	}
}

func TestTable(t *testing.T) {
	results := map[string][]result{}
	for i, s := range settings {
		results[s.name] = []result{{PerSecond: 8e6 / float64(i+1), Seconds: 2, Epochs: float64(20 * i), BytesCommitted: 80e6 * float64(i), MaxStopMicros: 400, behind: 3}}
	}
	if got := table(results); !strings.Contains(got, "| memory | 4.00 | 0.50 | 0.85 | 100 | 4.0 | 40 | 400 | 3 |\n") {
		t.Errorf("the table is\n%s", got)
	}
}

func TestBadUse(t *testing.T) {
	for args, want := range map[string]int{
		"-rounds 0":                2,
		"-keys 0":                  2,
		"-messages 0":              2,
		"-rounds x":                2,
		"extra":                    2,
		"-loadgen /nowhere/at/all": 1,
	} {
		var stdout, stderr bytes.Buffer
		if got := run(t.Context(), strings.Fields(args), &stdout, &stderr); got != want || stderr.Len() == 0 {
			t.Errorf("epochs %s: exit code %d, stderr %q; want %d and a reason", args, got, stderr.String(), want)
		}
	}
}
