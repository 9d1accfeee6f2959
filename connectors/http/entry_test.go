// SPDX-License-Identifier: Apache-2.0

package http

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	nethttp "net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/statefun"
)

// entry is an engine that notes what it is given. The functions, where set, decide the outcome.
type entry struct {
	durable bool
	wait    func(ctx context.Context, d connector.Delivery) error // For what d promises.
	onSend  func() error
	onCall  func(ctx context.Context) (statefun.TypedValue, error)
	onRoute func() error

	mu  sync.Mutex
	got []received // Guarded by mu.
}

type received struct {
	by       string // "send", "call" or the ingress of a route.
	to       statefun.Address
	key      string
	typename string
	value    string
}

func (e *entry) note(r received) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.got = append(e.got, r)
}

func (e *entry) received() []received {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]received{}, e.got...)
}

func (e *entry) keep(ctx context.Context, d connector.Delivery) error {
	if e.wait == nil {
		return nil
	}
	return e.wait(ctx, d)
}

func (e *entry) Send(ctx context.Context, to statefun.Address, m statefun.TypedValue, d connector.Delivery) error {
	if err := e.keep(ctx, d); err != nil {
		return err
	}
	if e.onSend != nil {
		if err := e.onSend(); err != nil {
			return err
		}
	}
	e.note(received{by: "send", to: to, typename: m.Typename, value: string(m.Value)})
	return nil
}

func (e *entry) IsDurable() bool { return e.durable }

func (e *entry) Call(
	ctx context.Context, from statefun.FunctionType, to statefun.Address, m statefun.TypedValue, d connector.Delivery,
) (statefun.TypedValue, error) {
	if err := e.keep(ctx, d); err != nil {
		return statefun.TypedValue{}, err
	}
	e.note(received{by: "call of " + from.String(), to: to, typename: m.Typename, value: string(m.Value)})
	if e.onCall == nil {
		return statefun.TypedValue{Typename: m.Typename, Value: bytes.Clone(m.Value)}, nil
	}
	return e.onCall(ctx)
}

func (e *entry) Route(ctx context.Context, ingress string, ev connector.Event, d connector.Delivery) error {
	if err := e.keep(ctx, d); err != nil {
		return err
	}
	if e.onRoute != nil {
		if err := e.onRoute(); err != nil {
			return err
		}
	}
	e.note(received{by: ingress, key: string(ev.Key), typename: ev.Typename, value: string(ev.Value)})
	return nil
}

// open starts an ingress on a free port, which ends with the test.
func open(t testing.TB, c IngressConfig, e connector.Entry) *Ingress {
	t.Helper()
	if c.Address == "" {
		c.Address = "127.0.0.1:0"
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	in, err := NewIngress(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := in.Open(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if in.server.Closing() { // The test closed it.
			return
		}
		ctx, stop := context.WithTimeout(context.Background(), 10*time.Second)
		defer stop()
		if err := in.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return in
}

// dial opens a connection that gives up, rather than hang the test, after a time that no good run takes.
func dial(t testing.TB, in *Ingress) net.Conn {
	t.Helper()
	c, err := net.Dial(in.Addr().Network(), in.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// ask writes raw bytes to a new connection and reads one response.
func ask(t testing.TB, in *Ingress, raw string) (*nethttp.Response, string) {
	t.Helper()
	c := dial(t, in)
	if _, err := io.WriteString(c, raw); err != nil {
		t.Fatal(err)
	}
	return readAnswer(t, bufio.NewReader(c))
}

func readAnswer(t testing.TB, r *bufio.Reader) (*nethttp.Response, string) {
	t.Helper()
	resp, err := nethttp.ReadResponse(r, nil)
	if err != nil {
		t.Fatalf("no response: %v", err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("no whole response: %v", err)
	}
	return resp, string(body)
}

// errorCode returns the code of a refusal, and checks that it has the agreed form.
func errorCode(t testing.TB, resp *nethttp.Response, body string) string {
	t.Helper()
	var refusal struct {
		Error struct {
			Code, Message string
			Hint          *string
		}
	}
	dec := json.NewDecoder(strings.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&refusal); err != nil {
		t.Fatalf("status %d with %q: %v", resp.StatusCode, body, err)
	}
	if ct := resp.Header.Get("Content-Type"); ct != "application/json" {
		t.Errorf("Content-Type of a refusal = %q, want application/json", ct)
	}
	if refusal.Error.Code == "" || refusal.Error.Message == "" || refusal.Error.Hint == nil {
		t.Errorf("refusal %q lacks code, message or hint", body)
	}
	return refusal.Error.Code
}

// post is a well-formed request of a value of type "t/v".
func post(path, body string) string { return request("POST", path, "application/vnd.t/v", body) }

func request(method, path, contentType, body string, headers ...string) string {
	var b strings.Builder
	b.WriteString(method + " " + path + " HTTP/1.1\r\nHost: h\r\n")
	if contentType != "" {
		b.WriteString("Content-Type: " + contentType + "\r\n")
	}
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	if body != "" || method != "GET" {
		b.WriteString("Content-Length: " + strconv.Itoa(len(body)) + "\r\n")
	}
	return b.String() + "\r\n" + body
}
