// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// get returns status and body of what an HTTP server answers.
func get(t *testing.T, url string) (int, string) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// The log says when the application is ready and where it is; then it works, and ends when it is told to.
func TestRun(t *testing.T) {
	p := run(t, nil, "-m", serveFunctions(t, nil).module(t), "--app", "shop", "--shards", "3", "--memory-limit", "512MiB")
	var ready struct {
		Application, Backend, Version string
		Shards                        int
		Took                          string
	}
	if err := json.Unmarshal([]byte(strings.TrimSpace(p.logged())), &ready); err != nil {
		t.Fatalf("more than one line, or none: %v: %s", err, p.logged())
	}
	took, err := time.ParseDuration(ready.Took) // JSON's own would be nanoseconds.
	t.Logf("ready after %v, %v", took, err)
	if ready.Application != "shop" || ready.Backend != "memory" || ready.Version != "v1.2.3" || ready.Shards != 3 || took <= 0 || len(p.listen) != 1 {
		t.Errorf("%+v, listening on %q", ready, p.listen)
	}
	for path, want := range map[string]string{"/healthz": "ok\n", "/readyz": "ready\n"} {
		if status, body := get(t, "http://"+p.admin+path); status != 200 || body != want {
			t.Errorf("%s: %d %q", path, status, body)
		}
	}
	var stats struct {
		State     string
		Addresses []string
		Stats     struct {
			Shards         []struct{}
			QueuedBytesMax int64
		}
	}
	_, body := get(t, "http://"+p.admin+"/v1/stats")
	if err := json.Unmarshal([]byte(body), &stats); err != nil || stats.State != "ready" || len(stats.Stats.Shards) != 3 ||
		stats.Stats.QueuedBytesMax != 64<<20 || len(stats.Addresses) != 1 || stats.Addresses[0] != p.listen[0] {
		t.Errorf("%v: %s", err, body)
	}
	response, err := http.Post("http://"+p.listen[0]+"/call/example/echo/a", "text/plain", strings.NewReader("hello"))
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(response.Body); response.StatusCode != 200 || string(body) != "hello" {
		t.Errorf("%d %q, %v", response.StatusCode, body, err)
	}
	p.stop()
	if !strings.Contains(p.logged(), `"msg":"drained"`) {
		t.Errorf("the log does not say that it has drained")
	}
}

// What is inside when SIGTERM comes is done, its clients get their answers, and health can be asked for.
func TestDrain(t *testing.T) {
	f := serveFunctions(t, make(chan struct{}))
	p := run(t, nil, "-m", f.module(t))
	const calls = 20
	answers := make(chan string, calls)
	for range calls {
		go func() {
			response, err := http.Post("http://"+p.listen[0]+"/call/example/echo/a", "text/plain", strings.NewReader("hello"))
			if err != nil {
				answers <- err.Error()
				return
			}
			defer response.Body.Close()
			body, _ := io.ReadAll(response.Body)
			answers <- string(body)
		}()
	}
	// The first request holds one message or more; the others wait behind it, or are on their way.
	<-f.arrived
	eventually(t, "all calls are inside", func() bool {
		_, body := get(t, "http://"+p.admin+"/metrics")
		return metric(t, body, `millrace_function_backlog_messages{function="echo",namespace="example"}`) == calls
	})
	p.signal(syscall.SIGTERM)
	p.await(`"msg":"draining"`)
	if status, body := get(t, "http://"+p.admin+"/readyz"); status != 503 || body != "draining\n" {
		t.Errorf("/readyz: %d %q", status, body)
	}
	if status, _ := get(t, "http://"+p.admin+"/healthz"); status != 200 {
		t.Errorf("/healthz: %d", status)
	}
	if got := millrace(t, "send", "example/echo/a", "--string", "late", "--admin", p.admin); got.code != 1 || !strings.Contains(got.stderr, "closing") {
		t.Errorf("a message after the end: %+v", got)
	}
	close(f.hold)
	for range calls {
		if a := <-answers; a != "hello" {
			t.Errorf("an answer is %q", a)
		}
	}
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// What takes too long is left behind, and the exit code says so.
func TestDrainTimeout(t *testing.T) {
	f := serveFunctions(t, make(chan struct{}))
	p := run(t, nil, "-m", f.module(t), "--drain-timeout", "50ms")
	if got := millrace(t, "send", "example/echo/a", "--string", "hello", "--admin", p.admin); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	<-f.arrived
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != 1 || !strings.Contains(p.logged(), "messages are still on their way") {
		t.Errorf("exit code %d", code)
	}
}

// A second signal ends the process at once. Those that come with the first one are the first one.
func TestSecondSignal(t *testing.T) {
	f := serveFunctions(t, make(chan struct{}))
	p := run(t, nil, "-m", f.module(t), "--drain-timeout", "1h")
	if got := millrace(t, "send", "example/echo/a", "--string", "hello", "--admin", p.admin); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	<-f.arrived
	p.signal(syscall.SIGTERM)
	p.await(`"msg":"draining"`)
	if strings.Contains(p.logged(), "a second signal") {
		t.Error("the first signal is taken for a second one")
	}
	for ended := false; !ended; {
		_ = p.cmd.Process.Signal(syscall.SIGINT) // It may have ended.
		select {
		case <-p.ended:
			ended = true
		case <-time.After(50 * time.Millisecond):
		}
	}
	if code := p.wait(); code != 1 || strings.Count(p.logged(), `"msg":"a second signal`) != 1 {
		t.Errorf("exit code %d", code)
	}
}

// Without an ingress an application runs, and is told of it; what it gets comes by the admin address, which
// may be a socket.
func TestNoIngress(t *testing.T) {
	f := serveFunctions(t, nil)
	m := file(t, "kind: io.statefun.endpoints.v2/http\nspec: {functions: example/*, urlPathTemplate: '"+f.URL+"'}\n")
	admin := "unix:" + filepath.Join(t.TempDir(), "admin")
	p := launch(t, nil, "-m", m, "--admin", admin)
	if line := p.await("ingress"); !strings.Contains(line, `"level":"WARN"`) {
		t.Errorf("%s", line)
	}
	p.await(`"msg":"ready"`)
	if got := millrace(t, "send", "example/echo/a", "--string", "hello", "--call", "--admin", admin); got.code != 0 || got.stdout != "hello\n" {
		t.Errorf("%+v", got)
	}
	p.stop()
}

// What goes wrong before anything runs is a usage error; what goes wrong then is a failure.
func TestRunRefuses(t *testing.T) {
	m := serveFunctions(t, nil).module(t)
	taken := run(t, nil, "-m", m)
	for _, tt := range []struct {
		args string
		code int
		want string
	}{
		{"", 2, "at least one module file"},
		{"--module= -m " + m, 2, `module: "", want the name of a file`},
		{"extra -m " + m, 2, "unknown command"},
		{"-m " + m + "x", 2, "no such file"},
		{"-m " + m + " --backend file:x", 2, "want memory, memory:kept, file:///directory or pebble:///directory"},
		{"-m " + m + " --backend s3://bucket", 2, "not available in this version"},
		{"-m " + m + " --backend redis://x", 2, `backend: "redis://x", want memory, memory:kept, file:///directory or pebble:///directory`},
		{
			"-m " + m + " --shards -1 --log-format xml --memory-limit 1MiB --drain-timeout 0s", 2,
			`log-format: "xml", want text or json; shards: "-1", want 0 to 1024; drain-timeout: "0s", want more than 0s; memory-limit: "1MiB", want at least 64MiB`,
		},
		{"-m " + m + " --shards 1025", 2, `error: shards: "1025", want 0 to 1024`},
		{"-m " + m + " --memory-limit lots", 2, "want a whole number of bytes"},
		{"-m " + m + " --epoch-interval 1us", 2, "want off or a duration of at least 1ms"},
		{"-m " + m + " --admin 0.0.0.0:0", 2, "give an admin token file"},
		{"-m " + m + " --admin nowhere", 2, "want host:port or unix:/path"},
		{"-m " + m + " --config /does/not/exist", 2, "no such file"},
		{"-m " + m + " --admin " + taken.admin, 1, "address already in use"},
		{"-m " + file(t, "kind: io.millrace.http.v1/ingress\nspec: {address: '"+taken.listen[0]+"'}\n") + " --admin 127.0.0.1:0", 1, "address already in use"},
	} {
		got := millrace(t, append([]string{"run"}, strings.Fields(tt.args)...)...)
		if got.code != tt.code || !strings.Contains(got.stderr, tt.want) || got.stdout != "" {
			t.Errorf("%s: %+v; want %d and %q", tt.args, got, tt.code, tt.want)
		}
	}
}
