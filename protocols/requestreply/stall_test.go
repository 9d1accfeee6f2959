// SPDX-License-Identifier: Apache-2.0

package requestreply

import (
	"bufio"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/engine/remote"
)

// stall is a way of leaving a request hanging.
type stall struct {
	name   string
	c      HTTPConfig
	text   string        // Of the request.
	whole  time.Duration // Time of the request.
	serve  func(c *rawConn, over <-chan struct{})
	during string
	after  time.Duration // When it shows.
}

func drip(c *rawConn, head, drop string) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for err := c.write(head); err == nil; <-tick.C {
		err = c.write(drop)
	}
}

func stalls() []stall {
	const limit, whole = 20 * time.Millisecond, 50 * time.Millisecond
	large := strings.Repeat("x", 16<<20) // More than the system takes off our hands.
	silent := func(c *rawConn, _ <-chan struct{}) { c.request(); c.closed() }
	deaf := func(_ *rawConn, over <-chan struct{}) { <-over }
	says := func(answer string) func(*rawConn, <-chan struct{}) {
		return func(c *rawConn, _ <-chan struct{}) { c.request(); _ = c.write(answer); c.closed() }
	}
	drips := func(head, drop string) func(*rawConn, <-chan struct{}) {
		return func(c *rawConn, _ <-chan struct{}) { c.request(); drip(c, head, drop) }
	}
	const inChunks = "HTTP/1.1 200 OK\r\n" + octet + "Transfer-Encoding: chunked\r\n\r\n"
	part := ok(make([]byte, 1<<20))[:150]
	patient := HTTPConfig{Read: ample, Write: ample}
	const waiting, reading = "waiting for the answer", "reading the answer"
	return []stall{
		{name: "no answer", whole: whole, serve: silent, during: waiting, after: whole},
		{name: "no answer, Read", c: HTTPConfig{Read: limit}, whole: ample, serve: silent, during: waiting, after: limit},
		{name: "request", text: large, whole: whole, serve: deaf, during: "writing the request", after: whole},
		{name: "request, Write", text: large, c: HTTPConfig{Write: limit}, whole: ample, serve: deaf, during: "writing the request", after: limit},
		{name: "head, Read", c: HTTPConfig{Read: limit}, whole: ample, serve: says("HTTP/1.1 200 OK\r\nConte"), during: waiting, after: limit},
		{name: "body, Read", c: HTTPConfig{Read: limit}, whole: ample, serve: says(part), during: reading, after: limit},
		{name: "trailer, Read", c: HTTPConfig{Read: limit}, whole: ample, serve: says(inChunks + "0\r\n"), during: reading, after: limit},
		{name: "head, drop by drop", c: patient, whole: whole, serve: drips("HTTP/1.1 200 OK\r\nX: ", "x"), during: waiting, after: whole},
		{name: "body, drop by drop", c: patient, whole: whole, serve: drips(part, "x"), during: reading, after: whole},
		{name: "chunks, drop by drop", c: patient, whole: whole, serve: drips(inChunks, "1\r\nx\r\n"), during: reading, after: whole},
		{
			name: "what does not count, drop by drop", c: patient, whole: whole, during: waiting, after: whole,
			serve: drips("", "HTTP/1.1 100 Continue\r\nX: "+strings.Repeat("x", 200)),
		},
	}
}

// A server that stops anywhere is given up when the time for that phase is over, or that for the whole, to
// the moment. Its connection is closed, and the next request finds another.
func TestHTTPStalls(t *testing.T) {
	for _, tt := range stalls() {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				over := make(chan struct{})
				tt.c.URL = "http://functions/"
				h := newHTTP(t, tt.c)
				conns := 0
				h.dial = func(context.Context, route) (net.Conn, net.Conn, error) {
					client, server := net.Pipe()
					conns++
					first := conns == 1
					go func() {
						defer func() { _ = server.Close() }()
						c := &rawConn{Conn: server, r: bufio.NewReader(server)}
						if first {
							tt.serve(c, over)
							return
						}
						c.echoAll()
					}()
					return client, client, nil
				}
				begun := time.Now()
				ask(h, tt.text, tt.whole).failed(t, remote.TimedOut, tt.during)
				if d := time.Since(begun); d != tt.after {
					t.Errorf("given up after %v, want %v", d, tt.after)
				}
				close(over)
				ask(h, "again", ample).echoed(t)
				if err := h.Close(t.Context()); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Second) // The bubble's, for what drips to notice.
				if conns != 2 {
					t.Errorf("%d connections, want 2", conns)
				}
			})
		})
	}
}

// Time that runs out on a connection that has been used before is no sign that it was closed.
func TestHTTPStallIsNotStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHTTP(t, HTTPConfig{URL: "http://functions/", Read: time.Second})
		conns := 0
		h.dial = func(context.Context, route) (net.Conn, net.Conn, error) {
			client, server := net.Pipe()
			conns++
			go func() {
				c := &rawConn{Conn: server, r: bufio.NewReader(server)}
				body, _ := io.ReadAll(c.request().Body)
				_ = c.write(ok(echoBytes(body)))
				c.closed()
			}()
			return client, client, nil
		}
		a := ask(h, "hello", ample)
		a.echoed(t)
		begun := time.Now()
		a.again(h)
		a.failed(t, remote.TimedOut, "")
		if d := time.Since(begun); d != time.Second || conns != 1 {
			t.Errorf("%v and %d connections, want 1 s and 1", d, conns)
		}
		if err := h.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// The stalls again, over sockets, where time is not ours.
func TestHTTPStallsOnSockets(t *testing.T) {
	for _, tt := range stalls() {
		t.Run(tt.name, func(t *testing.T) {
			over := make(chan struct{})
			s := newRawServer(t, "tcp", func(n int, c *rawConn) {
				if n == 0 {
					tt.serve(c, over)
					return
				}
				c.echoAll()
			})
			tt.c.URL = s.url()
			h := newHTTP(t, tt.c)
			ask(h, tt.text, tt.whole).failed(t, remote.TimedOut, "")
			close(over)
			h.c.Read, h.c.Write = 0, 0 // The machine may be slow.
			a := ask(h, "again", ample)
			if _, err := a.answer(t); err != nil { // The first may have had no time to connect.
				a.again(h)
				a.echoed(t)
			}
			shut(t, h)
		})
	}
}

// A connection that is broken off, in whichever way, is told at once.
func TestHTTPBrokenOff(t *testing.T) {
	reset := func(c *rawConn) {
		_ = c.Conn.(*net.TCPConn).SetLinger(0)
		_ = c.Close()
	}
	tests := map[string]struct {
		text   string
		serve  func(c *rawConn)
		during string
	}{
		"closed for writing only": {
			serve:  func(c *rawConn) { c.request(); _ = c.Conn.(*net.TCPConn).CloseWrite(); c.closed() },
			during: "waiting for the answer",
		},
		"reset before the answer": {serve: func(c *rawConn) { c.request(); reset(c) }, during: "waiting for the answer"},
		"reset after the head":    {serve: func(c *rawConn) { c.request(); _ = c.write(ok(make([]byte, 100))[:100]); reset(c) }},
		"reset in the request": {
			text:   strings.Repeat("x", 16<<20),
			serve:  func(c *rawConn) { _, _ = c.r.Discard(1 << 20); reset(c) },
			during: "writing the request",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := newRawServer(t, "tcp", func(n int, c *rawConn) {
				if n == 0 {
					tt.serve(c)
					return
				}
				c.echoAll()
			})
			h := newHTTP(t, HTTPConfig{URL: s.url()})
			ask(h, tt.text, ample).failed(t, remote.Unreachable, tt.during)
			ask(h, "again", ample).echoed(t)
			shut(t, h)
			if s.connections() != 2 {
				t.Errorf("%d connections, want 2", s.connections())
			}
		})
	}
}

// A server that refuses a request need not read it, and is heard all the same.
func TestHTTPRefusedWhileSending(t *testing.T) {
	s := newRawServer(t, "unix", func(n int, c *rawConn) { // Reset, a TCP connection may lose the answer.
		if n > 0 {
			c.echoAll()
			return
		}
		_, _ = c.r.Discard(1000)
		_ = c.write("HTTP/1.1 413 Too Large\r\nRetry-After: 3\r\nContent-Length: 0\r\n\r\n")
	})
	h := newHTTP(t, HTTPConfig{URL: s.url()})
	e := ask(h, strings.Repeat("x", 16<<20), ample).failed(t, remote.Refused, "")
	if e.Status != 413 || e.RetryAfter != 3*time.Second {
		t.Errorf("%v, again after %v; want 413 and 3 s", e, e.RetryAfter)
	}
	ask(h, "again", ample).echoed(t)
	shut(t, h)
}

// Close cuts what is under way in every phase at once.
func TestHTTPCloseCuts(t *testing.T) {
	phases := map[string]struct {
		text  string
		stall func(c *rawConn)
	}{
		"request": {strings.Repeat("x", 16<<20), func(c *rawConn) {}},
		"answer":  {"", func(c *rawConn) { c.request() }},
		"body":    {"", func(c *rawConn) { c.request(); _ = c.write(ok(make([]byte, 100))[:100]) }},
	}
	for name, phase := range phases {
		t.Run(name, func(t *testing.T) {
			over, begun := make(chan struct{}), make(chan struct{}, 3)
			s := newRawServer(t, "tcp", func(_ int, c *rawConn) {
				phase.stall(c)
				begun <- struct{}{}
				<-over
			})
			h := newHTTP(t, HTTPConfig{URL: s.url(), PoolSize: 3})
			var requests []*asked
			for range 10 {
				requests = append(requests, ask(h, phase.text, ample))
			}
			for range 3 {
				<-begun
			}
			shut(t, h)
			for _, a := range requests {
				a.failed(t, remote.Unreachable, errClosed.Error())
			}
			close(over)
		})
	}
}
