// SPDX-License-Identifier: Apache-2.0

package http

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/statefun"
)

var (
	_ connector.Door   = (*Ingress)(nil)
	_ connector.Caller = (*Ingress)(nil)
)

// headBytesMax bounds the head of a request. The longest id, of 4096 bytes, takes three times as many
// percent-encoded, and it has to fit.
const headBytesMax = 16 << 10

// Ingress is an HTTP server that hands what it is sent to the engine.
type Ingress struct {
	c       IngressConfig
	server  *fasthttp.Server
	conns   conns
	bodies  sync.Pool          // *[]byte
	base    context.Context    // Of everything that waits; over when the ingress gives up on its clients.
	giveUp  context.CancelFunc // Ends base.
	closed  chan struct{}      // Closed when Close begins.
	entry   connector.Entry    // Written once in Open.
	ln      net.Listener       // Written once in Open.
	tls     *tls.Config        // Written once in Open; nil for plain HTTP.
	tooMany []byte             // The response to a connection too many.
}

// NewIngress makes an ingress of c, or says what is wrong with it. It does not listen yet.
func NewIngress(c IngressConfig) (*Ingress, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	in := &Ingress{c: c.withDefaults(), closed: make(chan struct{})}
	in.conns = conns{
		most: in.c.MaxConnections, mostPerIP: in.c.MaxConnectionsPerIP,
		open: map[*conn]struct{}{}, perIP: map[netip.Addr]int{},
	}
	in.base, in.giveUp = context.WithCancel(context.Background())
	in.server = &fasthttp.Server{
		Handler:      in.serve,
		ErrorHandler: in.refuse,
		ConnState:    in.noteState,
		Concurrency:  in.c.MaxConnections,
		Logger:       quiet{},

		// The head has its own, shorter deadline; once it is there the whole request has ReadTimeout,
		// which conn bounds from the first byte on.
		ReadTimeout:  min(headTimeout, in.c.ReadTimeout),
		WriteTimeout: in.c.WriteTimeout,
		IdleTimeout:  in.c.IdleTimeout,
		HeaderReceived: func(*fasthttp.RequestHeader) fasthttp.RequestConfig {
			return fasthttp.RequestConfig{ReadTimeout: in.c.ReadTimeout}
		},

		ReadBufferSize: headBytesMax,
		// The server would allocate what a request announces; readBody allocates what has come. With
		// streaming the limit is only how much the server reads before it asks the handler, and the
		// handler refuses what it can without the body.
		StreamRequestBody:  true,
		MaxRequestBodySize: 1,
		// A connection that has sent nothing yet holds no buffer.
		ReduceMemoryUsage: true,

		DisablePreParseMultipartForm: true,
		NoDefaultServerHeader:        true,
		NoDefaultContentType:         true,
		SecureErrorLogMessage:        true,
	}
	full := unavailable("too_many_connections", "the ingress has no room for another connection").json()
	in.tooMany = fmt.Appendf(nil, "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"+
		"Content-Length: %d\r\nRetry-After: %s\r\nConnection: close\r\n\r\n%s", len(full), retryAfter, full)
	return in, nil
}

// quiet keeps the server from logging: what goes wrong with a request has been answered.
type quiet struct{}

func (quiet) Printf(string, ...any) {}

// Open begins to listen.
func (in *Ingress) Open(ctx context.Context, entry connector.Entry) error {
	in.entry = entry
	var err error
	if in.tls, err = in.c.TLS.load(); err != nil {
		return fmt.Errorf("http: ingress %s: %w", in.c.Address, err)
	}
	if in.ln, err = listen(ctx, in.c.Address); err != nil {
		return fmt.Errorf("http: ingress %s: %w", in.c.Address, err)
	}
	in.conns.served.Add(1)
	go in.accept()
	return nil
}

// CallerType is what functions see as the sender of a call.
func (in *Ingress) CallerType() statefun.FunctionType { return caller }

// Addr is the address that the ingress listens on; nil before Open.
func (in *Ingress) Addr() net.Addr {
	if in.ln == nil {
		return nil
	}
	return in.ln.Addr()
}

// Close stops to accept, answers what is being asked, and cuts the connections that are left when ctx is
// done.
func (in *Ingress) Close(ctx context.Context) error {
	close(in.closed)
	defer in.giveUp()
	if in.ln == nil {
		return nil
	}
	err := in.ln.Close()
	in.conns.close()
	idle := make(chan struct{})
	go func() {
		in.conns.served.Wait()
		close(idle)
	}()
	select {
	case <-idle:
	case <-ctx.Done():
		in.giveUp()
		if n := in.conns.cut(); n > 0 {
			err = errors.Join(err, fmt.Errorf("cut %d connections: %w", n, ctx.Err()))
		}
		<-idle
	}
	if err != nil {
		return fmt.Errorf("http: ingress %s: close: %w", in.c.Address, err)
	}
	return nil
}

// accept takes connections in until the listener is closed.
//
// An error is not the end: a process that has run out of file descriptors gets some back.
func (in *Ingress) accept() {
	defer in.conns.served.Done()
	const longest = time.Second
	wait := time.Duration(0)
	for {
		nc, err := in.ln.Accept()
		switch {
		case err == nil:
			wait = 0
			in.take(nc)
			continue
		case errors.Is(err, net.ErrClosed):
			return
		case wait == 0:
			in.c.Logger.Error("http ingress cannot accept connections, trying on", "address", in.c.Address, "error", err)
		}
		wait = min(max(2*wait, 5*time.Millisecond), longest)
		select {
		case <-time.After(wait):
		case <-in.closed:
			return
		}
	}
}

func (in *Ingress) take(nc net.Conn) {
	c, ok := in.conns.admit(nc)
	if !ok {
		// Into the empty buffer of a new socket, so it does not block. Whoever expects TLS gets nothing.
		if in.tls == nil && nc.SetWriteDeadline(time.Now().Add(time.Second)) == nil {
			_, _ = nc.Write(in.tooMany)
		}
		_ = nc.Close()
		return
	}
	go func() {
		defer in.conns.drop(c)
		if in.tls != nil {
			// The handshake runs in the first Read, under its deadline; what it writes needs one too.
			c.Conn = tls.Server(c.raw, in.tls)
			_ = c.SetWriteDeadline(time.Now().Add(in.c.WriteTimeout))
		}
		_ = in.server.ServeConn(c) // The client has had its answer or is gone.
	}()
}

// noteState follows what the server does with a connection.
func (in *Ingress) noteState(nc net.Conn, state fasthttp.ConnState) {
	switch state {
	case fasthttp.StateActive:
		nc.(*conn).setIdle(false, time.Now().Add(in.c.ReadTimeout))
	case fasthttp.StateIdle:
		nc.(*conn).setIdle(true, time.Time{})
	}
}
