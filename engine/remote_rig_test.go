// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"context"
	"sync"
	"testing"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/remote"
	"github.com/millrace-io/millrace/engine/statefun"
)

// What the tests of functions elsewhere share. The other end is in this process: an invoker that calls a Go
// function.

// serve has an invoker serve functions, by their pattern.
func serve(pattern string, v remote.Invoker, p remote.Policy) engine.Module {
	return bind(func(b *engine.Binder) {
		functions, err := remote.ParsePattern(pattern)
		if err != nil {
			panic(err)
		}
		b.Endpoint(remote.Endpoint{Functions: functions, Invoker: v, Policy: p})
	})
}

// server calls f with each message of each request, one request after the other.
func server(f func(r *remote.Request, m remote.Message)) *served {
	return &served{f: func(r *remote.Request) error {
		for _, m := range r.Messages {
			f(r, m)
		}
		return nil
	}}
}

// word decodes a message that is a string.
func word(m remote.Message) string {
	w, err := engine.String.Decode(m.Value)
	if err != nil || string(m.Typename) != engine.String.Typename() {
		return "?"
	}
	return w
}

func payload(w string) remote.Payload {
	value, err := engine.String.Append(nil, w)
	if err != nil {
		panic(err)
	}
	return remote.Payload{Typename: []byte(engine.String.Typename()), Value: value}
}

func sendTo(r *remote.Request, t statefun.FunctionType, id []byte, w string) {
	to := remote.To{Namespace: []byte(t.Namespace), Name: []byte(t.Name), ID: append([]byte(nil), id...)}
	r.Reply.Messages = append(r.Reply.Messages, remote.Outgoing{To: to, Payload: payload(w)})
}

func say(r *remote.Request, w string) {
	r.Reply.Egress = append(r.Reply.Egress, remote.Emitted{Namespace: []byte("test"), Name: []byte("said"), Payload: payload(w)})
}

// hung takes requests and does not answer, until it is told how.
type hung struct {
	mu   sync.Mutex
	open []*remote.Request
	end  func(r *remote.Request) // Ends requests from now on.
}

func (h *hung) Open(context.Context) error { return nil }

func (h *hung) Invoke(r *remote.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.end == nil {
		h.open = append(h.open, r)
		return
	}
	go h.end(r)
}

// heal ends all requests, those to come too.
func (h *hung) heal(end func(r *remote.Request)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.end = end
	for _, r := range h.open {
		go end(r)
	}
	h.open = nil
}

func (h *hung) requests() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.open)
}

// Close does what the port demands only once the requests have been ended.
func (h *hung) Close(ctx context.Context) error {
	if h.requests() > 0 {
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

// functionStats returns the counters of a function type.
func functionStats(t *testing.T, e *engine.Engine, name string) engine.FunctionStats {
	t.Helper()
	for _, f := range e.Stats().Functions {
		if f.Type.String() == name {
			return f
		}
	}
	t.Fatalf("no counters of %s", name)
	return engine.FunctionStats{}
}
