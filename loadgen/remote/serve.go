// SPDX-License-Identifier: Apache-2.0

package remote

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/valyala/fasthttp"
)

// ServeCommand is the subcommand with which a program runs [Serve] for [Run]: the second process is the same
// program.
const ServeCommand = "remote-server"

// Server is the HTTP server that the SDK's handler stands behind.
type Server string

// The servers.
const (
	FastHTTP Server = "fasthttp"
	NetHTTP  Server = "net/http" // As the SDK's documentation shows it.
)

// servePath is where the functions are served.
const servePath = "/statefun"

// Serve serves the counter until control ends, and ends by nothing else: with the process that holds the other
// end of it, and not by a signal to both, while that one still has an engine to close. It writes the address
// that it listens on to out, as one line, and for each line of control one with how many requests have come,
// how many invocations have been run, and how many nanoseconds of processor time the process has used.
//
// Listen is "unix:PATH" or "HOST:PORT"; port 0 takes a free one.
func Serve(listen string, server Server, control io.Reader, out io.Writer) error {
	h, err := newHandler()
	if err != nil {
		return err
	}
	serve := func(l net.Listener) error { return fasthttp.Serve(l, h.serveFast) }
	switch server {
	case FastHTTP:
	case NetHTTP:
		serve = func(l net.Listener) error { return http.Serve(l, h) }
	default:
		return fmt.Errorf("server: %q, want %s or %s", server, FastHTTP, NetHTTP)
	}
	network, address := "tcp", listen
	if path, ok := strings.CutPrefix(listen, "unix:"); ok {
		network, address = "unix", path
	}
	l, err := net.Listen(network, address)
	if err != nil {
		return err
	}
	ended := make(chan error, 2)
	go func() { ended <- serve(l) }()
	go func() { ended <- answer(control, out, l.Addr(), h) }()
	return cmp.Or(<-ended, l.Close())
}

// serveFast answers one request. The SDK derives a context for each invocation from the one that it is
// given: from that of fasthttp it would take a goroutine each.
func (h *handler) serveFast(ctx *fasthttp.RequestCtx) {
	reply, err := h.Invoke(context.Background(), ctx.PostBody())
	if err != nil {
		ctx.Error(err.Error(), fasthttp.StatusInternalServerError)
		return
	}
	ctx.SetContentType(octets)
	ctx.Response.SetBodyRaw(reply)
}

const octets = "application/octet-stream"

// answer answers what control asks until it ends.
func answer(control io.Reader, out io.Writer, address net.Addr, h *handler) error {
	if _, err := fmt.Fprintln(out, address); err != nil {
		return err
	}
	lines := bufio.NewScanner(control)
	for lines.Scan() {
		c := h.counts()
		if _, err := fmt.Fprintln(out, c.requests, c.invocations, int64(cpuTime())); err != nil {
			return err
		}
	}
	return lines.Err()
}
