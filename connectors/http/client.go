// SPDX-License-Identifier: Apache-2.0

package http

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// client sends requests to one endpoint over connections that it keeps.
//
// It is built on fasthttp's requests and responses, not on its HostClient, which cannot be told to give a
// request up, leaves a goroutine behind when it is done with, and reads an answer's body before it says
// the status.
type client struct {
	dial dialFunc

	mu    sync.Mutex
	idle  []*link     // Guarded by mu; the latest used is the last.
	sweep *time.Timer // Guarded by mu; closes the idle ones when nothing has been sent for idleMax.
	done  bool        // Guarded by mu.
}

// link is a connection of the client. Whoever took it owns it.
type link struct {
	net.Conn
	r    *bufio.Reader
	w    *bufio.Writer
	used time.Time
}

const (
	// idleMax is how long a connection is kept unused: less than most servers keep theirs.
	idleMax = 15 * time.Second
	// answerHeadMax bounds the head of an answer.
	answerHeadMax = 16 << 10
	// answerBodyMax bounds how much of an answer's body is read so that the connection can be used again.
	// Nobody wants the body itself.
	answerBodyMax = 16 << 10
	// lastWords is how long an answer is looked for when the request could not be written to its end.
	lastWords = 20 * time.Millisecond
	// interimMax bounds the answers with a status 1xx before the one that counts.
	interimMax = 8
)

// past is a deadline that is over.
var past = time.Unix(1, 0)

// answer is what the other side said.
type answer struct {
	status     int
	retryAfter string
}

// exchange sends req and waits for the answer, until ctx is done.
func (c *client) exchange(ctx context.Context, req *fasthttp.Request) (answer, error) {
	if l := c.take(); l != nil {
		a, err := c.roundTrip(ctx, l, req)
		if err == nil || ctx.Err() != nil {
			return a, err
		}
		// The server may just have closed it, being idle. Only a new connection tells.
	}
	conn, err := c.dial(ctx)
	if err != nil {
		return answer{}, err
	}
	l := &link{Conn: conn, r: bufio.NewReaderSize(conn, answerHeadMax), w: bufio.NewWriter(conn)}
	return c.roundTrip(ctx, l, req)
}

// roundTrip uses l up: it is kept for the next request or closed.
func (c *client) roundTrip(ctx context.Context, l *link, req *fasthttp.Request) (answer, error) {
	interrupt := context.AfterFunc(ctx, func() { _ = l.SetDeadline(past) })
	resp := fasthttp.AcquireResponse()
	defer fasthttp.ReleaseResponse(resp)
	err := req.Write(l.w)
	if err == nil {
		err = l.w.Flush()
	}
	if err != nil && !errors.Is(ctx.Err(), context.Canceled) {
		// A server that refuses a request need not read it to its end. What it has said by now counts.
		_ = l.SetReadDeadline(time.Now().Add(lastWords))
	}
	if errRead := readHead(l.r, resp); errRead != nil {
		interrupt()
		_ = l.Close()
		if err == nil {
			err = errRead
		}
		return answer{}, err
	}
	// From here on the answer counts, whatever becomes of its body and of the connection.
	a := answer{
		status:     resp.StatusCode(),
		retryAfter: string(resp.Header.Peek(fasthttp.HeaderRetryAfter)),
	}
	reusable := err == nil && drain(l.r, resp)
	if interrupt() && reusable {
		c.put(l)
	} else {
		_ = l.Close()
	}
	return a, nil
}

// readHead reads up to the head of the answer that counts. fasthttp's errors quote what was received,
// which may be anything and has no place in a log.
func readHead(r *bufio.Reader, resp *fasthttp.Response) error {
	for range interimMax {
		switch err := resp.Header.Read(r); {
		case errors.Is(err, io.EOF), errors.Is(err, fasthttp.ErrTimeout):
			return errNoAnswer
		case err != nil:
			return errNotHTTP
		}
		if s := resp.StatusCode(); s >= 200 || s == fasthttp.StatusSwitchingProtocols {
			return nil
		}
	}
	return errNotHTTP
}

// drain reads the rest of an answer; false when the connection cannot be used after it.
func drain(r *bufio.Reader, resp *fasthttp.Response) bool {
	switch s := resp.StatusCode(); {
	case s < 200 || resp.ConnectionClose():
		return false
	case s == fasthttp.StatusNoContent || s == fasthttp.StatusNotModified:
		return r.Buffered() == 0
	}
	const chunked = -1
	if resp.ReadBody(r, answerBodyMax) != nil {
		return false
	}
	if resp.Header.ContentLength() == chunked && resp.Header.ReadTrailer(r) != nil {
		return false
	}
	return r.Buffered() == 0 // What nobody asked for would be taken for the next answer.
}

// take returns an idle connection, or nil.
func (c *client) take() *link {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(c.idle)
	if n == 0 {
		return nil
	}
	l := c.idle[n-1]
	c.idle = c.idle[:n-1]
	if time.Since(l.used) > idleMax {
		_ = l.Close()
		c.closeIdle() // The others were used even earlier.
		return nil
	}
	return l
}

func (c *client) put(l *link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done {
		_ = l.Close()
		return
	}
	l.used = time.Now()
	c.idle = append(c.idle, l)
	if c.sweep == nil {
		c.sweep = time.AfterFunc(idleMax, func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.closeIdle()
		})
	}
	c.sweep.Reset(idleMax)
}

// closeIdle needs mu.
func (c *client) closeIdle() {
	for _, l := range c.idle {
		_ = l.Close()
	}
	c.idle = nil
}

// close closes the idle connections and keeps none from now on.
func (c *client) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done = true
	c.closeIdle()
	if c.sweep != nil {
		c.sweep.Stop()
	}
}
