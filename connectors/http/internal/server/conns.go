// SPDX-License-Identifier: Apache-2.0

package server

import (
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// conn is a connection of a client, as the server keeps account of it.
//
//	idle --first byte of a request--> busy --response written--> idle
//
// fasthttp sets read deadlines at each step; conn bends them: a busy one ends no later than until, and an
// idle one is over when the server is closing. Whoever comes last under mu, the deadline that is set or
// the server that closes, sees the other.
type conn struct {
	net.Conn          // With TLS, where there is TLS.
	raw      net.Conn // Without.
	all      *conns
	client   netip.Addr // Invalid on a unix socket.

	// Owned by the serving goroutine.
	ended  bool    // The client sends no more.
	linger bool    // To be closed with patience.
	whole  bool    // The request has been read to its end.
	body   *[]byte // Of the request, when it has been asked for.

	mu    sync.Mutex
	idle  bool      // Guarded by mu.
	until time.Time // Guarded by mu.
}

// past is a deadline that is over.
var past = time.Unix(1, 0)

// Read notes the end of what the client sends, because fasthttp forgets it: chunks that just stop look
// to it like chunks that are complete.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err == io.EOF {
		if n > 0 {
			return n, nil // The next call brings the end by itself.
		}
		c.ended = true
	}
	return n, err
}

func (c *conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.idle && c.all.closing.Load():
		t = past
	case !c.idle && t.After(c.until):
		t = c.until
	}
	return c.Conn.SetReadDeadline(t)
}

func (c *conn) setIdle(idle bool, until time.Time) {
	c.mu.Lock()
	c.idle, c.until = idle, until
	c.mu.Unlock()
}

// What a lingering close waits for at most.
const (
	lingerTime  = 500 * time.Millisecond
	lingerBytes = 4 << 20
)

// Close closes the connection. After a refusal that left a part of the request unread it first says that
// it has finished and then reads on for a little: to close at once resets the connection, and a reset
// destroys the answer on its way.
func (c *conn) Close() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok && c.linger {
		c.linger = false
		if half.CloseWrite() == nil && c.Conn.SetReadDeadline(time.Now().Add(lingerTime)) == nil {
			_, _ = io.CopyN(io.Discard, c.Conn, lingerBytes)
		}
	}
	return c.Conn.Close()
}

// conns is the set of open connections.
type conns struct {
	most      int
	mostPerIP int // 0: no bound.
	closing   atomic.Bool
	served    sync.WaitGroup

	mu    sync.Mutex
	open  map[*conn]struct{} // Guarded by mu.
	perIP map[netip.Addr]int // Guarded by mu.
}

// admit takes a connection into account; false when there is no room for it.
func (s *conns) admit(raw net.Conn) (*conn, bool) {
	c := &conn{Conn: raw, raw: raw, all: s, idle: true}
	if a, ok := raw.RemoteAddr().(*net.TCPAddr); ok {
		c.client = a.AddrPort().Addr().Unmap()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	full := len(s.open) >= s.most
	fullIP := s.mostPerIP > 0 && c.client.IsValid() && s.perIP[c.client] >= s.mostPerIP
	if full || fullIP || s.closing.Load() {
		return nil, false
	}
	s.open[c] = struct{}{}
	s.perIP[c.client]++
	s.served.Add(1)
	return c, true
}

// drop ends what admit began.
func (s *conns) drop(c *conn) {
	s.mu.Lock()
	delete(s.open, c)
	if s.perIP[c.client]--; s.perIP[c.client] == 0 {
		delete(s.perIP, c.client)
	}
	s.mu.Unlock()
	s.served.Done()
}

// close admits nothing further and ends the idle connections.
func (s *conns) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing.Store(true)
	for c := range s.open {
		c.mu.Lock()
		if c.idle {
			_ = c.raw.SetReadDeadline(past) // Fails only on a connection that is over already.
		}
		c.mu.Unlock()
	}
}

// cut ends every connection, without a farewell that could block, and returns how many there were.
func (s *conns) cut() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		_ = c.raw.Close()
	}
	return len(s.open)
}

// count returns how many connections are open, and how many of them are busy.
func (s *conns) count() (open, busy int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		c.mu.Lock()
		if !c.idle {
			busy++
		}
		c.mu.Unlock()
	}
	return len(s.open), busy
}
