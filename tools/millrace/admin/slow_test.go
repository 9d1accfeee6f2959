// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"testing"
	"time"
)

// Who announces a body and does not send it, or asks and does not take the answer, does not keep a connection
// and a goroutine for ever, though nobody has asked for a token.
func TestSlowClients(t *testing.T) {
	cutOff := make(chan error, 1)
	s, err := Open(t.Context(), Config{
		Address: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler), bodyTimeout: 50 * time.Millisecond,
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for page := make([]byte, 1<<20); ; {
				if _, err := w.Write(page); err != nil {
					cutOff <- err
					return
				}
			}
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	send := func(request string) net.Conn {
		conn, err := net.Dial("tcp", s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	for _, request := range []string{
		"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nx",
		"POST /v1/send HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 100\r\n\r\nx",
		"POST /nothing HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nx",
	} {
		conn := send(request)
		if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%q keeps its connection", request)
		}
		_ = conn.Close()
	}
	deaf := send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
	select {
	case <-cutOff:
	case <-time.After(time.Minute):
		t.Error("who does not listen is still answered")
	}
	_ = deaf.Close()
}
