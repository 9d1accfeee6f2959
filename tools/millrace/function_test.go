// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// functions are remote functions, as an SDK would serve them: each answers a message with the same message.
type functions struct {
	*httptest.Server
	arrived chan struct{} // One for each request.
	hold    chan struct{} // A request is answered when it can receive here. nil: at once.
	broken  atomic.Bool   // Answer something that is none.
}

func serveFunctions(t *testing.T, hold chan struct{}) *functions {
	t.Helper()
	f := &functions{arrived: make(chan struct{}, 1024), hold: hold}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

// module is a module file with the functions behind an HTTP ingress.
func (f *functions) module(t *testing.T) string {
	t.Helper()
	return file(t, `kind: io.statefun.endpoints.v2/http
spec:
  functions: example/*
  urlPathTemplate: `+f.URL+`/
---
kind: io.millrace.http.v1/ingress
spec:
  address: 127.0.0.1:0
`)
}

func (f *functions) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	request, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	f.arrived <- struct{}{}
	if f.hold != nil {
		select {
		case <-f.hold:
		case <-r.Context().Done():
			return
		}
	}
	if f.broken.Load() {
		_, _ = w.Write([]byte("none"))
		return
	}
	_, _ = w.Write(answer(request))
}

// Fields of request-reply.proto.
const (
	toFunctionInvocation   = 100
	batchInvocations       = 3
	invocationCaller       = 1 // The target, in a reply.
	fromFunctionResult     = 100
	resultOutgoingMessages = 2
)

// answer is the reply to a request that sends each message back to its caller. An incoming and an outgoing
// message have the same fields, but for their names.
func answer(request []byte) []byte {
	var result []byte
	each(field(request, toFunctionInvocation), batchInvocations, func(invocation []byte) {
		if field(invocation, invocationCaller) != nil {
			result = protowire.AppendTag(result, resultOutgoingMessages, protowire.BytesType)
			result = protowire.AppendBytes(result, invocation)
		}
	})
	reply := protowire.AppendTag(nil, fromFunctionResult, protowire.BytesType)
	return protowire.AppendBytes(reply, result)
}

// field returns the last field of a number, or nil.
func field(message []byte, number protowire.Number) (value []byte) {
	each(message, number, func(v []byte) { value = v })
	return value
}

func each(message []byte, number protowire.Number, do func(value []byte)) {
	for len(message) > 0 {
		n, kind, size := protowire.ConsumeTag(message)
		if size < 0 {
			return
		}
		message = message[size:]
		if n == number && kind == protowire.BytesType {
			if v, _ := protowire.ConsumeBytes(message); v != nil {
				do(v)
			}
		}
		size = protowire.ConsumeFieldValue(n, kind, message)
		if size < 0 {
			return
		}
		message = message[size:]
	}
}
