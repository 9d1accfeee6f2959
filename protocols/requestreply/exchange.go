// SPDX-License-Identifier: Apache-2.0

package requestreply

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/millrace-io/millrace/engine/remote"
)

const (
	// headBytesMax bounds the head of an answer.
	headBytesMax = 16 << 10
	// interimMax bounds the answers with a status of 1xx, which nobody has asked for, before the one that
	// counts.
	interimMax = 8
	// lastWordsMax is how long an answer is waited for when the request could not be written to its end.
	lastWordsMax = 20 * time.Millisecond
)

var (
	errClosed  = errors.New("the invoker was closed")
	errNotHTTP = errors.New("the answer is not HTTP/1.1, or its head is too large")
)

// peer is a worker's end of the wire: a connection, or none, and what is used again with the next one.
//
// It takes requests and responses from fasthttp, not the HostClient, which has no way to give a request
// up, reads a body before anybody has seen the status, and leaves goroutines behind.
type peer struct {
	link *link
	r    *bufio.Reader
	w    *bufio.Writer
	req  fasthttp.Request
	resp fasthttp.Response
	wire bounded // The body of resp.
	to   *target // What req is prepared for.
}

func newPeer() *peer {
	p := &peer{r: bufio.NewReaderSize(nil, headBytesMax), w: bufio.NewWriter(nil)}
	p.resp.StreamBody = true
	p.resp.Header.SetNoDefaultContentType(true)
	return p
}

// serve makes one attempt.
func (h *HTTP) serve(w *worker, c *call) (mine bool, err error) {
	if w.peer == nil {
		w.peer = newPeer()
	}
	e := h.attempt(w, c)
	switch {
	case e != nil:
		h.leave(c)
		return true, e
	case c.share != share{} || cap(c.buf) > bufKept: // The request may have been the larger one.
		c.r.Release = func() { h.leave(c) }
	}
	return true, nil
}

// leave gives up the memory of a reply that nobody needs any more.
func (h *HTTP) leave(c *call) {
	c.shrink()
	h.room.release(&c.share)
}

func (h *HTTP) attempt(w *worker, c *call) *remote.Error {
	if c.to.err != nil {
		return c.fail(remote.Unreachable, c.to.err)
	}
	if !time.Now().Before(c.until) {
		return c.fail(remote.TimedOut, errors.New("no time was left to send it"))
	}
	var err error
	if c.buf, err = AppendRequest(c.buf[:0], c.r); err != nil {
		return c.locate(err)
	}
	p := w.peer
	if p.link != nil {
		p.link.begin(c.until)
		if w.route != c.to.route || !p.link.fit() {
			h.drop(w)
		}
	}
	for {
		reused := p.link != nil
		if !reused {
			if e := h.connect(w, c); e != nil {
				return e
			}
		}
		keep, e := h.exchange(p, c)
		stale := reused && !p.link.heard && e != nil && e.Reason == remote.Unreachable && h.base.Err() == nil
		if !keep {
			h.drop(w)
		}
		if !stale {
			return e
		}
		// The server has closed the connection while it was idle. That is no failed attempt. If the request
		// has arrived all the same, then in vain, as nothing takes effect without a reply.
	}
}

// locate puts in what the codec does not know.
func (c *call) locate(err error) *remote.Error {
	var e *remote.Error
	if !errors.As(err, &e) {
		return c.fail(remote.Broken, err)
	}
	e.Endpoint = c.to.text
	return e
}

// drop closes the worker's connection: it is old, or something has gone wrong on it.
func (h *HTTP) drop(w *worker) {
	h.crew.drop(w)
	w.peer.link = nil
}

func (h *HTTP) connect(w *worker, c *call) *remote.Error {
	until := c.until
	if d := h.c.Connect; d > 0 && time.Until(until) > d {
		until = time.Now().Add(d)
	}
	ctx, stop := context.WithDeadline(h.base, until)
	defer stop()
	conn, raw, err := h.dial(ctx, c.to.route)
	if err == nil && !h.crew.hold(w, raw, c.to.route) || h.base.Err() != nil {
		err = errClosed
	}
	switch {
	case err == nil:
	case err != errClosed && !time.Now().Before(c.until):
		return c.fail(remote.TimedOut, err)
	default:
		return c.fail(remote.Unreachable, err)
	}
	l := newLink(conn, raw)
	l.readMax, l.writeMax = h.c.Read, h.c.Write
	if ttl := h.c.PoolTTL; ttl > 0 { // Less up to a fifth, so that connections are not renewed all at once.
		l.expires = time.Now().Add(ttl - rand.N(ttl/5+1))
	}
	l.begin(c.until)
	w.peer.link = l
	w.peer.r.Reset(l)
	w.peer.w.Reset(l)
	return nil
}

// exchange sends the request in c.buf and takes the answer; keep says whether the connection can be used
// again.
func (h *HTTP) exchange(p *peer, c *call) (keep bool, e *remote.Error) {
	if p.send(c) != nil {
		return false, h.lastWords(p, c)
	}
	if err := p.readHead(); err != nil {
		if p.link.err == nil {
			return false, c.fail(remote.Refused, err)
		}
		return false, h.lost(p, c, "waiting for the answer")
	}
	return h.answer(p, c)
}

// send writes the request of c.
func (p *peer) send(c *call) error {
	if p.to != c.to {
		p.to = c.to
		p.req.Reset()
		h := &p.req.Header
		h.SetMethod(fasthttp.MethodPost)
		h.SetRequestURI(c.to.uri)
		h.SetHost(c.to.host)
		h.SetUserAgent("statefun") // The others are StateFun's as well.
		h.SetContentType(octetStream)
		h.Set(fasthttp.HeaderAccept, octetStream)
		h.Set(fasthttp.HeaderAcceptEncoding, "gzip,deflate")
		h.Set(fasthttp.HeaderConnection, "keep-alive")
		if c.to.authorization != "" {
			h.Set(fasthttp.HeaderAuthorization, c.to.authorization)
		}
	}
	p.req.SetBodyRaw(c.buf)
	defer p.req.ResetBody()
	if err := p.req.Write(p.w); err != nil {
		return err
	}
	return p.w.Flush()
}

// readHead reads up to the head of the answer that counts. fasthttp's errors quote what has come in, which
// may be anything and has no place in a log.
func (p *peer) readHead() error {
	for range interimMax {
		if p.resp.Header.Read(p.r) != nil {
			return errNotHTTP
		}
		if s := p.resp.StatusCode(); s >= 200 || s == fasthttp.StatusSwitchingProtocols {
			return nil
		}
	}
	return errNotHTTP
}

// lost says why the connection brought no answer, or only a part of one.
func (h *HTTP) lost(p *peer, c *call, during string) *remote.Error {
	if h.base.Err() != nil {
		return c.fail(remote.Unreachable, errClosed)
	}
	return c.fail(p.link.reason(), fmt.Errorf("%s: %w", during, p.link.err))
}

// lastWords looks for an answer when the request could not be written to its end: a server that refuses a
// request need not read all of it.
func (h *HTTP) lastWords(p *peer, c *call) *remote.Error {
	lost := h.lost(p, c, "writing the request")
	if lost.Reason == remote.Unreachable {
		p.link.until = p.link.limit(lastWordsMax)
		_ = p.link.SetReadDeadline(p.link.until)
		if p.readHead() == nil && p.resp.StatusCode()/100 != 2 {
			return c.refused(&p.resp)
		}
	}
	return lost
}
