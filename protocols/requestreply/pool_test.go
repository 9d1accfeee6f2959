// SPDX-License-Identifier: Apache-2.0

package requestreply

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/engine/remote"
)

// counted counts the connections of an invoker from its own side, where they are closed when it says so.
type counted struct {
	open, most, all atomic.Int32
}

type countedConn struct {
	net.Conn
	c    *counted
	once sync.Once
}

func (c *counted) watch(h *HTTP) {
	dial := h.dial
	h.dial = func(ctx context.Context, to route) (net.Conn, net.Conn, error) {
		conn, _, err := dial(ctx, to)
		if err != nil {
			return nil, nil, err
		}
		c.all.Add(1)
		n := c.open.Add(1)
		for most := c.most.Load(); n > most && !c.most.CompareAndSwap(most, n); most = c.most.Load() {
		}
		cc := &countedConn{Conn: conn, c: c}
		return cc, cc, nil
	}
}

func (c *countedConn) Close() error {
	c.once.Do(func() { c.c.open.Add(-1) })
	return c.Conn.Close()
}

// Functions that hang take no more connections than the pool has, however many requests wait; these end in
// time, and when the functions are back the pool is too.
func TestHTTPPoolSize(t *testing.T) {
	const size, waiting = 8, 1000
	var hangs atomic.Bool
	hangs.Store(true)
	s := newRawServer(t, "tcp", func(_ int, c *rawConn) {
		if hangs.Load() {
			c.closed()
			return
		}
		c.echoAll()
	})
	h := newHTTP(t, HTTPConfig{URL: s.url(), PoolSize: size})
	var conns counted
	conns.watch(h)
	requests := make([]*asked, waiting)
	for i := range requests {
		requests[i] = ask(h, fmt.Sprint(i), soon+time.Duration(i%7)*time.Millisecond)
	}
	for _, a := range requests {
		a.failed(t, remote.TimedOut, "")
	}
	hangs.Store(false)
	for i, a := range requests {
		a.r.Timeout = ample
		a.again(h)
		if i%3 == 0 {
			a.echoed(t)
			a.again(h)
		}
	}
	for _, a := range requests {
		a.echoed(t)
	}
	shut(t, h)
	if n := conns.most.Load(); n > size || n < 2 {
		t.Errorf("%d connections at a time, want 2 to %d", n, size)
	}
	if n := conns.open.Load(); n != 0 {
		t.Errorf("%d connections are left open", n)
	}
}

// While nobody is there, a request at a time takes one goroutine, not one more each time. While there are
// many hosts, each keeps its connection until the pool is full.
func TestHTTPWorkers(t *testing.T) {
	workers := func(h *HTTP) int {
		h.crew.mu.Lock()
		defer h.crew.mu.Unlock()
		return len(h.crew.workers)
	}
	h := newHTTP(t, HTTPConfig{URL: "http+unix://" + socketPath(t)})
	a := ask(h, "hello", ample)
	for range 20 {
		a.failed(t, remote.Unreachable, "")
		a.again(h)
	}
	a.failed(t, remote.Unreachable, "")
	if n := workers(h); n != 1 {
		t.Errorf("%d workers for one request at a time", n)
	}
	shut(t, h)

	const hosts, size = 6, 4
	h = newHTTP(t, HTTPConfig{URL: "http://{function.name}/", PoolSize: size})
	var conns counted
	h.dial = func(_ context.Context, to route) (net.Conn, net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			c := &rawConn{Conn: server, r: bufio.NewReader(server)}
			for r := c.request(); r != nil; r = c.request() {
				if r.Host+":80" != to.address {
					t.Errorf("a request for %s at %s", r.Host, to.address)
				}
				body, _ := io.ReadAll(r.Body)
				_ = c.write(ok(echoBytes(body)))
			}
		}()
		return client, client, nil
	}
	conns.watch(h)
	all := func(hosts int) {
		for i := range hosts {
			a := ask(nothing{}, "hello", ample)
			a.r.Target.Name = fmt.Sprint("host-", i)
			a.again(h)
			a.echoed(t)
		}
	}
	for range 5 {
		all(size)
	}
	if n := conns.all.Load(); n != size {
		t.Errorf("%d connections to %d hosts", n, size)
	}
	all(hosts)
	if n := conns.most.Load(); n != size || workers(h) != size {
		t.Errorf("%d connections at a time and %d workers, want %d", n, workers(h), size)
	}
	shut(t, h)
	if n := conns.open.Load(); n != 0 {
		t.Errorf("%d connections are left open", n)
	}
}

// Requests that wait are served in their order.
func TestHTTPFirstComeFirstServed(t *testing.T) {
	var order []string
	begin := make(chan struct{})
	s := newRawServer(t, "tcp", func(_ int, c *rawConn) {
		<-begin
		for r := c.request(); r != nil; r = c.request() {
			body, _ := io.ReadAll(r.Body)
			seen, err := seenIn(body)
			if err != nil || c.write(ok(echoBytes(body))) != nil {
				return
			}
			order = append(order, string(seen.Messages[0].Value)) // One connection: no two of these.
		}
	})
	h := newHTTP(t, HTTPConfig{URL: s.url(), PoolSize: 1})
	var requests []*asked
	var want []string
	for i := range 20 {
		requests, want = append(requests, ask(h, fmt.Sprint(i), ample)), append(want, fmt.Sprint(i))
	}
	close(begin)
	for _, a := range requests {
		a.echoed(t)
	}
	shut(t, h)
	_ = s.Close()
	s.serving.Wait()
	if strings.Join(order, " ") != strings.Join(want, " ") {
		t.Errorf("served in the order %v", order)
	}
}

func TestHTTPPoolTTL(t *testing.T) {
	for ttl, want := range map[time.Duration]int{0: 1, time.Hour: 1, time.Nanosecond: 5} {
		s := newRawServer(t, "unix", func(_ int, c *rawConn) { c.echoAll() })
		h := newHTTP(t, HTTPConfig{URL: s.url(), PoolTTL: ttl})
		for range 5 {
			ask(h, "hello", ample).echoed(t)
		}
		shut(t, h)
		if got := s.connections(); got != want {
			t.Errorf("PoolTTL %v: %d connections, want %d", ttl, got, want)
		}
	}
}

// Connections and goroutines are there for as long as they are used, and a little longer.
func TestHTTPIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHTTP(t, HTTPConfig{URL: "http://functions/", PoolSize: 4})
		var conns counted
		h.dial = func(context.Context, route) (net.Conn, net.Conn, error) {
			client, server := net.Pipe()
			go func() {
				c := &rawConn{Conn: server, r: bufio.NewReader(server)}
				for r := c.request(); r != nil; r = c.request() {
					time.Sleep(time.Millisecond) // So that requests that begin together are under way together.
					body, _ := io.ReadAll(r.Body)
					_ = c.write(ok(echoBytes(body)))
				}
			}()
			return client, client, nil
		}
		conns.watch(h)
		workers := func() int {
			synctest.Wait()
			h.crew.mu.Lock()
			defer h.crew.mu.Unlock()
			return len(h.crew.workers)
		}
		all := func(n int) {
			t.Helper()
			var requests []*asked
			for range n {
				requests = append(requests, ask(h, "hello", ample))
			}
			for _, a := range requests {
				a.echoed(t)
			}
		}
		all(4)
		if n := workers(); n != 4 {
			t.Errorf("%d workers for 4 requests at once", n)
		}
		time.Sleep(idleMax / 2)
		all(1)
		time.Sleep(idleMax/2 + time.Millisecond)
		if n := workers(); n != 1 || conns.open.Load() != 1 {
			t.Errorf("%d workers with %d connections, want the one that was used", n, conns.open.Load())
		}
		all(1)
		if n := conns.all.Load(); n != 4 {
			t.Errorf("%d connections in all, want 4", n)
		}
		time.Sleep(idleMax + time.Millisecond)
		if n := workers(); n != 0 || conns.open.Load() != 0 {
			t.Errorf("%d workers with %d connections, want none", n, conns.open.Load())
		}
		all(2)
		if err := h.Close(t.Context()); err != nil {
			t.Error(err)
		}
		synctest.Wait()
	})
}
