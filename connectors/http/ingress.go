// SPDX-License-Identifier: Apache-2.0

package http

import (
	"context"
	"fmt"
	"net"

	"github.com/millrace-io/millrace/connectors/http/internal/server"
	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/statefun"
)

var (
	_ connector.Door   = (*Ingress)(nil)
	_ connector.Caller = (*Ingress)(nil)
)

// Ingress is an HTTP server that hands what it is sent to the engine.
type Ingress struct {
	c       IngressConfig
	server  *server.Server
	scope   []byte          // What an Idempotency-Key is put behind: not the address, which may change.
	entry   connector.Entry // Written once in Open.
	durable bool            // Written once in Open.
}

// NewIngress makes an ingress of c, or says what is wrong with it. It does not listen yet.
func NewIngress(c IngressConfig) (*Ingress, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	in := &Ingress{c: c.withDefaults(), scope: append([]byte(c.ID), 0)}
	in.server = server.New(server.Config{
		Name: "http ingress", Address: in.c.Address,
		MaxBodyBytes: in.c.MaxBodyBytes, ReadTimeout: in.c.ReadTimeout, WriteTimeout: in.c.WriteTimeout,
		IdleTimeout: in.c.IdleTimeout, MaxConnections: in.c.MaxConnections,
		MaxConnectionsPerIP: in.c.MaxConnectionsPerIP, Logger: in.c.Logger,
		Serve: in.serve,
	})
	return in, nil
}

// Open begins to listen.
func (in *Ingress) Open(ctx context.Context, entry connector.Entry) error {
	in.entry = entry
	in.durable = in.c.Ack == AckDurable || in.c.Ack == "" && entry.IsDurable()
	if in.durable && !entry.IsDurable() {
		in.c.Logger.Warn("http ingress acknowledges what is committed, but no commit survives the process", "address", in.c.Address)
	}
	conf, err := in.c.TLS.load()
	if err == nil {
		err = in.server.Open(ctx, conf)
	}
	if err != nil {
		return fmt.Errorf("http: ingress %s: %w", in.c.Address, err)
	}
	return nil
}

// CallerType is what functions see as the sender of a call.
func (in *Ingress) CallerType() statefun.FunctionType { return caller }

// Addr is the address that the ingress listens on; nil before Open.
func (in *Ingress) Addr() net.Addr { return in.server.Addr() }

// Close stops to accept, answers what is being asked, and cuts the connections that are left when ctx is
// done.
func (in *Ingress) Close(ctx context.Context) error {
	if err := in.server.Close(ctx); err != nil {
		return fmt.Errorf("http: ingress %s: close: %w", in.c.Address, err)
	}
	return nil
}
