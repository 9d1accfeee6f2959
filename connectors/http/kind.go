// SPDX-License-Identifier: Apache-2.0

package http

import (
	"github.com/millrace-io/millrace/engine/kind"
)

// Kinds returns the kinds io.millrace.http.v1/ingress and io.millrace.http.v1/egress.
//
//	kind: io.millrace.http.v1/ingress
//	spec:
//	  id: shop.io/http             # optional; the routers bound to it take what POST /ingress sends
//	  address: 127.0.0.1:8090      # host:port or unix:/path
//	  maxBodyBytes: 1MiB
//	  readTimeout: 10s             # writeTimeout 10s, idleTimeout 60s, callTimeout 30s
//	  ack: durable                 # or accepted; the default is durable if the backend is
//	  idempotencyWindow: 24h
//	  tls: {cert: F, key: F, clientCA: F}
//	---
//	kind: io.millrace.http.v1/egress
//	spec: {id: shop.io/out, url: "http://127.0.0.1:9000/hook", headers: {X-A: b}, timeout: 10s, maxInFlight: 64, maxAttempts: 0}
func Kinds() []kind.Kind {
	return []kind.Kind{
		{Name: "io.millrace.http.v1/ingress", Ingress: true, Bind: bindIngress},
		{Name: "io.millrace.http.v1/egress", Bind: bindEgress},
	}
}

// placeholder stands for a text that is missing: that has been noted, so it only has to pass all other
// checks and is used for nothing.
const placeholder = "http://missing/missing"

func bindIngress(s *kind.Spec, to kind.Target) {
	s.Require("address", "what to listen on: host:port or unix:/path")
	c := IngressConfig{
		ID:           s.String("id", ""),
		Address:      s.String("address", "unix:missing"),
		MaxBodyBytes: s.Bytes("maxBodyBytes", 0, 1, bodyBytesMax),
		ReadTimeout:  s.Duration("readTimeout", 0, timeoutMin, timeoutMax),
		WriteTimeout: s.Duration("writeTimeout", 0, timeoutMin, timeoutMax),
		IdleTimeout:  s.Duration("idleTimeout", 0, timeoutMin, timeoutMax),
		CallTimeout:  s.Duration("callTimeout", 0, timeoutMin, timeoutMax),
		Ack:          s.OneOf("ack", "", AckAccepted, AckDurable),

		IdempotencyWindow: s.Duration("idempotencyWindow", 0, windowMin, windowMax),
	}
	tls := s.Sub("tls")
	if tls != nil {
		c.TLS.Cert, c.TLS.Key = file(tls, "cert"), file(tls, "key")
		if tls.Has("clientCA") {
			c.TLS.ClientCA = file(tls, "clientCA")
		}
	}
	if !c.problems().report(s) {
		return
	}
	in, err := NewIngress(c)
	if err != nil {
		s.Problem("", err.Error(), "")
		return
	}
	to.Listens(c.Address)
	to.Door(in)
}

// file reads the path of a file. An empty one, as an unset variable leaves it, would turn TLS off.
func file(s *kind.Spec, field string) string {
	const want = "the path of a PEM file"
	s.Require(field, want)
	path := s.String(field, placeholder)
	if path == "" {
		s.Problem(field, `"": want `+want, "")
		return placeholder
	}
	return path
}

func bindEgress(s *kind.Spec, to kind.Target) {
	s.Require("id", "the egress whose records are delivered, <namespace>/<name>")
	s.Require("url", "where to deliver: http://…, https://… or http+unix:///path")
	c := EgressConfig{
		ID:          s.String("id", "missing/missing"),
		URL:         s.String("url", placeholder),
		Headers:     s.Map("headers"),
		Timeout:     s.Duration("timeout", 0, timeoutMin, timeoutMax),
		MaxInFlight: s.Int("maxInFlight", 0, 1, inFlightMax),
		MaxAttempts: s.Int("maxAttempts", 0, 0, attemptsMax),
	}
	if !c.problems().report(s) {
		return
	}
	out, err := NewEgress(c)
	if err != nil {
		s.Problem("", err.Error(), "")
		return
	}
	to.Sink(c.ID, out)
}

// report notes each problem at the field that has it. It says whether s is free of problems of any kind, so
// that what a placeholder stands for goes no further.
func (p problems) report(s *kind.Spec) bool {
	for _, e := range p {
		s.Problem(e.field, e.message, e.hint)
	}
	const lenient = false
	return len(s.Problems(lenient)) == 0
}
