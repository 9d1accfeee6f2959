// SPDX-License-Identifier: Apache-2.0

// Package server is the HTTP server that the doors and sinks of this module share: it bounds what clients
// can make it hold, in connections, bytes and time, refuses what is not quite HTTP, and ends without
// leaving anything running.
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// HeadBytesMax bounds the head of a request. The longest id, of 4096 bytes, takes three times as many
// percent-encoded, and it has to fit.
const HeadBytesMax = 16 << 10

// headTimeout bounds the time for the head of a request.
const headTimeout = 5 * time.Second

// lastWords is how long Close waits for answers to those it has given up on.
const lastWords = 50 * time.Millisecond

// Config says what a [Server] does. Every field but Finish and MaxConnectionsPerIP must be set.
type Config struct {
	Name    string // For the log, such as "http ingress".
	Address string // "host:port" or "unix:/path".

	MaxBodyBytes        int
	ReadTimeout         time.Duration // For a whole request.
	WriteTimeout        time.Duration
	IdleTimeout         time.Duration // Between two requests of a connection.
	MaxConnections      int
	MaxConnectionsPerIP int // 0: no bound.
	Logger              *slog.Logger

	// Serve answers a request, in ctx's response or with the problem that it returns. The head has been
	// read; for the body it asks Server.Body. A connection whose request has a body that Serve did not
	// ask for is closed behind the answer.
	Serve func(ctx *fasthttp.RequestCtx) *Problem
	// Finish sees every answer before it leaves, also those to what could not be read.
	Finish func(r *fasthttp.Response)
}

// Server is an HTTP/1.1 server.
type Server struct {
	c       Config
	http    *fasthttp.Server
	conns   conns
	bodies  sync.Pool          // *[]byte
	base    context.Context    // Of everything that waits; over when the server gives up on its clients.
	giveUp  context.CancelFunc // Ends base.
	closed  chan struct{}      // Closed when Close begins.
	ln      net.Listener       // Written once in Open.
	tls     *tls.Config        // Written once in Open; nil for plain HTTP.
	tooMany []byte             // The response to a connection too many.
}

// New makes a server. It does not listen yet.
func New(c Config) *Server {
	s := &Server{c: c, closed: make(chan struct{})}
	s.conns = conns{
		most: c.MaxConnections, mostPerIP: c.MaxConnectionsPerIP,
		open: map[*conn]struct{}{}, perIP: map[netip.Addr]int{},
	}
	s.base, s.giveUp = context.WithCancel(context.Background())
	s.http = &fasthttp.Server{
		Handler:      s.serve,
		ErrorHandler: s.refuse,
		ConnState:    s.noteState,
		Concurrency:  c.MaxConnections,
		Logger:       quiet{},

		// The head has its own, shorter deadline; once it is there the whole request has ReadTimeout,
		// which conn bounds from the first byte on.
		ReadTimeout:  min(headTimeout, c.ReadTimeout),
		WriteTimeout: c.WriteTimeout,
		IdleTimeout:  c.IdleTimeout,
		HeaderReceived: func(*fasthttp.RequestHeader) fasthttp.RequestConfig {
			return fasthttp.RequestConfig{ReadTimeout: c.ReadTimeout}
		},

		ReadBufferSize: HeadBytesMax,
		// fasthttp would allocate what a request announces; readBody allocates what has come. With
		// streaming the limit is only how much it reads before it asks the handler, and the handler
		// refuses what it can without the body.
		StreamRequestBody:  true,
		MaxRequestBodySize: 1,
		// A connection that has sent nothing yet holds no buffer.
		ReduceMemoryUsage: true,

		DisablePreParseMultipartForm: true,
		NoDefaultServerHeader:        true,
		NoDefaultContentType:         true,
		SecureErrorLogMessage:        true,
	}
	full := unavailable("too_many_connections", "the server has no room for another connection").json()
	s.tooMany = fmt.Appendf(nil, "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"+
		"Content-Length: %d\r\nRetry-After: %s\r\nConnection: close\r\n\r\n%s", len(full), retryAfter, full)
	return s
}

// quiet keeps fasthttp from logging: what goes wrong with a request has been answered.
type quiet struct{}

func (quiet) Printf(string, ...any) {}

// Open begins to listen, with TLS unless conf is nil.
func (s *Server) Open(ctx context.Context, conf *tls.Config) (err error) {
	s.tls = conf
	if s.ln, err = listen(ctx, s.c.Address); err != nil {
		return err
	}
	s.conns.served.Add(1)
	go s.accept()
	return nil
}

// Addr is the address that the server listens on; nil before Open.
func (s *Server) Addr() net.Addr {
	if s.ln == nil {
		return nil
	}
	return s.ln.Addr()
}

// Context is over when the server has given up on its clients.
func (s *Server) Context() context.Context { return s.base }

// Closing reports whether Close has begun.
func (s *Server) Closing() bool { return s.conns.closing.Load() }

// Connections returns how many connections are open, and how many of them are in the middle of a request.
func (s *Server) Connections() (open, busy int) { return s.conns.count() }

// Close stops to accept and lets requests end that have begun. When ctx is done it gives up on those, and cuts
// the connections that are left. It is called once, last, also when Open failed.
func (s *Server) Close(ctx context.Context) error {
	close(s.closed)
	defer s.giveUp()
	if s.ln == nil {
		return nil
	}
	err := s.ln.Close()
	s.conns.close()
	idle := make(chan struct{})
	go func() {
		s.conns.served.Wait()
		close(idle)
	}()
	select {
	case <-idle:
	case <-ctx.Done():
		s.giveUp()
		select { // Who has been waiting is told that it was in vain.
		case <-idle:
		case <-time.After(lastWords):
		}
		if n := s.conns.cut(); n > 0 {
			err = errors.Join(err, fmt.Errorf("cut %d connections: %w", n, ctx.Err()))
		}
		<-idle
	}
	return err
}

// accept takes connections in until the listener is closed.
//
// An error is not the end: a process that has run out of file descriptors gets some back.
func (s *Server) accept() {
	defer s.conns.served.Done()
	const longest = time.Second
	wait := time.Duration(0)
	for {
		nc, err := s.ln.Accept()
		switch {
		case err == nil:
			wait = 0
			s.take(nc)
			continue
		case errors.Is(err, net.ErrClosed):
			return
		case wait == 0:
			s.c.Logger.Error(s.c.Name+" cannot accept connections, trying on", "address", s.c.Address, "error", err)
		}
		wait = min(max(2*wait, 5*time.Millisecond), longest)
		select {
		case <-time.After(wait):
		case <-s.closed:
			return
		}
	}
}

func (s *Server) take(nc net.Conn) {
	c, ok := s.conns.admit(nc)
	if !ok {
		// Into the empty buffer of a new socket, so it does not block. Whoever expects TLS gets nothing.
		if s.tls == nil && nc.SetWriteDeadline(time.Now().Add(time.Second)) == nil {
			_, _ = nc.Write(s.tooMany)
		}
		_ = nc.Close()
		return
	}
	go func() {
		defer s.conns.drop(c)
		if s.tls != nil {
			// The handshake runs in the first Read, under its deadline; what it writes needs one too.
			c.Conn = tls.Server(c.raw, s.tls)
			_ = c.SetWriteDeadline(time.Now().Add(s.c.WriteTimeout))
		}
		_ = s.http.ServeConn(c) // The client has had its answer or is gone.
	}()
}

// noteState follows what fasthttp does with a connection.
func (s *Server) noteState(nc net.Conn, state fasthttp.ConnState) {
	switch state {
	case fasthttp.StateActive:
		nc.(*conn).setIdle(false, time.Now().Add(s.c.ReadTimeout))
	case fasthttp.StateIdle:
		nc.(*conn).setIdle(true, time.Time{})
	}
}
