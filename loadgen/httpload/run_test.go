// SPDX-License-Identifier: Apache-2.0

package httpload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace-io/millrace/loadgen"
	"github.com/millrace-io/millrace/loadgen/keys"
)

func serve(t *testing.T, h http.HandlerFunc) (url string) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func config(url string) Config {
	return Config{URL: url, Connections: 1, Duration: 50 * time.Millisecond, Timeout: time.Minute, Keys: 10, Dist: keys.Uniform, Seed: 1}
}

// A server answers within a millisecond, but for one stall of a second. A closed loop notices one slow request in a
// thousand. Of requests that come due independently of it, half the rate at which it could answer, most have to
// wait: until what the stall has left behind is worked off, which takes as long again.
func TestLatencyShowsTheStall(t *testing.T) {
	const stall, usual, duration = time.Second, time.Millisecond, 2 * time.Second
	measure := func(c Config) Report {
		clock := newManual()
		var first sync.Once
		c.URL = serve(t, func(http.ResponseWriter, *http.Request) {
			first.Do(func() { clock.advance(stall - usual) })
			clock.advance(usual)
		})
		c.Duration, c.clock = duration, idle{clock}
		r, err := Run(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	near := func(name string, got, want float64) {
		t.Helper()
		if got < 0.99*want || got > 1.01*want {
			t.Errorf("%s is %v µs, want about %v", name, got, want)
		}
	}
	closed := measure(config(""))
	near("p50 of a closed loop", closed.P50Micros, 1e3)
	near("p99 of a closed loop", closed.P99Micros, 1e3)
	near("max of a closed loop", closed.MaxMicros, 1e6)

	open := config("")
	open.Rate, open.Arrivals = 500, Constant
	r := measure(open)
	if r.Requests != 1000 || r.Unsent != 0 {
		t.Errorf("%d requests and %d unsent, want 1000 and none", r.Requests, r.Unsent)
	}
	// Request i is due at 2i ms and answered at 1000+i ms.
	near("p50", r.P50Micros, 500e3)
	near("p99", r.P99Micros, 990e3)
	near("max", r.MaxMicros, 1e6)
}

// idle is a manual clock that does not wait: what is waited for is now.
type idle struct{ *manual }

func (i idle) until(_ context.Context, moment time.Duration) error {
	i.advance(moment - i.now())
	return nil
}

// Whatever connections there are, all that comes due during a stall waits, and no other goroutine's turn hides it.
func TestManyConnectionsWaitOutTheStall(t *testing.T) {
	clock := newManual()
	var first sync.Once
	c := config(serve(t, func(http.ResponseWriter, *http.Request) {
		first.Do(func() { clock.advance(time.Second) })
	}))
	c.Connections, c.Rate, c.Arrivals, c.Duration, c.clock = 4, 1000, Constant, time.Second, clock
	r, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if r.Requests != 1000 || r.P50Micros < 495e3 || r.P50Micros > 505e3 || r.RateReachedPerS != 1000 {
		t.Errorf("%d requests, p50 %v µs, %v/s; want 1000, about 500000, 1000", r.Requests, r.P50Micros, r.RateReachedPerS)
	}
}

// What a server has no time for before the end, and as long again as a request may take, is reported, and its
// latencies are as long as it has waited.
func TestUnsent(t *testing.T) {
	clock := newManual()
	c := config(serve(t, func(http.ResponseWriter, *http.Request) { clock.advance(3 * time.Second) }))
	c.Rate, c.Arrivals, c.Duration, c.Timeout, c.clock = 100, Constant, time.Second, 2*time.Second, clock
	r, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if r.Requests != 1 || r.Unsent != 99 || r.Messages != 100 || r.Invocations != 1 {
		t.Errorf("%+v; want 1 request, 99 unsent", r)
	}
	if r.P50Micros < 2.4e6 || r.P50Micros > 2.6e6 {
		t.Errorf("p50 %v µs, want about 2.5 s: half of the requests were due for as long", r.P50Micros)
	}
}

// By the machine's own clock: what is sent is what the flags say, each part with the same key, and everything that
// comes back is counted by its status.
func TestRequests(t *testing.T) {
	var posts, wrong atomic.Int64
	seen := sync.Map{}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		key := strings.TrimPrefix(r.URL.EscapedPath(), "/a%2Fb/")
		if k, ok := keys.Index(key); !ok || k >= 10 || string(body) != "<"+key+">" || r.Header.Get("X-Key") != key ||
			r.Header.Get("Content-Type") != "text/plain" || r.Method != http.MethodPost || r.Host != "example" {
			wrong.Add(1)
		}
		seen.Store(key, true)
		if posts.Add(1)%4 == 0 {
			http.Error(w, "busy", http.StatusServiceUnavailable)
		}
	})
	unix := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", unix)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: handler}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	for _, rate := range []float64{0, 2000} {
		for name, c := range map[string]Config{"tcp": config(serve(t, handler)), "unix": config("http://nowhere")} {
			posts.Store(0)
			if name == "unix" {
				c.Unix = unix
			}
			c.URL += "/a%2Fb/{key}"
			c.Body = "<{key}>"
			c.Headers = []string{"X-Key: {key}", "content-type: text/plain", "Host: example"}
			c.Connections, c.Rate = 3, rate
			c.Curve = &loadgen.Curve{}
			r, err := Run(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			n := posts.Load()
			if wrong.Load() > 0 {
				t.Fatalf("%s: %d of %d requests are wrong", name, wrong.Load(), n)
			}
			if r.Requests != n || r.Statuses["503"] != n/4 || r.Statuses["200"] != n-n/4 || r.Invocations != n-n/4 || len(r.Errors) != 0 {
				t.Errorf("%s: %d requests reached the server: %+v", name, n, r)
			}
			if last := c.Curve.Samples[len(c.Curve.Samples)-1]; last.Done != n || c.Curve.Latency.TotalCount() != n {
				t.Errorf("%s: the curve ends with %d, want %d, and has %d latencies", name, last.Done, n, c.Curve.Latency.TotalCount())
			}
			if r.MaxMicros <= 0 || r.RateReachedPerS <= 0 {
				t.Errorf("%s: nothing was measured: %+v", name, r)
			}
		}
	}
	distinct := 0
	seen.Range(func(any, any) bool { distinct++; return true })
	if distinct < 5 {
		t.Errorf("%d keys in all requests, want most of 10", distinct)
	}
}

// A run of which nothing can come is an error, and says why.
func TestNothingReached(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := "http://" + l.Addr().String()
	_ = l.Close()
	hangsUp := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, _ := w.(http.Hijacker).Hijack()
		_ = conn.Close()
	})
	for url, want := range map[string]string{gone: "cannot be reached: dial tcp", hangsUp: "was answered: "} {
		if _, err := Run(t.Context(), config(url)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", url, err, want)
		}
	}
}

// A server that hangs up now and then is not a reason to end, but to say so.
func TestErrorsAreCounted(t *testing.T) {
	var n atomic.Int64
	c := config(serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1)%2 == 0 {
			conn, _, _ := w.(http.Hijacker).Hijack()
			_ = conn.Close()
		}
	}))
	r, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if r.Requests != n.Load() || r.Statuses["200"]+r.Errors["connection closed by the server"] != n.Load() || r.Statuses["200"] != (n.Load()+1)/2 {
		t.Errorf("%d requests reached the server: %+v", n.Load(), r)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := config(serve(t, func(http.ResponseWriter, *http.Request) { cancel() }))
	c.Duration, c.Rate = time.Hour, 10
	if _, err := Run(ctx, c); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want the context's error", err)
	}
}

// Errors are told apart by what they are, not by the port they name, and are never many.
func TestErrorKinds(t *testing.T) {
	r := newResults()
	for i := range 100 {
		r.note(arrival{}, 1, 0, fmt.Errorf("failure %d", i))
	}
	if len(r.errors) != 21 || r.errors["others"] != 80 {
		t.Errorf("%d kinds, %d others; want 20 and all the others", len(r.errors), r.errors["others"])
	}
	for want, err := range map[string]error{
		"timeout":        context.DeadlineExceeded,
		"host not found": &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "x"}},
	} {
		if got := newResults().kind(err); got != want {
			t.Errorf("%v is %q, want %q", err, got, want)
		}
	}
}

func TestConfigValidate(t *testing.T) {
	if err := config("https://[::1]:80/{key}?q={key}").Validate(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*Config){
		"no url":      func(c *Config) { c.URL = "" },
		"no host":     func(c *Config) { c.URL = "http:///x" },
		"scheme":      func(c *Config) { c.URL = "ftp://a/" },
		"host":        func(c *Config) { c.URL = "http://{key}/" },
		"method":      func(c *Config) { c.Method = "GET /" },
		"header":      func(c *Config) { c.Headers = []string{"x"} },
		"header name": func(c *Config) { c.Headers = []string{"{key}: x"} },
		"header line": func(c *Config) { c.Headers = []string{"a: b\r\nc: d"} },
		"connections": func(c *Config) { c.Connections = 0 },
		"rate":        func(c *Config) { c.Rate = -1 },
		"arrivals":    func(c *Config) { c.Rate, c.Arrivals = 1, Closed },
		"duration":    func(c *Config) { c.Duration = 0 },
		"timeout":     func(c *Config) { c.Timeout = 0 },
		"keys":        func(c *Config) { c.URL, c.Keys = "http://a/{key}", 0 },
	} {
		c := config("http://a/")
		change(&c)
		if _, err := Run(t.Context(), c); err == nil || strings.Contains(err.Error(), "reached") {
			t.Errorf("%s: %v, want %+v refused", name, err, c)
		}
	}
}
