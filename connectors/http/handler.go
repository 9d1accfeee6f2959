// SPDX-License-Identifier: Apache-2.0

package http

import (
	"context"

	"github.com/valyala/fasthttp"

	"github.com/millrace-io/millrace/connectors/http/internal/server"
	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/statefun"
)

// caller is who a function sees behind a call.
var caller = statefun.FunctionType{Namespace: "io.millrace.http", Name: "caller"}

func (in *Ingress) serve(ctx *fasthttp.RequestCtx) *server.Problem {
	t, f, p := in.understand(ctx)
	if p != nil {
		return p
	}
	d, p := in.delivery(&ctx.Request.Header)
	if p != nil {
		return p
	}
	body, p := in.server.Body(ctx)
	if p != nil {
		return p
	}
	v, p := f.value(body)
	if p != nil {
		return p
	}
	return in.pass(ctx, t, v, d)
}

// understand reads everything that the head of a request says.
func (in *Ingress) understand(ctx *fasthttp.RequestCtx) (t target, f form, p *server.Problem) {
	h := &ctx.Request.Header
	if t, p = parseTarget(h.RequestURI()); p != nil {
		return t, f, p
	}
	if !h.IsPost() && (!h.IsPut() || t.verb == call) {
		return t, f, &server.Problem{
			Status: fasthttp.StatusMethodNotAllowed, Code: "method_not_allowed",
			Message: "the method " + server.Printable(string(h.Method())) + " is not allowed here",
			Hint:    "use " + t.verb.methods(), Allow: t.verb.methods(),
		}
	}
	if t.verb == route && in.c.ID == "" {
		return t, f, server.Refusal(connector.ErrUnknownIngress, t.to.Type)
	}
	f, p = formOf(h)
	return t, f, p
}

// pass hands the message to the engine and waits for what the client is promised.
func (in *Ingress) pass(ctx *fasthttp.RequestCtx, t target, v statefun.TypedValue, d connector.Delivery) (p *server.Problem) {
	wait := in.server.Context()
	if t.verb == call || d.Durable {
		var stop context.CancelFunc
		wait, stop = context.WithTimeout(wait, in.c.CallTimeout)
		defer stop()
	}
	var err error
	var answer statefun.TypedValue
	switch t.verb {
	case send:
		err = in.entry.Send(wait, t.to, v, d)
	case route:
		err = in.entry.Route(wait, in.c.ID, connector.Event{
			Key: ctx.Request.Header.Peek(headerKey), Typename: v.Typename, Value: v.Value,
		}, d)
	case call:
		answer, err = in.entry.Call(wait, caller, t.to, v, d)
	}
	switch {
	case err != nil:
		return refusal(err, t, d)
	case t.verb == call:
		writeAnswer(&ctx.Response, answer)
	default:
		ctx.SetStatusCode(fasthttp.StatusAccepted)
	}
	return nil
}
