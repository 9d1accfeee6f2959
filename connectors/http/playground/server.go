// SPDX-License-Identifier: Apache-2.0

package playground

import (
	"log/slog"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/millrace-io/millrace/connectors/http/internal/server"
)

// config is what the two servers are told.
type config struct {
	address   string
	bodyBytes int           // Of a request, at most.
	timeout   time.Duration // For a request, and for its answer.
	log       *slog.Logger
}

// Limits of a server for trying things out. Nobody has asked to set the first two yet.
const (
	timeout          = 30 * time.Second
	connectionsMax   = 1024 // Each may hold a body.
	bodyBytesDefault = 16 << 20
	bodyBytesMax     = 1 << 30
)

func (c config) server(name string, serve func(*fasthttp.RequestCtx) *server.Problem) *server.Server {
	return server.New(server.Config{
		Name: name, Address: c.address,
		MaxBodyBytes: c.bodyBytes,
		ReadTimeout:  c.timeout, WriteTimeout: c.timeout, IdleTimeout: 2 * c.timeout,
		MaxConnections: connectionsMax, Logger: c.log,
		Serve: serve, Finish: finish,
	})
}

const (
	headerStatus = "Status"
	headerError  = "Millrace-Error"
)

// setStatus has the header Status say something else than the status line.
func setStatus(r *fasthttp.Response, code int) { r.Header.Set(headerStatus, strconv.Itoa(code)) }

// finish has the header Status say what the status line says, unless it has been set.
func finish(r *fasthttp.Response) {
	if len(r.Header.Peek(headerStatus)) == 0 {
		setStatus(r, r.StatusCode())
	}
}
