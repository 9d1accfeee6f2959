// SPDX-License-Identifier: Apache-2.0

package sdktest

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/millrace-io/millrace/engine/statefun"
	"github.com/millrace-io/millrace/protocols/internal/protocol"
)

type (
	batch    = protocol.ToFunction_InvocationBatchRequest
	effects  = protocol.FromFunction_InvocationResponse
	mutation = protocol.FromFunction_PersistedValueMutation
	outgoing = protocol.FromFunction_Invocation
	delayed  = protocol.FromFunction_DelayedInvocation
	emitted  = protocol.FromFunction_EgressMessage
)

// script is a function server that is driven by hand: it does what no SDK does, and remembers what it was sent.
type script struct {
	*httptest.Server
	t *testing.T

	mu       sync.Mutex
	requests []*batch // Guarded by mu.
}

// scripted starts a server that answers each request with the body that answer returns. An answer may wait for
// the request's context.
func scripted(t *testing.T, answer func(r *http.Request, b *batch) []byte) *script {
	t.Helper()
	return scriptedHTTP(t, func(w http.ResponseWriter, r *http.Request, b *batch) {
		reply := answer(r, b)
		w.Header().Set("Content-Type", octets)
		_, _ = w.Write(reply)
	})
}

func scriptedHTTP(t *testing.T, answer func(w http.ResponseWriter, r *http.Request, b *batch)) *script {
	t.Helper()
	s := &script{t: t}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var request protocol.ToFunction
		if err == nil {
			err = proto.Unmarshal(body, &request)
		}
		if err != nil {
			t.Errorf("a request that is none: %v", err)
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s.mu.Lock()
		s.requests = append(s.requests, request.GetInvocation())
		s.mu.Unlock()
		answer(w, r, request.GetInvocation())
	}))
	s.Start()
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

// seen returns the requests so far.
func (s *script) seen() []*batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// result is a reply with effects.
func result(e *effects) []byte {
	return marshal(&protocol.FromFunction{Response: &protocol.FromFunction_InvocationResult{InvocationResult: e}})
}

// missing is a reply that asks for states.
func missing(specs ...*protocol.FromFunction_PersistedValueSpec) []byte {
	return marshal(&protocol.FromFunction{Response: &protocol.FromFunction_IncompleteInvocationContext_{
		IncompleteInvocationContext: &protocol.FromFunction_IncompleteInvocationContext{MissingValues: specs},
	}})
}

func marshal(m proto.Message) []byte {
	b, err := proto.Marshal(m)
	if err != nil {
		panic(err)
	}
	return b
}

func spec(name, typename string) *protocol.FromFunction_PersistedValueSpec {
	return &protocol.FromFunction_PersistedValueSpec{StateName: name, TypeTypename: typename}
}

func value(typename string, b []byte) *protocol.TypedValue {
	return &protocol.TypedValue{Typename: typename, HasValue: true, Value: b}
}

// text is a value of a type that is nobody's business but the functions'.
func text(s string) *protocol.TypedValue { return value("test/text", []byte(s)) }

// say is a message from outside.
func say(s string) statefun.TypedValue {
	return statefun.TypedValue{Typename: "test/text", Value: []byte(s)}
}

func modify(name, typename string, b []byte) *mutation {
	return &mutation{
		MutationType: protocol.FromFunction_PersistedValueMutation_MODIFY, StateName: name, StateValue: value(typename, b),
	}
}

func target(a statefun.Address) *protocol.Address {
	return &protocol.Address{Namespace: a.Type.Namespace, Type: a.Type.Name, Id: a.ID}
}

// state returns what a request shows of a state: found says that it is named, and v is nil when it is absent.
func state(b *batch, name string) (v *protocol.TypedValue, found bool) {
	for _, s := range b.GetState() {
		if s.GetStateName() == name {
			return s.StateValue, true
		}
	}
	return nil, false
}

// texts returns the bodies of a request's messages.
func texts(b *batch) (list []string) {
	for _, m := range b.GetInvocations() {
		list = append(list, string(m.GetArgument().GetValue()))
	}
	return list
}

// heard returns the bodies of all messages that an address was sent, of every attempt.
func (s *script) heard(a statefun.Address) (list []string) {
	for _, b := range s.seen() {
		if proto.Equal(b.GetTarget(), target(a)) {
			list = append(list, texts(b)...)
		}
	}
	return list
}

// stateful has a function declare its states before it runs.
func stateful(run func(b *batch) *effects, specs ...*protocol.FromFunction_PersistedValueSpec) func(*http.Request, *batch) []byte {
	return func(_ *http.Request, b *batch) []byte {
		var lacking []*protocol.FromFunction_PersistedValueSpec
		for _, s := range specs {
			if _, found := state(b, s.GetStateName()); !found {
				lacking = append(lacking, s)
			}
		}
		if lacking != nil {
			return missing(lacking...)
		}
		return result(run(b))
	}
}

// emit is a record with a text.
func emit(s string) *emitted {
	return &emitted{EgressNamespace: "test", EgressType: "out", Argument: text(s)}
}

// told returns the texts of the records that have left.
func (r *rig) told() (list []string) {
	for _, record := range r.kept() {
		list = append(list, string(bytes.Clone(record.Value)))
	}
	return list
}
