// SPDX-License-Identifier: Apache-2.0

package http

import (
	"bytes"

	"github.com/millrace-io/millrace/connectors/http/internal/server"
	"github.com/millrace-io/millrace/engine/statefun"
)

// verb is what a request asks for.
type verb uint8

const (
	send verb = iota
	call
	route
)

// Methods allowed, for the header Allow.
func (v verb) methods() string {
	if v == call {
		return "POST"
	}
	return "PUT, POST"
}

// target is a request's path, understood.
type target struct {
	verb verb
	to   statefun.Address // Empty for route.
}

const pathHint = "PUT or POST /<namespace>/<type>/<id>, POST /call/<namespace>/<type>/<id>, or /ingress; " +
	"a slash inside a segment is written %2F"

// parseTarget reads the request target of the request line.
func parseTarget(uri []byte) (target, *server.Problem) {
	t, p := readTarget(uri)
	if p != nil {
		if p.Hint == "" {
			p.Hint = pathHint
		}
		return target{}, p
	}
	return t, nil
}

func readTarget(uri []byte) (t target, p *server.Problem) {
	path, query, p := server.Path(uri)
	switch {
	case p != nil:
		return t, p
	case query: // An id with a forgotten %3F would otherwise reach another address.
		return t, server.BadPath("a query is not taken", "a ? inside an id is written %3F")
	case string(path) == "ingress":
		return target{verb: route}, nil
	}
	if rest, ok := bytes.CutPrefix(path, []byte("call/")); ok {
		t.verb, path = call, rest
	}
	t.to, p = server.ParseAddress(path)
	return t, p
}
