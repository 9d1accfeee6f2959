// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
	"golang.org/x/sync/errgroup"

	httpconn "github.com/millrace-io/millrace/connectors/http"
	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/connector"
)

// app is the greeter as it ships, on a free port.
type app struct {
	engine  *engine.Engine
	address string
	heard   chan string
}

func start(t *testing.T, c httpconn.IngressConfig) *app {
	t.Helper()
	c.Address = "127.0.0.1:0"
	door, err := httpconn.NewIngress(c)
	if err != nil {
		t.Fatal(err)
	}
	a := &app{heard: make(chan string, 1_000_000)}
	a.engine, err = engine.Open(t.Context(), engine.Config{}, module(door, connector.SinkFunc(func(r connector.Record) error {
		greeting, err := engine.String.Decode(r.Value)
		a.heard <- greeting
		return err
	})))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	running := make(chan error, 1)
	go func() { running <- a.engine.Run(ctx) }()
	select {
	case <-a.engine.Ready():
	case err := <-running:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		if err := <-running; err != nil {
			t.Error(err)
		}
		grace, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := a.engine.Close(grace); err != nil {
			t.Error(err)
		}
	})
	a.address = door.Addr().String()
	return a
}

func (a *app) do(t *testing.T, method, path, contentType, body string) (status int, answer string) {
	t.Helper()
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	req.SetRequestURI("http://" + a.address + path)
	req.Header.SetMethod(method)
	req.Header.SetContentType(contentType)
	req.SetBodyString(body)
	client := &fasthttp.Client{DisablePathNormalizing: true}
	defer client.CloseIdleConnections()
	if err := client.DoTimeout(req, resp, 30*time.Second); err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp.StatusCode(), string(resp.Body())
}

// What the README shows: a message, a call, and what is refused, through door, engine and egress.
func TestGreeter(t *testing.T) {
	a := start(t, httpconn.IngressConfig{})
	const visit, query = "application/vnd.example/Visit", "application/vnd.example/VisitsQuery"
	for n := 1; n <= 2; n++ {
		if status, body := a.do(t, "PUT", "/example/person/Bob", visit, "{}"); status != 202 {
			t.Fatalf("PUT: %d %s", status, body)
		}
		if got, want := <-a.heard, fmt.Sprintf("Hello Bob, visit %d", n); got != want {
			t.Errorf("heard %q, want %q", got, want)
		}
	}
	for _, tt := range []struct {
		method, path, contentType, body string
		status                          int
		answer                          string
	}{
		{"POST", "/call/example/person/Bob", query, "{}", 200, `{"visits":2}`},
		{"POST", "/call/example/person/nobody", query, "{}", 200, `{"visits":0}`},
		{"PUT", "/example/person/a%2Fb", visit, "{}", 202, ""},
		{"PUT", "/example/nothing/Bob", visit, "{}", 404, `"unknown_function_type"`},
		{"PUT", "/example/person/Bob", "application/vnd.example/Greet", "{}", 415, `"hint"`},
		{"PUT", "/example/person/Bob", visit, "{", 400, `"error"`},
		{"PUT", "/example/person/", visit, "{}", 400, `"error"`},
		{"PUT", "/example/person", visit, "{}", 400, `"error"`},
		{"PUT", "/example/person/%zz", visit, "{}", 400, `"error"`},
		{"DELETE", "/example/person/Bob", visit, "", 405, `"error"`},
		{"POST", "/ingress", visit, "{}", 404, `"error"`},
	} {
		status, answer := a.do(t, tt.method, tt.path, tt.contentType, tt.body)
		if status != tt.status || !strings.Contains(answer, tt.answer) {
			t.Errorf("%s %s (%s) %q = %d %s; want %d with %s", tt.method, tt.path, tt.contentType, tt.body, status, answer, tt.status, tt.answer)
		}
	}
}

// Attackers of every kind get their 4xx or a closed connection, and others are served meanwhile: every
// visit of a guest is accepted and greeted, in order.
func TestGreeterUnderAttack(t *testing.T) {
	a := start(t, httpconn.IngressConfig{ReadTimeout: 300 * time.Millisecond, IdleTimeout: 500 * time.Millisecond, MaxBodyBytes: 4096})
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	put := "PUT /example/person/mallory HTTP/1.1\r\nHost: x\r\nContent-Type: application/vnd.example/Visit\r\n"
	attacks := map[string]attack{
		"slow head":    {send: put, drip: "X-A: b\r\n"},
		"slow body":    {send: put + "Content-Length: 4000\r\n\r\n", drip: "x"},
		"endless body": {send: put + "Transfer-Encoding: chunked\r\n\r\n", flood: "400\r\n" + strings.Repeat("x", 1024) + "\r\n", want: "413"},
		"large body":   {send: put + "Content-Length: 5000\r\n\r\n", want: "413"},
		"header flood": {send: put, flood: strings.Repeat("X-Flood: "+strings.Repeat("y", 50)+"\r\n", 50), want: "431"},
		"bad path":     {send: strings.Replace(put, "/example/person/mallory", "/example/%", 1) + "Content-Length: 0\r\n\r\n", want: "400"},
		"long id":      {send: strings.Replace(put, "mallory", strings.Repeat("m", 5000), 1) + "Content-Length: 2\r\n\r\n{}", want: "413"},
		"idle":         {},
		"not HTTP":     {send: "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n", want: "400"},
		"two lengths":  {send: put + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", want: "400"},
		"half a head":  {send: put[:20]},
	}
	var attackers errgroup.Group
	var ended atomic.Int64
	for name, attack := range attacks {
		for range 8 {
			attackers.Go(func() error {
				defer ended.Add(1)
				if err := attack.run(ctx, a.address); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
				return nil
			})
		}
	}
	client := &fasthttp.HostClient{Addr: a.address, ReadTimeout: 30 * time.Second}
	visits := 0
	for ; visits < 500 || ended.Load() < int64(8*len(attacks)); visits++ {
		if err := visit(client, a.address, "guest"); err != nil {
			t.Fatal(err)
		}
	}
	for n := 1; n <= visits; n++ {
		if got, want := <-a.heard, fmt.Sprintf("Hello guest, visit %d", n); got != want {
			t.Fatalf("heard %q, want %q", got, want)
		}
	}
	if err := attackers.Wait(); err != nil {
		t.Error(err)
	}
}

// attack sends something once, then drips or floods, and ends when the server has had enough.
type attack struct {
	send, drip, flood string
	want              string // The status that must come; empty: a closed connection will do.
}

func (k attack) run(ctx context.Context, address string) error {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	deadline, _ := ctx.Deadline()
	if err := c.SetDeadline(deadline); err != nil {
		return err
	}
	written := make(chan struct{})
	go func() {
		defer close(written)
		_, err := io.WriteString(c, k.send)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for err == nil && k.flood != "" {
			_, err = io.WriteString(c, k.flood)
		}
		for err == nil && k.drip != "" && ctx.Err() == nil {
			<-tick.C
			_, err = io.WriteString(c, k.drip)
		}
	}()
	answer, err := io.ReadAll(bufio.NewReader(c))
	c.Close()
	<-written
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return errors.New("the connection was still open at the end")
	}
	status, _, _ := bytes.Cut(bytes.TrimPrefix(answer, []byte("HTTP/1.1 ")), []byte(" "))
	if bytes.HasPrefix(status, []byte("2")) || len(answer) > 0 && string(status) != "408" && string(status) != k.want && k.want != "" {
		return fmt.Errorf("answered with %.80q, want %s", answer, k.want)
	}
	return nil
}
