// SPDX-License-Identifier: Apache-2.0

package playground

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/connectors/http/internal/server"
)

// both starts an ingress and an egress that wait for nobody longer than patience.
func both(t *testing.T, patience time.Duration) (map[string]*server.Server, *entry) {
	t.Helper()
	in := newIngress(config{"127.0.0.1:0", 1000, patience, discard})
	out := newEgress(config{"127.0.0.1:0", 1, patience, discard}, []string{"t"})
	e := &entry{}
	if err := errors.Join(in.Open(t.Context(), e), out.Open(t.Context())); err != nil {
		t.Fatal(err)
	}
	closes(t, in.server, in.Close)
	closes(t, out.server, out.Close)
	return map[string]*server.Server{"ingress": in.server, "egress": out.server}, e
}

// H1: connections that say nothing, stop in the middle or come drop by drop are closed, and others are
// served meanwhile.
func TestSlowClientsAreCutOff(t *testing.T) {
	servers, e := both(t, 200*time.Millisecond)
	head := strings.TrimSuffix(put("/a/b/c", ""), "\r\n")
	for name, s := range servers {
		for part, tt := range map[string]struct{ first, drips string }{
			"silent":       {},
			"request line": {"", "PUT /a/"},
			"headers":      {"PUT /a/b/c HTTP/1.1\r\nHost: h\r\n", "X: y\r\n"},
			"body":         {head + "Content-Length: 900\r\n\r\n", "v"},
			"chunks":       {head + "Transfer-Encoding: chunked\r\n\r\n", "1\r\nv\r\n"},
		} {
			t.Run(name+"/"+part, func(t *testing.T) {
				c := dial(t, s)
				if _, err := io.WriteString(c, tt.first); err != nil {
					t.Fatal(err)
				}
				if tt.drips != "" {
					go func() {
						pace := time.NewTicker(time.Millisecond)
						defer pace.Stop()
						for i := 0; ; i++ {
							<-pace.C
							if _, err := c.Write([]byte{tt.drips[i%len(tt.drips)]}); err != nil {
								return
							}
						}
					}()
				}
				if got := ask(t, s, get("t")); got.status == "" {
					t.Errorf("another client got %+v", got)
				}
				if b, err := io.ReadAll(c); errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("never closed; answered %q", b)
				}
			})
		}
	}
	if got := e.received(); len(got) > 0 {
		t.Errorf("received %v", got)
	}
}

// H2, H3: what is too large, or ends in two places, is refused, and nothing in it is taken for a request.
func TestHostileRequestsAreRefused(t *testing.T) {
	smuggled := put("/smuggled/x/x", "v")
	head := strings.TrimSuffix(put("/a/b/c", ""), "\r\n")
	for part, req := range map[string]string{
		"endless chunks":    head + "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("64\r\n"+strings.Repeat("v", 100)+"\r\n", 1000),
		"endless headers":   head + strings.Repeat("X: y\r\n", 100_000),
		"endless path":      "PUT /" + strings.Repeat("x", 100_000),
		"length and chunks": head + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled,
		"two lengths":       head + "Content-Length: 0\r\nContent-Length: 5\r\n\r\n" + smuggled,
		"folded":            head + "Transfer-Encoding:\r\n chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n" + smuggled,
		"no Host":           "PUT /a/b/c HTTP/1.1\r\n\r\n" + smuggled,
		"zero in a header":  head + "X: \x00\r\n\r\n" + smuggled,
	} {
		servers, e := both(t, timeout)
		for name, s := range servers {
			c := dial(t, s)
			go func() { _, _ = io.WriteString(c, req) }() // It may be refused before it is at its end.
			r := bufio.NewReader(c)
			// What is no HTTP is refused by its status line; a topic that there is not, as ever.
			if got := read(t, r, false); !got.closes || got.line[0] != '4' && got.status != "405" || got.status[0] != '4' {
				t.Errorf("%s, %s: %+v", name, part, got)
			}
			if b, err := io.ReadAll(r); len(b) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s, %s: %q, %v behind it; want the end", name, part, b, err)
			}
		}
		if got := e.received(); len(got) > 0 {
			t.Errorf("%s: received %v", part, got)
		}
	}
}

// A folded header cannot give a body another type than it seems to have.
func TestFoldedContentType(t *testing.T) {
	e := &entry{}
	in := openIngress(t, e, 1000)
	got := ask(t, in.server, request("PUT", "/a/b/c", "v", "Content-Type: text/plain\r\n application/vnd.a/b"))
	for _, r := range e.received() {
		if r.typename != "io.statefun.types/string" {
			t.Errorf("answered %+v, received %v", got, r)
		}
	}
}

// running counts the goroutines that run a server.
func running() int {
	buf := make([]byte, 1<<20)
	return strings.Count(string(buf[:runtime.Stack(buf, true)]), "internal/server.(*Server).")
}

// Close ends connections that are idle, waits for those that are not as long as it may, and leaves nothing
// running.
func TestCloseLeavesNothing(t *testing.T) {
	for running() > 0 { // Servers of tests before this one.
		runtime.Gosched()
	}
	in := newIngress(config{"127.0.0.1:0", 1000, timeout, discard})
	out := newEgress(config{"127.0.0.1:0", 1, timeout, discard}, []string{"t"})
	if err := errors.Join(in.Open(t.Context(), &entry{}), out.Open(t.Context())); err != nil {
		t.Fatal(err)
	}
	var left []net.Conn
	for _, s := range []*server.Server{in.server, out.server} {
		idle, half := dial(t, s), dial(t, s)
		for c, first := range map[net.Conn]string{idle: get("t"), half: "GET /"} {
			if _, err := io.WriteString(c, first); err != nil {
				t.Fatal(err)
			}
		}
		if got := read(t, bufio.NewReader(idle), false); got.status == "" {
			t.Errorf("%+v", got)
		}
		for busy := 0; busy == 0; { // Until the server has seen the half request.
			_, busy = s.Connections()
			runtime.Gosched()
		}
		left = append(left, idle, half)
	}
	if running() == 0 {
		t.Error("running() does not see the servers, so it would not see a leak")
	}
	over, stop := context.WithCancel(t.Context())
	stop()
	for name, end := range map[string]func(context.Context) error{"ingress": in.Close, "egress": out.Close} {
		if err := end(over); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), name) {
			t.Errorf("Close = %v, want that it had to cut", err)
		}
	}
	for _, c := range left {
		if _, err := io.ReadAll(c); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error("a connection is still open")
		}
	}
	for deadline := time.Now().Add(10 * time.Second); running() > 0; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines are left", running())
		}
	}
}

// Whoever cannot listen says where, and can be closed.
func TestAddressInUse(t *testing.T) {
	servers, _ := both(t, timeout)
	taken := config{servers["ingress"].Addr().String(), 1, timeout, discard}
	in, out := newIngress(taken), newEgress(taken, nil)
	for name, err := range map[string]error{"ingress": in.Open(t.Context(), &entry{}), "egress": out.Open(t.Context())} {
		if err == nil || !strings.Contains(err.Error(), name+" "+taken.address) {
			t.Errorf("Open = %v, want an error that names the %s and %s", err, name, taken.address)
		}
	}
	if err := errors.Join(in.Close(t.Context()), out.Close(t.Context())); err != nil {
		t.Error(err)
	}
}
