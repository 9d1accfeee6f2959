// SPDX-License-Identifier: Apache-2.0

package http

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-io/millrace/engine/statefun"
)

// When a message is acknowledged.
const (
	// AckAccepted acknowledges a message once the engine has accepted it: a crash before the next commit loses it.
	AckAccepted = "accepted"
	// AckDurable acknowledges a message, and answers a call, once that is in a committed checkpoint.
	AckDurable = "durable"
)

// IngressConfig says how an [Ingress] listens and what it takes. Zero values stand for the defaults.
type IngressConfig struct {
	ID      string // Optional, "<namespace>/<name>": which routers POST /ingress goes to.
	Address string // "host:port" or "unix:/path".

	MaxBodyBytes int           // Of one request; default 1 MiB.
	ReadTimeout  time.Duration // For a whole request, of which at most 5 s for its head; default 10 s.
	WriteTimeout time.Duration // For a response; default 10 s.
	IdleTimeout  time.Duration // Between two requests of a connection; default 60 s.
	CallTimeout  time.Duration // For the answer of a call, and for a durable acknowledgement; default 30 s.
	// Ack is AckAccepted or AckDurable. The default is AckDurable with a backend that survives the process,
	// AckAccepted with any other.
	Ack string
	// IdempotencyWindow is how long an Idempotency-Key is remembered, from the first message on; default 24 h.
	IdempotencyWindow time.Duration
	TLS               TLSConfig

	// MaxConnections bounds the open connections, and with them file descriptors and memory: a
	// connection costs some 24 KiB, and the body that it has sent so far. What comes beyond is
	// answered with 503 and closed. Default 16384.
	MaxConnections int
	// MaxConnectionsPerIP bounds the connections of one client address; 0 is no bound.
	MaxConnectionsPerIP int

	// Logger gets what concerns the operator; nil is slog.Default.
	Logger *slog.Logger
}

// TLSConfig names PEM files. All empty is plain HTTP.
type TLSConfig struct {
	Cert, Key string
	ClientCA  string // When given, clients must present a certificate that it has signed.
}

// Ranges of the settings.
const (
	timeoutMin     = time.Millisecond
	timeoutMax     = 24 * time.Hour
	bodyBytesMax   = 1 << 30
	windowMin      = time.Second
	windowMax      = 366 * 24 * time.Hour
	connectionsMax = 1 << 20
	addressMax     = 512 // With an Idempotency-Key it has to fit into connector.KeyBytesMax.
	socketPathMax  = 107 // sun_path has 108 bytes with the closing zero.
)

func (c IngressConfig) withDefaults() IngressConfig {
	orElse(&c.MaxBodyBytes, 1<<20)
	orElse(&c.ReadTimeout, 10*time.Second)
	orElse(&c.WriteTimeout, 10*time.Second)
	orElse(&c.IdleTimeout, 60*time.Second)
	orElse(&c.CallTimeout, 30*time.Second)
	orElse(&c.IdempotencyWindow, 24*time.Hour)
	orElse(&c.MaxConnections, 16384)
	orElse(&c.Logger, slog.Default())
	return c
}

// Validate reports everything that is wrong with c, each with its field, value and accepted range.
func (c IngressConfig) Validate() error { return c.problems().err("ingress") }

func (c IngressConfig) problems() (p problems) {
	c = c.withDefaults()
	if c.ID != "" {
		p.add(statefun.ValidateTypename(c.ID) == nil, "id", c.ID, "<namespace>/<name>")
	}
	p.add(validAddress(c.Address), "address", c.Address, "host:port or unix:/path")
	p.add(within(c.MaxBodyBytes, 1, bodyBytesMax), "maxBodyBytes", c.MaxBodyBytes, "1 to 1073741824")
	p.timeout("readTimeout", c.ReadTimeout)
	p.timeout("writeTimeout", c.WriteTimeout)
	p.timeout("idleTimeout", c.IdleTimeout)
	p.timeout("callTimeout", c.CallTimeout)
	p.add(c.Ack == "" || c.Ack == AckAccepted || c.Ack == AckDurable, "ack", c.Ack, AckAccepted+" or "+AckDurable)
	p.add(within(c.IdempotencyWindow, windowMin, windowMax), "idempotencyWindow", c.IdempotencyWindow, "1s to 8784h")
	p.add((c.TLS.Cert == "") == (c.TLS.Key == ""), "tls", c.TLS, "cert and key together")
	p.add(c.TLS.ClientCA == "" || c.TLS.Cert != "", "tls.clientCA", c.TLS.ClientCA, "cert and key beside it")
	p.add(within(c.MaxConnections, 1, connectionsMax), "maxConnections", c.MaxConnections, "1 to 1048576")
	p.add(within(c.MaxConnectionsPerIP, 0, connectionsMax), "maxConnectionsPerIP", c.MaxConnectionsPerIP,
		"0 (no bound) to 1048576")
	return p
}

func validAddress(address string) bool {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		// A leading @ or a zero byte would mean Linux's abstract names, which have no file permissions.
		return path != "" && len(path) <= socketPathMax && path[0] != '@' && !strings.ContainsRune(path, 0)
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil || len(address) > addressMax {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}

// problems collects what is wrong with a configuration.
type problems []fieldError

// fieldError is something wrong with one field, named as module files have it.
type fieldError struct{ field, message, hint string }

func (e fieldError) Error() string {
	if e.hint != "" {
		return e.field + ": " + e.message + "; " + e.hint
	}
	return e.field + ": " + e.message
}

func (p *problems) add(ok bool, field string, value any, accepted string) {
	if !ok {
		*p = append(*p, fieldError{field, fmt.Sprintf("%q: want %s", fmt.Sprint(value), accepted), ""})
	}
}

func (p *problems) timeout(field string, d time.Duration) {
	p.add(within(d, timeoutMin, timeoutMax), field, d, "1ms to 24h")
}

func (p problems) err(what string) error {
	if len(p) == 0 {
		return nil
	}
	errs := make([]error, len(p))
	for i, e := range p {
		errs[i] = e
	}
	return fmt.Errorf("http: %s: %w", what, errors.Join(errs...))
}

func within[T int | time.Duration](v, low, high T) bool { return low <= v && v <= high }

func orElse[T comparable](v *T, fallback T) {
	var zero T
	if *v == zero {
		*v = fallback
	}
}
