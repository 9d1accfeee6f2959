// SPDX-License-Identifier: Apache-2.0

package requestreply

import (
	"context"
	"fmt"
	"io"
	nethttp "net/http"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/remote"
)

// The request is StateFun's, header by header.
func TestHTTPRequest(t *testing.T) {
	requests := make(chan *nethttp.Request, 1)
	s := newRawServer(t, "tcp", func(_ int, c *rawConn) {
		r := c.request()
		requests <- r
		body, _ := io.ReadAll(r.Body)
		_ = c.write(ok(echoBytes(body)))
	})
	h := newHTTP(t, HTTPConfig{URL: "http://us%40er:pass@" + s.Addr().String() + "/a%2Fb/{function.name}?x={function.name}#top"})
	ask(h, "hello", ample).echoed(t)
	shut(t, h)
	r := <-requests
	if r.Method != "POST" || r.RequestURI != "/a%2Fb/cart?x=cart" || r.Proto != "HTTP/1.1" || r.Host != s.Addr().String() {
		t.Errorf("%s %s %s to %s", r.Method, r.RequestURI, r.Proto, r.Host)
	}
	if user, password, _ := r.BasicAuth(); user != "us@er" || password != "pass" {
		t.Errorf("user %q, password %q", user, password)
	}
	want := map[string]string{
		"Content-Type": octetStream, "Accept": octetStream, "Accept-Encoding": "gzip,deflate",
		"User-Agent": "statefun", "Connection": "keep-alive", "Content-Length": fmt.Sprint(r.ContentLength),
	}
	for name, value := range want {
		if got := r.Header.Get(name); got != value && name != "Content-Length" {
			t.Errorf("%s: %q, want %q", name, got, value)
		}
	}
	for name := range r.Header {
		if want[name] == "" && name != "Authorization" {
			t.Errorf("unexpected header %s", name)
		}
	}
}

// Messages of any size go out and come back, and a buffer that is large does not stay.
func TestHTTPLargeRequest(t *testing.T) {
	s := newRawServer(t, "unix", func(_ int, c *rawConn) { c.echoAll() })
	h := newHTTP(t, HTTPConfig{URL: s.url()})
	for _, size := range []int{0, 1, 4095, 4096, 1 << 20, 8 << 20} {
		ask(h, strings.Repeat("x", size), ample).echoed(t)
	}
	a := ask(h, strings.Repeat("x", 8<<20), ample)
	a.echoed(t)
	a.r.Messages[0].Value, a.text = []byte("small"), "small"
	a.again(h)
	a.echoed(t)
	if kept := cap(a.r.Scratch.(*call).buf); kept > bufKept {
		t.Errorf("%d bytes are kept, want at most %d", kept, bufKept)
	}
	shut(t, h)
}

// An invocation over a connection that is there costs no memory that has to be collected.
func TestHTTPAllocatesNothing(t *testing.T) {
	answer := []byte(ok(echoBytes(mustAppend(t, "hello"))))
	s := newRawServer(t, "unix", func(_ int, c *rawConn) {
		for buf := make([]byte, 4<<10); ; { // One read is one request, as there is no other under way.
			if _, err := c.Read(buf); err != nil {
				return
			}
			if _, err := c.Write(answer); err != nil {
				return
			}
		}
	})
	h := newHTTP(t, HTTPConfig{URL: s.url(), Read: ample, Write: ample, Connect: ample, PoolTTL: time.Hour})
	a := ask(h, "hello", ample)
	a.echoed(t)
	if n := testing.AllocsPerRun(200, func() {
		a.again(h)
		if err := <-a.ended; err != nil {
			t.Error(err)
		}
	}); n > 1 { // The closure that ends the request is the test's.
		t.Errorf("%v allocations", n)
	}
	shut(t, h)
}

// A connection that the server has closed while nobody used it costs no attempt, whenever that shows; but
// one on which the answer has begun, or a new one, does.
func TestHTTPStaleConnection(t *testing.T) {
	closed, taken := make(chan struct{}), make(chan struct{}, 1)
	tests := map[string]struct {
		serve func(n int, c *rawConn)
		fails bool
		conns int
	}{
		"closed before the request": {conns: 2, serve: func(n int, c *rawConn) {
			if n > 0 {
				c.echoAll()
				return
			}
			body, _ := io.ReadAll(c.request().Body)
			_ = c.write(ok(echoBytes(body)))
			_ = c.Close()
			closed <- struct{}{}
		}},
		"closed after the request": {conns: 2, serve: func(n int, c *rawConn) {
			if n > 0 {
				c.echoAll()
				return
			}
			body, _ := io.ReadAll(c.request().Body)
			_ = c.write(ok(echoBytes(body)))
			closed <- struct{}{}
			c.request()
		}},
		"closed on the new one too": {conns: 2, fails: true, serve: func(n int, c *rawConn) {
			body, _ := io.ReadAll(c.request().Body)
			if n > 0 {
				return
			}
			_ = c.write(ok(echoBytes(body)))
			closed <- struct{}{}
			c.request()
		}},
		"closed in the answer": {conns: 1, fails: true, serve: func(n int, c *rawConn) {
			if n > 0 {
				c.echoAll()
				return
			}
			body, _ := io.ReadAll(c.request().Body)
			_ = c.write(ok(echoBytes(body)))
			closed <- struct{}{}
			c.request()
			_ = c.write("HTTP/1.1")
		}},
		"an answer that nobody asked for": {conns: 2, serve: func(n int, c *rawConn) {
			if n > 0 {
				c.echoAll()
				return
			}
			body, _ := io.ReadAll(c.request().Body)
			_ = c.write(ok(echoBytes(body)))
			<-taken
			_ = c.write(ok(echoBytes(body)))
			closed <- struct{}{}
			c.closed()
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := newRawServer(t, "unix", tt.serve) // What is written there has arrived.
			h := newHTTP(t, HTTPConfig{URL: s.url()})
			ask(h, "first", ample).echoed(t)
			taken <- struct{}{}
			<-closed
			select {
			case <-taken:
			default:
			}
			second := ask(h, "second", ample)
			if tt.fails {
				second.failed(t, remote.Unreachable, "")
			} else {
				second.echoed(t)
			}
			shut(t, h)
			if s.connections() != tt.conns {
				t.Errorf("%d connections, want %d", s.connections(), tt.conns)
			}
		})
	}
}

// A request that has no time ends at once, and does no harm to the connection.
func TestHTTPNoTime(t *testing.T) {
	s := newRawServer(t, "tcp", func(_ int, c *rawConn) { c.echoAll() })
	h := newHTTP(t, HTTPConfig{URL: s.url()})
	ask(h, "hello", ample).echoed(t)
	ask(h, "hello", 0).failed(t, remote.TimedOut, "no time")
	ask(h, "hello", ample).echoed(t)
	shut(t, h)
	if s.connections() != 1 {
		t.Errorf("%d connections, want 1", s.connections())
	}
}

func TestHTTPInvokeAfterClose(t *testing.T) {
	h := newHTTP(t, HTTPConfig{URL: "http://127.0.0.1:1/"})
	shut(t, h)
	ask(h, "hello", ample).failed(t, remote.Unreachable, "closed")
}

// Everything that is wrong with a configuration is told at once, without what is secret.
func TestHTTPConfigValidate(t *testing.T) {
	_, err := NewHTTP(HTTPConfig{
		URL: "tcp://user:secret@fns/", Connect: -1, Write: -1, Read: -1, PoolSize: -1, PoolTTL: -1, PayloadMax: -1,
	})
	for _, field := range []string{"URL", "Connect", "Write", "Read", "PoolSize", "PoolTTL", "PayloadMax"} {
		if err == nil || !strings.Contains(err.Error(), field) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v, want it to say %s", err, field)
		}
	}
}

// A request that the protocol has no form for is not sent, by any way.
func TestNotUTF8(t *testing.T) {
	s := newRawServer(t, "unix", func(_ int, c *rawConn) { c.echoAll() })
	for _, i := range []remote.Invoker{
		newHTTP(t, HTTPConfig{URL: s.url()}),
		NewInProcess(handlerFunc(func(_ context.Context, b []byte) ([]byte, error) { return echoBytes(b), nil }), InProcessConfig{}),
	} {
		a := ask(nothing{}, "hello", ample)
		a.r.ID = []byte("\xff")
		a.again(i)
		a.failed(t, remote.Broken, "UTF-8")
		a.r.ID = []byte("id")
		a.again(i)
		a.echoed(t)
		shut(t, i)
	}
}
