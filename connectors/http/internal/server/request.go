// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"errors"
	"io"
	"time"

	"github.com/valyala/fasthttp"
)

// serve answers one request. The head has been read, the body not beyond what came along with it.
func (s *Server) serve(ctx *fasthttp.RequestCtx) {
	c := ctx.Conn().(*conn)
	c.whole = ctx.RequestBodyStream() == nil || ctx.Request.Header.ContentLength() == 0
	if p := s.handle(ctx, c); p != nil {
		if p.Cause != nil {
			s.c.Logger.Error(s.c.Name+": a request failed", "address", s.c.Address, "error", p.Cause)
		}
		p.write(&ctx.Response)
	}
	s.recycle(c)
	if !c.whole {
		hangUp(ctx)
	}
	if s.Closing() {
		ctx.SetConnectionClose()
	}
	if s.c.Finish != nil {
		s.c.Finish(&ctx.Response)
	}
}

func (s *Server) handle(ctx *fasthttp.RequestCtx, c *conn) *Problem {
	if s.Closing() {
		return closing()
	}
	if p := checkFraming(&ctx.Request.Header); p != nil {
		c.whole = false // Nobody knows where it ends.
		return p
	}
	return s.c.Serve(ctx)
}

// refuse answers what fasthttp could not read.
func (s *Server) refuse(ctx *fasthttp.RequestCtx, err error) {
	_ = ctx.Conn().SetWriteDeadline(time.Now().Add(s.c.WriteTimeout)) // fasthttp sets none here.
	ofTransport(err, s.c.MaxBodyBytes).write(&ctx.Response)
	hangUp(ctx)
	if s.c.Finish != nil {
		s.c.Finish(&ctx.Response)
	}
}

// hangUp has the connection closed behind the response, because what comes next on it may be the rest of
// this request, and must not be taken for another.
func hangUp(ctx *fasthttp.RequestCtx) {
	ctx.SetConnectionClose()
	ctx.Conn().(*conn).linger = true
}

// checkFraming refuses requests whose end two servers could see in different places. fasthttp takes the
// chunks and forgets the length where both are given; a proxy in front of it may do otherwise, and what
// one takes for a body is a request to the other.
func checkFraming(h *fasthttp.RequestHeader) *Problem {
	var length, encoding bool
	for line := range bytes.Lines(h.RawHeaders()) {
		name, _, _ := bytes.Cut(line, []byte(":"))
		length = length || bytes.EqualFold(name, []byte(fasthttp.HeaderContentLength))
		encoding = encoding || bytes.EqualFold(name, []byte(fasthttp.HeaderTransferEncoding))
	}
	const chunked = -1
	switch {
	case encoding && length:
		return BadRequest("Content-Length and Transfer-Encoding exclude each other")
	case encoding && h.ContentLength() != chunked:
		return BadRequest("the only Transfer-Encoding is chunked")
	case !h.IsHTTP11() && string(h.Protocol()) != "HTTP/1.0":
		p := BadRequest("the protocol is HTTP/1.1")
		p.Status, p.Code = fasthttp.StatusHTTPVersionNotSupported, "version_not_supported"
		return p
	}
	return nil
}

// Body reads the body of a request. It is valid until Config.Serve returns, so that no response may hold
// it.
func (s *Server) Body(ctx *fasthttp.RequestCtx) ([]byte, *Problem) {
	c := ctx.Conn().(*conn)
	c.body, _ = s.bodies.Get().(*[]byte)
	if c.body == nil {
		c.body = new([]byte)
	}
	body, p := readBody(ctx, (*c.body)[:0], s.c.MaxBodyBytes)
	*c.body = body
	c.whole = p == nil
	return body, p
}

// readBody appends the body to dst. Memory follows what has arrived, not what was announced.
func readBody(ctx *fasthttp.RequestCtx, dst []byte, most int) ([]byte, *Problem) {
	announced := ctx.Request.Header.ContentLength() // Negative for chunks and for no body at all.
	if announced > most {
		return dst, bodyTooLarge(most)
	}
	r := ctx.RequestBodyStream()
	if r == nil {
		return dst, nil
	}
	for {
		if len(dst) == cap(dst) {
			dst = append(dst, 0)[:len(dst)]
		}
		n, err := r.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		switch {
		case len(dst) > most:
			return dst, bodyTooLarge(most)
		case err == nil:
		case !errors.Is(err, io.EOF):
			return dst, ofTransport(err, most)
		case announced >= 0 && len(dst) != announced, announced < 0 && ctx.Conn().(*conn).ended:
			// The stream ends like this also when the client stops in the middle.
			return dst, BadRequest("the body ends before its time")
		default:
			return dst, nil
		}
	}
}

// recycle keeps the buffers of ordinary requests; a rare large one would stay large for ever.
func (s *Server) recycle(c *conn) {
	if c.body != nil && cap(*c.body) <= 64<<10 {
		s.bodies.Put(c.body)
	}
	c.body = nil
}
