// SPDX-License-Identifier: Apache-2.0

package requestreply

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/millrace-io/millrace/engine/remote"
)

// HTTPConfig says how functions are reached over HTTP. Zero values stand for the defaults.
type HTTPConfig struct {
	// URL is where requests are sent: http, https, http+unix or https+unix. {function.name} stands for the
	// name of the function, in the host too. With http+unix:///path/to/file.sock/rest the first element that
	// ends in .sock ends the path of the socket, and /rest is the path of the request; https+unix is plain
	// HTTP too, unless TLS is set. A user and a password go into the header Authorization.
	URL string

	Connect time.Duration // Bounds connecting, with the handshake of TLS. 0: until the request is over.
	Write   time.Duration // Bounds the time in which the other end takes nothing. 0: until the request is over.
	Read    time.Duration // Bounds the time in which nothing comes. 0: until the request is over.

	// PoolSize bounds the connections, and with them the requests under way at a time; those beyond wait,
	// and the wait counts. Default 1024.
	PoolSize int
	// PoolTTL is how old a connection may become, less up to a fifth by chance. 0: as old as it likes.
	PoolTTL time.Duration
	// PayloadMax bounds the body of an answer, compressed or not. Default 32 MiB. All large answers that are
	// being read at a time have 64 MiB together, and one of them more; others wait.
	PayloadMax int

	TLS *tls.Config // For https; nil: the system's certificates.
	// Allow is where connections may lead, if it is not empty. Link-local addresses and those of clouds'
	// metadata services are never allowed, loopback and private ones otherwise are.
	Allow []netip.Prefix
}

const (
	poolSizeMost   = 1 << 16
	payloadMaxMost = 1 << 30
)

func (c HTTPConfig) withDefaults() HTTPConfig {
	if c.PoolSize == 0 {
		c.PoolSize = 1024
	}
	if c.PayloadMax == 0 {
		c.PayloadMax = 32 << 20
	}
	return c
}

// Validate reports everything that is wrong with c, as one joined error.
func (c HTTPConfig) Validate() error {
	c = c.withDefaults()
	var errs []error
	want := func(ok bool, field string, value any, accepted string) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s is %v: want %s", field, value, accepted))
		}
	}
	if _, err := parseTemplate(c.URL); err != nil {
		errs = append(errs, fmt.Errorf("URL: %w", err))
	}
	want(c.Connect >= 0, "Connect", c.Connect, "0 or more")
	want(c.Write >= 0, "Write", c.Write, "0 or more")
	want(c.Read >= 0, "Read", c.Read, "0 or more")
	want(c.PoolSize >= 1 && c.PoolSize <= poolSizeMost, "PoolSize", c.PoolSize, fmt.Sprint("1 to ", poolSizeMost))
	want(c.PoolTTL >= 0, "PoolTTL", c.PoolTTL, "0 or more")
	want(c.PayloadMax >= 1 && c.PayloadMax <= payloadMaxMost, "PayloadMax", c.PayloadMax, fmt.Sprint("1 to ", payloadMaxMost))
	return errors.Join(errs...)
}

// HTTP is a [remote.Invoker] that reaches functions over HTTP/1.1, as StateFun does: one POST a request.
//
// Success is a status 2xx with a body of exactly application/octet-stream, perhaps compressed with gzip or
// deflate, that DecodeReply reads. Redirects are not followed, and no proxy is used. There is no second
// attempt, but for one case: the server has closed a connection that was idle, and it shows only now.
type HTTP struct {
	c       HTTPConfig
	targets *targets
	crew    *crew
	room    *room
	dial    dialFunc
	base    context.Context // Over when the invoker is closed.
	stop    context.CancelFunc
}

// NewHTTP returns an invoker. It connects when there are requests.
func NewHTTP(c HTTPConfig) (*HTTP, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("requestreply: %w", err)
	}
	c = c.withDefaults()
	t, err := parseTemplate(c.URL)
	if err != nil {
		return nil, fmt.Errorf("requestreply: URL: %w", err)
	}
	t.unixTLS = t.unix && t.scheme == "https" && c.TLS != nil
	h := &HTTP{c: c, targets: newTargets(t), room: newRoom(), dial: dialer(c.TLS, c.Allow)}
	h.crew = newCrew(c.PoolSize, h.serve)
	h.base, h.stop = context.WithCancel(context.Background())
	return h, nil
}

// Open does nothing: whether the other end is there shows with the first request.
func (h *HTTP) Open(context.Context) error { return nil }

// Invoke implements [remote.Invoker].
func (h *HTTP) Invoke(r *remote.Request) {
	h.crew.add(callOf(r, h.targets.of(r.Target.Name)))
}

// Close implements [remote.Invoker].
func (h *HTTP) Close(ctx context.Context) error {
	h.stop()
	return h.crew.close(ctx)
}
