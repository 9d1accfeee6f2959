// SPDX-License-Identifier: Apache-2.0

package server

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
)

// noted is a connection that notes the read deadline it is given.
type noted struct {
	net.Conn
	r        io.Reader
	deadline time.Time
}

func (n *noted) SetReadDeadline(t time.Time) error { n.deadline = t; return nil }
func (n *noted) Read(p []byte) (int, error)        { return n.r.Read(p) }

// Whatever the server asks for, a request ends with ReadTimeout, and an idle connection with the ingress.
func TestConnBendsDeadlines(t *testing.T) {
	until := time.Now().Add(time.Hour)
	sooner, later := until.Add(-time.Second), until.Add(time.Second)
	tests := []struct {
		name        string
		idle        bool
		closing     bool
		asked, want time.Time
	}{
		{"busy, sooner", false, false, sooner, sooner},
		{"busy, later", false, false, later, until},
		{"busy while closing", false, true, later, until},
		{"idle", true, false, later, later},
		{"idle while closing", true, true, later, past},
	}
	for _, tt := range tests {
		n := &noted{}
		c := &conn{Conn: n, all: &conns{}}
		c.all.closing.Store(tt.closing)
		c.setIdle(tt.idle, until)
		if err := c.SetReadDeadline(tt.asked); err != nil || !n.deadline.Equal(tt.want) {
			t.Errorf("%s: deadline %v, %v; want %v", tt.name, n.deadline, err, tt.want)
		}
	}
}

// The end may come with the last bytes or behind them; it is noted when it is met, and not before, since
// what came before it may be a whole request.
func TestConnNotesTheEnd(t *testing.T) {
	c := &conn{Conn: &noted{r: iotest.DataErrReader(strings.NewReader("ab"))}, all: &conns{}}
	buf := make([]byte, 10)
	if n, err := c.Read(buf); n != 2 || err != nil || c.ended {
		t.Errorf("Read = %d, %v, ended %t; want 2, nil, false", n, err, c.ended)
	}
	if n, err := c.Read(buf); n != 0 || !errors.Is(err, io.EOF) || !c.ended {
		t.Errorf("Read = %d, %v, ended %t; want 0, EOF, true", n, err, c.ended)
	}
}

// deaf is a connection that never listens.
type deaf struct {
	net.Conn
	over chan struct{}
}

func (d deaf) Read([]byte) (int, error) {
	<-d.over
	return 0, io.EOF
}

// H1: a client that begins a handshake and does not read what the server answers holds its connection no
// longer than WriteTimeout.
func TestTLSHandshakeDoesNotWriteForEver(t *testing.T) {
	certified := httptest.NewTLSServer(nil)
	defer certified.Close()
	synctest.Test(t, func(t *testing.T) {
		s := New(config())
		s.tls = certified.TLS
		client, server := net.Pipe()
		d := deaf{client, make(chan struct{})}
		defer close(d.over)
		go func() { _ = tls.Client(d, &tls.Config{InsecureSkipVerify: true}).Handshake() }()
		start := time.Now()
		s.take(server)
		s.conns.served.Wait()
		if held := time.Since(start); held > s.c.WriteTimeout {
			t.Errorf("held for %v, want %v at most", held, s.c.WriteTimeout)
		}
	})
}
