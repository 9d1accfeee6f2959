// SPDX-License-Identifier: Apache-2.0

package requestreply

import (
	"errors"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/millrace-io/millrace/engine/remote"
)

// link is a connection as one request after the other uses it. A worker owns it.
type link struct {
	net.Conn           // With TLS, where there is TLS.
	expires  time.Time // Zero: never.
	readMax  time.Duration
	writeMax time.Duration
	silent   func() bool // Whether nothing has come in; nil if nobody can tell.

	until time.Time // When the request at hand is over.
	heard bool      // Something of its answer has come in.
	err   error     // What has gone wrong with the connection.
}

// writeBytesMax is how much has to be taken by the other end within the time for a write.
const writeBytesMax = 256 << 10

func newLink(conn, raw net.Conn) *link {
	l := &link{Conn: conn}
	if s, ok := raw.(syscall.Conn); ok && conn == raw {
		// With TLS there is more on the wire than answers.
		if rc, err := s.SyscallConn(); err == nil {
			l.silent = silence(rc)
		}
	}
	return l
}

// begin says until when the next request may take.
func (l *link) begin(until time.Time) {
	l.until, l.heard = until, false
	_ = l.SetDeadline(until) // Fails only on a connection that is closed, which shows soon enough.
}

// fit reports whether a connection that has been idle should be used again, after begin. An answer that
// nobody has asked for would be taken for that of the next request.
func (l *link) fit() bool {
	return (l.expires.IsZero() || time.Now().Before(l.expires)) && (l.silent == nil || l.silent())
}

func (l *link) Read(p []byte) (int, error) {
	if l.readMax > 0 {
		_ = l.SetReadDeadline(l.limit(l.readMax))
	}
	n, err := l.Conn.Read(p)
	if n > 0 {
		l.heard = true
		return n, nil // TLS may bring the end with the last bytes; the next call brings it again.
	}
	if err != nil {
		l.err = err
	}
	return n, err
}

func (l *link) Write(p []byte) (written int, err error) {
	for err == nil && len(p) > 0 {
		if l.writeMax > 0 {
			_ = l.SetWriteDeadline(l.limit(l.writeMax))
		}
		var n int
		n, err = l.Conn.Write(p[:min(len(p), writeBytesMax)])
		written, p = written+n, p[n:]
	}
	if err != nil {
		l.err = err
	}
	return written, err
}

func (l *link) limit(d time.Duration) time.Time {
	if at := time.Now().Add(d); at.Before(l.until) {
		return at
	}
	return l.until
}

// reason is why there is no answer.
func (l *link) reason() remote.Reason {
	if errors.Is(l.err, os.ErrDeadlineExceeded) {
		return remote.TimedOut
	}
	return remote.Unreachable
}
