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
)

// contractKeys are the keys of the report, in order, as the command-line contract lists them.
const contractKeys = "workload keys dist messages invocations seconds invocations_per_s p50_us p99_us p999_us max_us " +
	"bytes_per_instance rss_bytes epochs bytes_committed dirty_encoded max_stop_us gc_pause_p99_us " +
	"allocs_per_invocation backend shards epoch_interval_ms verified version commit"

// What single workloads have to say besides.
var moreKeys = map[string]string{
	"ring": " hop_ns", "skynet": " instance_ns",
	"timers": " start_ns cancel_ns fire_ns fires_per_s kept_p99_us kept_max_us",
}

// The last line of stdout is one object with the keys of the contract; progress is elsewhere.
func TestJSONReport(t *testing.T) {
	for _, args := range []string{
		"--workload counter --keys 1000 --messages 20000 --backend memory",
		"--workload relay --keys 1000 --messages 20000 --dist zipf --epoch-interval off",
		"--workload pingpong --messages 2000 --shards 2 --across",
		"--workload ring --keys 100 --messages 2000",
		"--workload skynet --keys 1000",
		"--workload timers --keys 3000",
		"--workload memory --keys 2000 --state-bytes 64 --seed 7",
		"--workload counter --keys 1000 --messages 20000 --epoch-interval 2ms --backend file://" + t.TempDir(),
		"--workload counter --keys 1000 --messages 20000 --epoch-interval 2ms --backend pebble://" + t.TempDir(),
	} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), append([]string{"engine", "--json"}, strings.Fields(args)...), &stdout, &stderr)
		if code != exitDone {
			t.Errorf("%s: exit code %d: %s", args, code, stderr.String())
			continue
		}
		if n := strings.Count(stdout.String(), "\n"); n != 1 || !strings.HasSuffix(stdout.String(), "}\n") {
			t.Errorf("%s: stdout is %q, want one line", args, stdout.String())
		}
		want := contractKeys + moreKeys[strings.Fields(args)[1]]
		if got := objectKeys(t, stdout.Bytes()); got != want {
			t.Errorf("%s: keys\n%s\nwant\n%s", args, got, want)
		}
		if !strings.Contains(stdout.String(), `"verified":true`) {
			t.Errorf("%s: not verified: %s", args, stdout.String())
		}
		if stderr.Len() == 0 {
			t.Errorf("%s: no progress on stderr", args)
		}
	}
}

// objectKeys returns the keys of a flat JSON object in their order.
func objectKeys(t *testing.T, object []byte) string {
	t.Helper()
	var found []string
	d := json.NewDecoder(bytes.NewReader(object))
	for i := 0; d.More() || i == 0; i++ {
		token, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		if i%2 == 1 { // After the opening brace, keys and values alternate.
			found = append(found, token.(string))
		}
	}
	return strings.Join(found, " ")
}

// Without --json the report is for people.
func TestTextReport(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), strings.Fields("engine --messages 1000"), &stdout, &stderr); code != exitDone {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	if !strings.Contains(stdout.String(), "verified     true\n") {
		t.Errorf("stdout is %q", stdout.String())
	}
}

// A store is made for each run, reported by its kind, and gone when the run has ended.
func TestStoreIsTemporary(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	for range 2 {
		var stdout, stderr bytes.Buffer
		args := []string{"engine", "--json", "--messages", "1000", "--backend", "file://" + dir}
		if code := run(t.Context(), args, &stdout, &stderr); code != exitDone || !strings.Contains(stdout.String(), `"backend":"file"`) {
			t.Fatalf("exit code %d: %s%s", code, stdout.String(), stderr.String())
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// A wrong flag is named, with what it should be, and nothing is started.
func TestBadCommandLines(t *testing.T) {
	tests := []struct{ args, want string }{
		{"engin", "unknown command"},
		{"engine extra", "extra"},
		{"engine --keyz 1", "unknown flag: --keyz"},
		{"engine --keys x", "invalid argument"},
		{"engine --keys 0", "keys: 0, want"},
		{"engine --messages -1", "messages: -1, want"},
		{"engine --dist normal", `dist: "normal", want uniform or zipf`},
		{"engine --workload star", `workload: "star", want counter`},
		{"engine --workload skynet --keys 20", "keys: 20, want 1, 10, 100"},
		{"engine --workload skynet --keys 10 --messages 20", "messages: 20, want 21, two for each of 11"},
		{"engine --workload timers --keys 10 --messages 11", "messages: 11, want at most the 10 keys"},
		{"engine --state-bytes 0", "state bytes: 0, want"},
		{"engine --shards -1", "Shards is -1: want 1"},
		{"engine --backend file://x", `backend: "file://x", want memory, memory:kept, file:///directory or`},
		{"engine --backend s3://x/y", `backend: "s3://x/y", want memory`},
		{"engine --epoch-interval never", `epoch interval: "never", want off or`},
		{"engine --epoch-interval 0s", `epoch interval: "0s", want off or`},
		{"engine --workload pingpong --keys 3", "keys: 3, want 2"},
		{"engine --workload memory --keys 3 --messages 4", "messages: 4, want one for each"},
		{"engine --across", "across: only pingpong"},
		{"engine --cpuprofile /nowhere/at/all", "profile: open /nowhere/at/all"},
		{"engine --keys 0 --messages 0 --backend s3", "keys: 0, want 1 to 1000000000; messages: 0"},
		{"remote extra", "extra"},
		{"remote --network udp", "network: udp, want unix or tcp"},
		{"remote --server apache", "server: apache, want fasthttp or net/http"},
		{"remote --connections -1 --rounds 0", "connections: -1, want 1 to 65536; rounds: 0, want 1"},
		{"remote --invocations 1,x", "invalid argument"},
		{"remote --seconds 0", "seconds: 0, want more than 0"},
		{"remote --cpuprofile /nowhere/at/all", "profile: open /nowhere/at/all"},
		{"remote --plot x.pdf", `plot: "x.pdf", want a file that ends in .svg or .png`},
		{"engine --plot /nowhere/at/all.svg", "plot: open /nowhere/at/all.svg"},
		{"http", `url: "", want http://host:port/path`},
		{"http --url http://a/ --rate -1 --connections 0", "connections: 0, want 1 to 65536; rate: -1, want"},
		{"http --url http://a/ --arrivals closed", `arrivals: "closed", want poisson or constant`},
		{"http --url http://a/ --plot x", `plot: "x", want`},
		{"http --url http://a/ --trace /nowhere/at/all", "profile: open /nowhere/at/all"},
	}
	for _, tt := range tests {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), strings.Fields(tt.args), &stdout, &stderr)
		if code != exitUsage || stdout.Len() > 0 || !strings.Contains(stderr.String(), tt.want) {
			t.Errorf("%s: exit code %d, stdout %q, stderr %q; want %d and %q", tt.args, code, stdout.String(), stderr.String(), exitUsage, tt.want)
		}
	}
}

// An interrupted run has failed.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stdout, stderr bytes.Buffer
	if code := run(ctx, []string{"engine", "--json"}, &stdout, &stderr); code != exitFailed || stdout.Len() > 0 {
		t.Errorf("exit code %d, stdout %q, stderr %q; want %d and no report", code, stdout.String(), stderr.String(), exitFailed)
	}
}

func TestProfilesAndPlot(t *testing.T) {
	dir := t.TempDir()
	args := []string{"engine", "--messages", "1000"}
	for _, p := range []string{"cpuprofile", "memprofile", "trace", "plot"} {
		args = append(args, "--"+p, filepath.Join(dir, p+".png"))
	}
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), args, &stdout, &stderr); code != exitDone {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	for _, p := range []string{"cpuprofile", "memprofile", "trace", "plot"} {
		if info, err := os.Stat(filepath.Join(dir, p+".png")); err != nil || info.Size() == 0 {
			t.Errorf("--%s wrote nothing: %v", p, err)
		}
	}
}
