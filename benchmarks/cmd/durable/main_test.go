// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"
)

// The test binary is also the command: a measurement of Millrace starts it again.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == serveArg {
		os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// Millrace is measured, and its counters add up to the requests. Restate takes a download.
func TestCompare(t *testing.T) {
	var stdout, stderr bytes.Buffer
	args := "-programs millrace -rounds 2 -duration 200ms -connections 8 -keys 10 -out " + t.TempDir()
	if code := run(t.Context(), strings.Fields(args), &stdout, &stderr); code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	if !strings.Contains(stdout.String(), "\n| millrace | ") || strings.Contains(stdout.String(), "| 0 |") {
		t.Errorf("the table is\n%s", stdout.String())
	}
}

// A count that is not what was added is no measurement, however fast.
func TestVerify(t *testing.T) {
	tests := []struct {
		name        string
		connections []*connection
		ok          bool
	}{
		{"one", []*connection{{added: []int64{2, 0}, greatest: []int64{2, 0}}}, true},
		{"two", []*connection{{added: []int64{2}, greatest: []int64{3}}, {added: []int64{1}, greatest: []int64{1}}}, true},
		{"one that was lost", []*connection{{added: []int64{2}, greatest: []int64{1}}}, false},
		{"one that was counted twice", []*connection{{added: []int64{1, 1}, greatest: []int64{1, 2}}}, false},
	}
	for _, tt := range tests {
		if err := verify(tt.connections); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestBadUse(t *testing.T) {
	for args, want := range map[string]int{
		"-rounds 0":                           2,
		"-connections 0":                      2,
		"-keys 0":                             2,
		"-duration 0s":                        2,
		"-programs cockroach":                 2,
		"extra":                               2,
		"-programs restate -restate /nowhere": 1,
		"-serve /dev/null/no":                 1,
		"-programs millrace,restate -duration no": 2,
	} {
		var stdout, stderr bytes.Buffer
		if got := run(t.Context(), strings.Fields(args), &stdout, &stderr); got != want || stderr.Len() == 0 {
			t.Errorf("durable %s: exit code %d, stderr %q; want %d and a reason", args, got, stderr.String(), want)
		}
	}
}
