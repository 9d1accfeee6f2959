// SPDX-License-Identifier: Apache-2.0

package http

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/statefun"
)

// caller is who a function sees behind a call.
var caller = statefun.FunctionType{Namespace: "io.millrace.http", Name: "caller"}

// serve answers one request. The head has been read, the body not beyond what came along with it.
func (in *Ingress) serve(ctx *fasthttp.RequestCtx) {
	if p := in.handle(ctx); p != nil {
		if p.cause != nil {
			in.c.Logger.Error("http ingress: a request failed", "address", in.c.Address, "error", p.cause)
		}
		p.write(&ctx.Response)
	}
	if in.conns.closing.Load() {
		ctx.SetConnectionClose()
	}
}

// refuse answers what the server could not read.
func (in *Ingress) refuse(ctx *fasthttp.RequestCtx, err error) {
	_ = ctx.Conn().SetWriteDeadline(time.Now().Add(in.c.WriteTimeout)) // The server sets none here.
	ofTransport(err, in.c.MaxBodyBytes).write(&ctx.Response)
	hangUp(ctx)
}

// hangUp has the connection closed behind the response, because what comes next on it may be the rest of
// this request, and must not be taken for another.
func hangUp(ctx *fasthttp.RequestCtx) {
	ctx.SetConnectionClose()
	ctx.Conn().(*conn).linger = true
}

func (in *Ingress) handle(ctx *fasthttp.RequestCtx) *problem {
	t, f, p := in.understand(ctx)
	if p != nil {
		if ctx.RequestBodyStream() != nil && ctx.Request.Header.ContentLength() != 0 {
			hangUp(ctx)
		}
		return p
	}
	buf, _ := in.bodies.Get().(*[]byte)
	if buf == nil {
		buf = new([]byte)
	}
	defer in.recycle(buf)
	body, p := readBody(ctx, (*buf)[:0], in.c.MaxBodyBytes)
	*buf = body
	if p != nil {
		hangUp(ctx)
		return p
	}
	v, p := f.value(body)
	if p != nil {
		return p
	}
	return in.pass(ctx, t, v)
}

// understand reads everything that the head of a request says.
func (in *Ingress) understand(ctx *fasthttp.RequestCtx) (t target, f form, p *problem) {
	if in.conns.closing.Load() {
		return t, f, closing()
	}
	h := &ctx.Request.Header
	if p = checkFraming(h); p != nil {
		hangUp(ctx)
		return t, f, p
	}
	if t, p = parseTarget(h.RequestURI()); p != nil {
		return t, f, p
	}
	if !h.IsPost() && (!h.IsPut() || t.verb == call) {
		return t, f, &problem{
			status: fasthttp.StatusMethodNotAllowed, code: "method_not_allowed",
			message: "the method " + printable(string(h.Method())) + " is not allowed here",
			hint:    "use " + t.verb.methods(), allow: t.verb.methods(),
		}
	}
	if t.verb == route && in.c.ID == "" {
		return t, f, ofEntry(connector.ErrUnknownIngress, t)
	}
	f, p = formOf(h)
	return t, f, p
}

// checkFraming refuses requests whose end two servers could see in different places. The server takes the
// chunks and forgets the length where both are given; a proxy in front of it may do otherwise, and what
// one takes for a body is a request to the other.
func checkFraming(h *fasthttp.RequestHeader) *problem {
	var length, encoding bool
	for line := range bytes.Lines(h.RawHeaders()) {
		name, _, _ := bytes.Cut(line, []byte(":"))
		length = length || bytes.EqualFold(name, []byte(fasthttp.HeaderContentLength))
		encoding = encoding || bytes.EqualFold(name, []byte(fasthttp.HeaderTransferEncoding))
	}
	const chunked = -1
	switch {
	case encoding && length:
		return badRequest("Content-Length and Transfer-Encoding exclude each other")
	case encoding && h.ContentLength() != chunked:
		return badRequest("the only Transfer-Encoding is chunked")
	case !h.IsHTTP11() && string(h.Protocol()) != "HTTP/1.0":
		p := badRequest("the protocol is HTTP/1.1")
		p.status, p.code = fasthttp.StatusHTTPVersionNotSupported, "version_not_supported"
		return p
	}
	return nil
}

// pass hands the message to the engine and waits for the answer of a call.
func (in *Ingress) pass(ctx *fasthttp.RequestCtx, t target, v statefun.TypedValue) *problem {
	var err error
	switch t.verb {
	case send:
		err = in.entry.Send(in.base, t.to, v)
	case route:
		err = in.entry.Route(in.base, in.c.ID, connector.Event{
			Key: ctx.Request.Header.Peek(headerKey), Typename: v.Typename, Value: v.Value,
		})
	case call:
		wait, stop := context.WithTimeout(in.base, in.c.CallTimeout)
		defer stop()
		var answer statefun.TypedValue
		if answer, err = in.entry.Call(wait, caller, t.to, v); err == nil {
			writeAnswer(&ctx.Response, answer)
			return nil
		}
	}
	if err != nil {
		return ofEntry(err, t)
	}
	ctx.SetStatusCode(fasthttp.StatusAccepted)
	return nil
}

// readBody appends the body to dst. Memory follows what has arrived, not what was announced.
func readBody(ctx *fasthttp.RequestCtx, dst []byte, most int) ([]byte, *problem) {
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
			return dst, badRequest("the body ends before its time")
		default:
			return dst, nil
		}
	}
}

// recycle keeps the buffers of ordinary requests; a rare large one would stay large for ever.
func (in *Ingress) recycle(buf *[]byte) {
	if cap(*buf) <= 64<<10 {
		in.bodies.Put(buf)
	}
}
