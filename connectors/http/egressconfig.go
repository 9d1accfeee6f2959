// SPDX-License-Identifier: Apache-2.0

package http

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/millrace-io/millrace/engine/statefun"
)

// EgressConfig says where an [Egress] delivers and how hard it tries. Zero values stand for the defaults.
type EgressConfig struct {
	ID      string            // "<namespace>/<name>".
	URL     string            // http, https, or http+unix:///path/to/file.sock/path/of/the/request.
	Headers map[string]string // Sent with every request.
	Timeout time.Duration     // For one request with its answer; default 10 s.

	// MaxInFlight bounds the requests under way at a time, each for another sending address; default 64.
	MaxInFlight int
	// MaxAttempts bounds how often a record is sent; 0 is for ever.
	MaxAttempts int
	// MaxQueued bounds the records that are taken over and not done; beyond it Publish blocks. Default
	// 1024.
	MaxQueued int

	// Logger gets what concerns the operator; nil is slog.Default.
	Logger *slog.Logger
}

const (
	inFlightMax = 1 << 12
	queuedMax   = 1 << 20
	attemptsMax = 1 << 20
)

func (c EgressConfig) withDefaults() EgressConfig {
	orElse(&c.Timeout, 10*time.Second)
	orElse(&c.MaxInFlight, 64)
	orElse(&c.MaxQueued, 1024)
	orElse(&c.Logger, slog.Default())
	return c
}

// Validate reports everything that is wrong with c, each with its field, value and accepted range.
func (c EgressConfig) Validate() error { return c.problems().err("egress") }

func (c EgressConfig) problems() (p problems) {
	c = c.withDefaults()
	p.add(statefun.ValidateTypename(c.ID) == nil, "id", c.ID, "<namespace>/<name>")
	if _, err := parseEndpoint(c.URL); err != nil {
		p = append(p, fieldError{"url", err.Error(), ""}) // Without the value: it may hold a password.
	}
	for _, name := range slices.Sorted(maps.Keys(c.Headers)) {
		p.add(validHeaderName(name), "headers."+name, name, "a header name that the egress does not set itself")
		p.add(validHeaderValue(c.Headers[name]), "headers."+name, "…", "a value without control characters")
	}
	p.timeout("timeout", c.Timeout)
	p.add(within(c.MaxInFlight, 1, inFlightMax), "maxInFlight", c.MaxInFlight, "1 to 4096")
	p.add(within(c.MaxAttempts, 0, attemptsMax), "maxAttempts", c.MaxAttempts, "0 (for ever) to 1048576")
	p.add(within(c.MaxQueued, 1, queuedMax), "maxQueued", c.MaxQueued, "1 to 1048576")
	return p
}

// endpoint is where the requests go.
type endpoint struct {
	network, address string // As package net wants them.
	serverName       string // For TLS; empty for plain HTTP.
	host, uri        string // As the request names them.
}

func parseEndpoint(raw string) (endpoint, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return endpoint{}, errors.New("not a URL")
	}
	if u.User != nil {
		return endpoint{}, errors.New("a user or password in it would show up in logs: use a header")
	}
	if u.Fragment != "" {
		return endpoint{}, errors.New("a fragment is not sent")
	}
	if u.Scheme == "http+unix" {
		return parseUnix(u)
	}
	port, ok := map[string]string{"http": "80", "https": "443"}[u.Scheme]
	if !ok {
		return endpoint{}, fmt.Errorf("scheme %q: want http, https or http+unix", u.Scheme)
	}
	if u.Hostname() == "" {
		return endpoint{}, errors.New("no host")
	}
	if p := u.Port(); p != "" {
		port = p
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil {
		if err := permit(ip); err != nil {
			return endpoint{}, err
		}
	}
	e := endpoint{network: "tcp", address: net.JoinHostPort(u.Hostname(), port), host: u.Host, uri: u.RequestURI()}
	if u.Scheme == "https" {
		e.serverName = u.Hostname()
	}
	return e, nil
}

// parseUnix splits the path of a URL as StateFun does: the first element that ends in ".sock" ends the
// path of the socket, and what follows is the path of the request. Without such an element all of it is
// the socket.
func parseUnix(u *url.URL) (endpoint, error) {
	path, request := u.EscapedPath(), "/" // Escaped, so that the request's path stays as it was written.
	if i := strings.Index(path+"/", ".sock/"); i >= 0 {
		i += len(".sock")
		if path[i:] != "" {
			request = path[i:]
		}
		path = path[:i]
	}
	socket, err := url.PathUnescape(path)
	if err != nil || u.Host != "" || len(socket) < 2 || len(socket) > socketPathMax {
		return endpoint{}, fmt.Errorf("socket %q: want http+unix:///path with a path of at most %d bytes",
			u.Host+socket, socketPathMax)
	}
	if u.RawQuery != "" {
		request += "?" + u.RawQuery
	}
	return endpoint{network: "unix", address: socket, host: "localhost", uri: request}, nil
}

// validHeaderName reports whether the name is a token (RFC 9110, 5.6.2) and left to the user.
func validHeaderName(name string) bool {
	lower := strings.ToLower(name)
	switch lower {
	case "", "host", "connection", "content-length", "content-type", "transfer-encoding", "trailer", "upgrade",
		"expect", "idempotency-key":
		return false
	}
	if strings.HasPrefix(lower, "millrace-") {
		return false
	}
	for _, r := range lower {
		if !('a' <= r && r <= 'z' || '0' <= r && r <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", r)) {
			return false
		}
	}
	return true
}

func validHeaderValue(value string) bool {
	return !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}
