// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// durably is the command line of run with a store.
func durably(module, store string, more ...string) []string {
	return append([]string{"-m", module, "--backend", store, "--app", "shop"}, more...)
}

// kill ends the process as a crash does.
func (p *process) kill() {
	p.t.Helper()
	p.signal(syscall.SIGKILL)
	p.wait()
}

// counterModule is a module file with a counter behind an HTTP ingress, and with what else is given.
func counterModule(t *testing.T, more ...string) string {
	t.Helper()
	return file(t, strings.Join(append([]string{
		"kind: io.statefun.endpoints.v2/http\nspec: {functions: example/*, urlPathTemplate: '" + serveCounter(t).URL + "/'}\n",
		"kind: io.millrace.http.v1/ingress\nspec: {id: example/http, address: '127.0.0.1:0'}\n",
	}, more...), "---\n"))
}

// receiver is an HTTP endpoint that notes the idempotency keys of what it is sent.
type receiver struct {
	*httptest.Server
	refuses atomic.Bool
	mu      sync.Mutex
	keys    map[string]int // Guarded by mu.
}

func receive(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{keys: map[string]int{}}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.keys[req.Header.Get("Idempotency-Key")]++
		if r.refuses.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(r.Close)
	return r
}

// received returns how often each key has come.
func (r *receiver) received() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make(map[string]int, len(r.keys))
	for k, n := range r.keys {
		all[k] = n
	}
	return all
}

// egress is the component that sends the counter's records to r.
func (r *receiver) egress() string {
	return "kind: io.millrace.http.v1/egress\nspec: {id: example/seen-by, url: '" + r.URL + "'}\n"
}

// stored is what millrace state get says of an address.
type stored struct {
	Address struct{ Namespace, Type, ID string }
	Epoch   uint64
	States  []struct {
		Name, Typename string
		Bytes          []byte
		Text           *string
		ExpiresAtMS    *int64 `json:"expires_at_ms"`
	}
}

func stateOf(t *testing.T, address string, args ...string) (s stored, seen int) {
	t.Helper()
	got := millrace(t, append([]string{"state", "get", address, "--json"}, args...)...)
	if err := json.Unmarshal([]byte(got.stdout), &s); err != nil || got.code != 0 {
		t.Fatalf("%v: %+v", err, got)
	}
	for _, v := range s.States {
		if v.Name == counted && v.Typename == longType && v.Text != nil {
			if n, err := strconv.Atoi(*v.Text); err == nil {
				seen = n
			}
		}
	}
	return s, seen
}

// inspection is what millrace checkpoint inspect says.
type inspection struct {
	Epoch, Generation                uint64
	CreatedAtMS                      int64 `json:"created_at_ms"`
	Instances, Timers, Outbox, Bytes int64
	InFlight                         int64  `json:"in_flight"`
	StateHash                        string `json:"state_hash"`
	Sum                              *int64
}

// countedState is the state that a counter has.
const countedState = "example/counter:" + counted

func inspected(t *testing.T, args ...string) (i inspection) {
	t.Helper()
	got := millrace(t, append([]string{"checkpoint", "inspect", "--json"}, args...)...)
	if err := json.Unmarshal([]byte(got.stdout), &i); err != nil || got.code != 0 {
		t.Fatalf("%v: %+v", err, got)
	}
	return i
}

// summed is what all counters have counted: nothing, before the first of them has answered.
func summed(t *testing.T, args ...string) int64 {
	t.Helper()
	var i inspection
	got := millrace(t, append([]string{"checkpoint", "inspect", "--json", "--sum", countedState}, args...)...)
	if json.Unmarshal([]byte(got.stdout), &i) != nil || i.Sum == nil {
		return 0
	}
	return *i.Sum
}

// put sends an HTTP request under a key and returns the status.
func put(t *testing.T, p *process, id, key string) int {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, "http://"+p.listen[0]+"/example/counter/"+id, strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "text/plain")
	r.Header.Set("Idempotency-Key", key)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}

// What was acknowledged is there after a crash, with any number of shards, and what is sent again counts once.
// Records go out under the keys that they had.
func TestKilled(t *testing.T) {
	for _, backend := range []string{"file", "pebble"} {
		t.Run(backend, func(t *testing.T) {
			out := receive(t)
			out.refuses.Store(true)
			m, url := counterModule(t, out.egress()), backend+"://"+t.TempDir()
			p := run(t, nil, durably(m, url, "--shards", "2")...)
			const requests = 7
			for i := range requests {
				if status := put(t, p, "a", fmt.Sprint("key-", i)); status != http.StatusAccepted {
					t.Fatalf("status %d", status)
				}
			}
			if got := millrace(t, "send", "example/counter/b", "--string", "x", "--durable", "--key", "k", "--admin", p.admin); got.code != 0 {
				t.Fatalf("%+v", got)
			}
			eventually(t, "a record was sent", func() bool { return len(out.received()) > 0 })
			before := out.received()
			p.kill()

			first := inspected(t, "--backend", url, "--app", "shop")
			if first.Epoch == 0 || first.Generation != 1 || first.Outbox == 0 {
				t.Errorf("after the crash: %+v", first)
			}
			p = run(t, nil, durably(m, url, "--shards", "3")...)
			if !strings.Contains(p.logged(), fmt.Sprintf(`"msg":"store opened","backend":%q,"generation":3,"epoch":%d}`, url, first.Epoch)) {
				t.Error("the log does not tell of the store")
			}
			for i := range requests {
				if status := put(t, p, "a", fmt.Sprint("key-", i)); status != http.StatusAccepted {
					t.Fatalf("again: status %d", status)
				}
			}
			if got := millrace(t, "send", "example/counter/b", "--string", "x", "--durable", "--key", "k", "--admin", p.admin); got.code != 0 {
				t.Fatalf("%+v", got)
			}
			if got := millrace(t, "send", "example/counter/b", "--string", "y", "--durable", "--key", "k", "--admin", p.admin); got.code != 1 || !strings.Contains(got.stderr, "idempotency_key_reused") {
				t.Errorf("another message under the key: %+v", got)
			}
			for range 2 { // The second one gets the first one's answer.
				if got := millrace(t, "send", "example/counter/b", "--string", "again", "--call", "--durable", "--key", "l", "--admin", p.admin); got.code != 0 || got.stdout != "again\n" {
					t.Errorf("a call: %+v", got)
				}
			}
			var s stored
			eventually(t, "all are counted", func() (ok bool) {
				var seen int
				s, seen = stateOf(t, "example/counter/a", "--admin", p.admin)
				return seen >= requests
			})
			if _, seen := stateOf(t, "example/counter/a", "--admin", p.admin); seen != requests || s.Epoch <= first.Epoch || s.Address.ID != "a" {
				t.Errorf("%d of %d messages counted: %+v", seen, requests, s)
			}
			if _, seen := stateOf(t, "example/counter/b", "--admin", p.admin); seen != 2 {
				t.Errorf("%d of 2 messages counted", seen)
			}
			out.refuses.Store(false)
			eventually(t, "all records are delivered", func() bool { return inspected(t, "--admin", p.admin).Outbox == 0 })
			for key := range before {
				if out.received()[key] <= before[key] {
					t.Errorf("the record %s did not come again under its key", key)
				}
			}
			live := inspected(t, "--admin", p.admin, "--sum", countedState)
			p.stop()

			last := inspected(t, "--backend", url, "--app", "shop", "--sum", countedState)
			if *last.Sum != requests+2 || last.InFlight != 0 || last.StateHash != live.StateHash || last.Epoch <= s.Epoch {
				t.Errorf("after the end: %+v, before: %+v", last, live)
			}
			if _, seen := stateOf(t, "example/counter/a", "--backend", url, "--app", "shop"); seen != requests {
				t.Errorf("%d of %d messages counted", seen, requests)
			}
		})
	}
}

// SIGTERM takes a last checkpoint and does not wait for a function that does not answer: what it was sent is
// kept, and sent again by the next process.
func TestTerminated(t *testing.T) {
	f := serveFunctions(t, make(chan struct{}))
	url := "file://" + t.TempDir()
	p := run(t, nil, durably(f.module(t), url, "--drain-timeout", "1h")...)
	if got := millrace(t, "send", "example/echo/a", "--string", "hello", "--durable", "--admin", p.admin); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	<-f.arrived
	p.stop()
	if i := inspected(t, "--backend", url, "--app", "shop"); i.InFlight != 1 {
		t.Errorf("%+v, want one message in flight", i)
	}
	p = run(t, nil, durably(f.module(t), url)...)
	<-f.arrived
	close(f.hold)
	eventually(t, "nothing is in flight", func() bool {
		got := millrace(t, "checkpoint", "create", "--json", "--admin", p.admin)
		if got.code != 0 || !strings.HasPrefix(got.stdout, `{"epoch":`) {
			t.Fatalf("%+v", got)
		}
		return inspected(t, "--admin", p.admin).InFlight == 0
	})
	p.stop()
}

// A store is refused before anything is taken in, and is as it was before.
func TestStoreRefused(t *testing.T) {
	dir := t.TempDir()
	m, url := serveFunctions(t, nil).module(t), "file://"+dir
	held := run(t, nil, durably(m, url)...)
	got := millrace(t, append([]string{"run", "--admin", "127.0.0.1:0"}, durably(m, url)...)...)
	if pid := fmt.Sprintf("process %d has it open", held.cmd.Process.Pid); got.code != 1 || !strings.Contains(got.stderr, pid) || strings.Contains(got.stderr, "ready") {
		t.Errorf("a second process: %+v; want %q", got, pid)
	}
	if got := millrace(t, "checkpoint", "list", "--backend", url, "--app", "shop"); got.code != 1 || !strings.Contains(got.stderr, "--admin") {
		t.Errorf("a look at a store in use: %+v", got)
	}
	held.stop()
	before := snapshot(t, dir)
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{append([]string{"run", "--admin", "127.0.0.1:0"}, "-m", m, "--backend", url, "--app", "bank"), 2, `it is of \"shop\"`},
		{append([]string{"run", "--admin", "127.0.0.1:0"}, durably(m, url, "--shards", "129")...), 2, "want at most 128 with a store"},
		{append([]string{"run", "--admin", "127.0.0.1:0"}, durably(m, "pebble://"+dir)...), 2, "choose the backend that has made it"},
		{[]string{"state", "get", "a/b/c", "--backend", url}, 2, "give --app as it was"},
	} {
		if got := millrace(t, tt.args...); got.code != tt.code || !strings.Contains(got.stderr, tt.want) || got.stdout != "" {
			t.Errorf("%v: %+v; want %d and %q", tt.args, got, tt.code, tt.want)
		}
	}
	if after := snapshot(t, dir); after != before {
		t.Errorf("the store is not as it was:\n%s\nwas\n%s", after, before)
	}
	if err := os.WriteFile(filepath.Join(dir, "manifest"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := millrace(t, append([]string{"run", "--admin", "127.0.0.1:0"}, durably(m, url)...)...); got.code != 1 || !strings.Contains(got.stderr, "manifest") {
		t.Errorf("a damaged store: %+v", got)
	}
}

// snapshot is what is in a directory, but for the lock, which names who has looked last.
func snapshot(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() == "lock" {
			continue
		}
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&all, "%s %q\n", e.Name(), content)
	}
	return all.String()
}

// The lines of a file count once each, through crashes, and the file may grow.
func TestFileIngress(t *testing.T) {
	lines := file(t, "")
	add := func(from, to int) {
		f, err := os.OpenFile(lines, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		for i := from; i < to; i++ {
			if _, err := fmt.Fprintf(f, "{\"id\":\"c%d\"}\n", i%5); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	m := counterModule(t, receive(t).egress(), "kind: io.millrace.file.v1/ingress\nspec: {id: example/lines, path: '"+lines+"', valueType: example/Line, key: /id, targets: [example/counter], follow: true}\n")
	url := "file://" + t.TempDir()
	const runs, each = 4, 500
	for n := range runs {
		add(n*each, (n+1)*each)
		p := run(t, nil, durably(m, url, "--shards", fmt.Sprint(n+1))...)
		if got := millrace(t, "checkpoint", "create", "--admin", p.admin); got.code != 0 || !strings.HasPrefix(got.stdout, "epoch ") {
			t.Fatalf("%+v", got)
		}
		// Not before something was committed, and mostly not at the end of it.
		eventually(t, "lines are counted", func() bool { return summed(t, "--admin", p.admin) > int64(n*each) })
		p.kill()
	}
	p := run(t, nil, durably(m, url)...)
	eventually(t, "all lines are counted", func() bool { return summed(t, "--admin", p.admin) >= runs*each })
	p.stop()
	if i := inspected(t, "--backend", url, "--app", "shop", "--sum", countedState); *i.Sum != runs*each || i.Instances != 5 || i.InFlight != 0 {
		t.Errorf("%+v; want %d lines counted", i, runs*each)
	}
}
