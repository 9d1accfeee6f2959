// SPDX-License-Identifier: Apache-2.0

package playground

import (
	"bytes"
	"context"
	"fmt"

	"github.com/valyala/fasthttp"

	"github.com/millrace-io/millrace/connectors/http/internal/server"
	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/statefun"
)

var _ connector.Door = (*ingress)(nil)

// ingress is a door that takes messages as StateFun's playground does.
type ingress struct {
	address string
	server  *server.Server
	entry   connector.Entry // Written once in Open.
}

func newIngress(c config) *ingress {
	in := &ingress{address: c.address}
	in.server = c.server("playground ingress", in.serve)
	return in
}

// Open begins to listen.
func (in *ingress) Open(ctx context.Context, entry connector.Entry) error {
	in.entry = entry
	if err := in.server.Open(ctx, nil); err != nil {
		return fmt.Errorf("playground: ingress %s: %w", in.address, err)
	}
	return nil
}

// Close stops to accept, answers what is being asked, and cuts the connections that are left when ctx is
// done.
func (in *ingress) Close(ctx context.Context) error {
	if err := in.server.Close(ctx); err != nil {
		return fmt.Errorf("playground: ingress %s: close: %w", in.address, err)
	}
	return nil
}

func (in *ingress) serve(ctx *fasthttp.RequestCtx) *server.Problem {
	h := &ctx.Request.Header
	to, p := parseTarget(h.RequestURI())
	if p != nil {
		setStatus(&ctx.Response, fasthttp.StatusInternalServerError)
		ctx.Response.Header.Set(headerError, p.Message)
		return nil
	}
	typename, ok := typenameOf(h)
	if !ok {
		return &server.Problem{
			Status: fasthttp.StatusInternalServerError, Code: "no_content_type",
			Message: "the Content-Type is missing", Hint: "send application/vnd.<typename> with the raw value",
		}
	}
	body, p := in.server.Body(ctx)
	if p != nil {
		return p
	}
	err := in.entry.Send(in.server.Context(), to, statefun.TypedValue{Typename: typename, Value: body}, connector.Delivery{})
	if err != nil {
		return server.Refusal(err, to.Type)
	}
	return nil
}

// parseTarget reads an address from a request target. StateFun does not look at a query.
func parseTarget(uri []byte) (statefun.Address, *server.Problem) {
	path, _, p := server.Path(uri)
	if p != nil {
		return statefun.Address{}, p
	}
	return server.ParseAddress(path)
}

// typenameOf returns the type that the headers give a body; false if there is no Content-Type. There may be
// several, of which fasthttp keeps one, so it is asked for the headers as they came.
func typenameOf(h *fasthttp.RequestHeader) (typename string, ok bool) {
	for line := range bytes.Lines(h.RawHeaders()) {
		name, value, _ := bytes.Cut(line, []byte(":"))
		if !bytes.EqualFold(name, []byte(fasthttp.HeaderContentType)) {
			continue
		}
		ok = true
		if rest, found := bytes.CutPrefix(bytes.TrimSpace(value), []byte("application/vnd.")); found {
			return string(rest), true
		}
	}
	return statefun.String.Typename(), ok
}
