// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/loadgen/remote"
)

// The second process of loadgen remote is the program itself: here, the test binary.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == remote.ServeCommand {
		os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// reportKeys are the keys that every report has, whatever was run.
var reportKeys = []string{
	"workload", "keys", "dist", "messages", "invocations", "seconds", "invocations_per_s", "p50_us", "p99_us", "p999_us",
	"max_us", "bytes_per_instance", "rss_bytes", "epochs", "bytes_committed", "dirty_encoded", "max_stop_us", "gc_pause_p99_us",
	"allocs_per_invocation", "backend", "shards", "epoch_interval_ms", "verified", "version", "commit",
}

// The last line of stdout is one object, and both sides are verified over each network.
func TestRemote(t *testing.T) {
	dir := t.TempDir()
	profile, plot := filepath.Join(dir, "cpu"), filepath.Join(dir, "plot.svg")
	for _, args := range []string{
		"--network unix --keys 200 --cpuprofile " + profile + " --plot " + plot,
		"--network tcp --keys 200",
		"--network tcp --keys 200 --server net/http",
		"--in-process --shards 1",
	} {
		var stdout, stderr bytes.Buffer
		args += " --json --invocations 1,20 --connections 4 --rounds 1 --seconds 0.02"
		if code := run(t.Context(), append([]string{"remote"}, strings.Fields(args)...), &stdout, &stderr); code != exitDone {
			t.Errorf("%s: exit code %d: %s", args, code, stderr.String())
			continue
		}
		var report remote.Report
		if err := json.Unmarshal(stdout.Bytes(), &report); err != nil {
			t.Errorf("%s: stdout is %q: %v", args, stdout.String(), err)
		}
		var keys map[string]any
		if err := json.Unmarshal(stdout.Bytes(), &keys); err != nil {
			t.Error(err)
		}
		for _, key := range reportKeys {
			if _, ok := keys[key]; !ok {
				t.Errorf("%s: the report has no %s", args, key)
			}
		}
		if !report.Verified || len(report.Figures) != 2 || strings.Count(stdout.String(), "\n") != 1 {
			t.Errorf("%s: stdout is %q", args, stdout.String())
		}
		if n := strings.Count(stderr.String(), "round 1 of 1"); n != 2 {
			t.Errorf("%s: stderr is %q", args, stderr.String())
		}
	}
	for _, f := range []string{profile, plot} {
		if info, err := os.Stat(f); err != nil || info.Size() == 0 {
			t.Errorf("%s: nothing was written: %v", filepath.Base(f), err)
		}
	}
}

// Without --json the report is for people.
func TestRemoteText(t *testing.T) {
	var stdout, stderr bytes.Buffer
	args := strings.Fields("remote --invocations 5 --keys 100 --connections 2 --rounds 1 --seconds 0.02")
	if code := run(t.Context(), args, &stdout, &stderr); code != exitDone {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	if !strings.HasSuffix(stdout.String(), "verified  true\n") {
		t.Errorf("stdout is %q", stdout.String())
	}
}
