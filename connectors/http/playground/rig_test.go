// SPDX-License-Identifier: Apache-2.0

package playground

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace-io/millrace/connectors/http/internal/server"
	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/statefun"
)

// entry is an engine that notes what it is sent, or refuses it with err.
type entry struct {
	connector.Entry // Panics: a playground only sends.
	err             error

	mu  sync.Mutex
	got []received // Guarded by mu.
}

type received struct {
	to              statefun.Address
	typename, value string
}

func (e *entry) Send(_ context.Context, to statefun.Address, m statefun.TypedValue, _ connector.Delivery) error {
	if e.err != nil {
		return e.err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.got = append(e.got, received{to, m.Typename, string(m.Value)})
	return nil
}

func (e *entry) received() []received {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]received{}, e.got...)
}

func address(namespace, name, id string) statefun.Address {
	return statefun.Address{Type: statefun.FunctionType{Namespace: namespace, Name: name}, ID: id}
}

var discard = slog.New(slog.DiscardHandler)

// openIngress starts an ingress on a free port, which ends with the test.
func openIngress(t testing.TB, e connector.Entry, bodyBytes int) *ingress {
	t.Helper()
	in := newIngress(config{"127.0.0.1:0", bodyBytes, timeout, discard})
	if err := in.Open(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	closes(t, in.server, in.Close)
	return in
}

// openEgress starts an egress on a free port, which ends with the test.
func openEgress(t testing.TB, topics ...string) *egress {
	t.Helper()
	e := newEgress(config{"127.0.0.1:0", 1, timeout, discard}, topics)
	if err := e.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	closes(t, e.server, e.Close)
	return e
}

func closes(t testing.TB, s *server.Server, end func(context.Context) error) {
	t.Cleanup(func() {
		if s.Closing() { // The test closed it.
			return
		}
		ctx, stop := context.WithTimeout(context.Background(), 10*time.Second)
		defer stop()
		if err := end(ctx); err != nil {
			t.Error(err)
		}
	})
}

// dial opens a connection that gives up, rather than hang the test, after a time that no good run takes.
func dial(t testing.TB, s *server.Server) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SetDeadline(time.Now().Add(2 * timeout)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// answer is a response, with what matters of its head.
type answer struct {
	line, status string // The status line's code, and the header Status.
	body         string
	closes       bool
}

// ask writes raw bytes to a new connection and reads one response.
func ask(t testing.TB, s *server.Server, raw string) answer {
	t.Helper()
	c := dial(t, s)
	if _, err := io.WriteString(c, raw); err != nil {
		t.Fatal(err)
	}
	return read(t, bufio.NewReader(c), strings.HasPrefix(raw, "HEAD "))
}

func read(t testing.TB, r *bufio.Reader, head bool) answer {
	t.Helper()
	req := &http.Request{Method: "GET"}
	if head {
		req.Method = "HEAD"
	}
	resp, err := http.ReadResponse(r, req)
	if err != nil {
		t.Fatalf("no response: %v", err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("no whole response: %v", err)
	}
	return answer{strconv.Itoa(resp.StatusCode), resp.Header.Get("Status"), string(body), resp.Close}
}

// request is a well-formed request.
func request(method, target, body string, headers ...string) string {
	var b strings.Builder
	b.WriteString(method + " " + target + " HTTP/1.1\r\nHost: h\r\n")
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	if body != "" {
		b.WriteString("Content-Length: " + strconv.Itoa(len(body)) + "\r\n")
	}
	return b.String() + "\r\n" + body
}

const vnd = "Content-Type: application/vnd.example/GreetRequest"

func put(target, body string) string { return request("PUT", target, body, vnd) }

func get(topic string) string { return request("GET", "/"+topic, "") }
