// SPDX-License-Identifier: Apache-2.0

package server

import (
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// config is that of a server which takes no body and says nothing.
func config() Config {
	return Config{
		Name: "test", Address: "127.0.0.1:0", MaxBodyBytes: 100,
		ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: time.Minute,
		MaxConnections: 10, Logger: slog.New(slog.DiscardHandler),
		Serve: func(*fasthttp.RequestCtx) *Problem { return nil },
	}
}

// flaky is a listener without file descriptors to give, at first.
type flaky struct {
	net.Listener
	mu       sync.Mutex
	failures int // Guarded by mu.
}

func (l *flaky) Accept() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failures > 0 {
		l.failures--
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	return l.Listener.Accept()
}

// A process that is out of file descriptors for a while serves again when it has some.
func TestAcceptOutlivesErrors(t *testing.T) {
	s := New(config())
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.ln = &flaky{Listener: ln, failures: 3}
	s.conns.served.Add(1)
	go s.accept()
	resp, err := http.Get("http://" + s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil || resp.StatusCode != 200 {
		t.Errorf("status %d, %v; want 200", resp.StatusCode, err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
