// SPDX-License-Identifier: Apache-2.0

package main

import (
	endian "encoding/binary"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// Further fields of request-reply.proto.
const (
	invocationState          = 2
	invocationArgument       = 2
	stateName                = 1
	stateValue               = 2
	typedTypename            = 1
	typedHasValue            = 2
	typedValue               = 3
	fromFunctionIncomplete   = 101
	incompleteMissing        = 1
	specName                 = 1
	specTypename             = 3
	resultMutations          = 1
	resultEgresses           = 4
	mutationType             = 1
	mutationName             = 2
	mutationValue            = 3
	egressNamespace          = 1
	egressType               = 2
	egressArgument           = 3
	longType                 = "io.statefun.types/long"
	counted, countedEgressIn = "seen", "example"
	countedEgress            = "seen-by"
)

// serveCounter serves functions that count their messages in the state "seen", answer each, and send the first
// one of each request to the egress example/seen-by. It has no state of its own.
func serveCounter(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if request, err := io.ReadAll(r.Body); err == nil {
			_, _ = w.Write(count(request))
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// count is the reply to a request.
func count(request []byte) []byte {
	invocation := field(request, toFunctionInvocation)
	var seen uint64
	known := false
	each(invocation, invocationState, func(state []byte) {
		if string(field(state, stateName)) == counted {
			known = true
			if v := field(field(state, stateValue), typedValue); len(v) == 9 {
				seen = endian.LittleEndian.Uint64(v[1:])
			}
		}
	})
	if !known {
		spec := text(text(nil, specName, counted), specTypename, longType)
		return bytesField(nil, fromFunctionIncomplete, bytesField(nil, incompleteMissing, spec))
	}
	var first []byte
	each(invocation, batchInvocations, func(message []byte) {
		if seen++; first == nil {
			first = field(message, invocationArgument)
		}
	})
	value := endian.LittleEndian.AppendUint64([]byte{1<<3 | 1}, seen)
	mutation := protowire.AppendVarint(protowire.AppendTag(nil, mutationType, protowire.VarintType), 1)
	mutation = bytesField(text(mutation, mutationName, counted), mutationValue, typed(longType, value))
	result := bytesField(field(answer(request), fromFunctionResult), resultMutations, mutation)
	record := bytesField(text(text(nil, egressNamespace, countedEgressIn), egressType, countedEgress), egressArgument, first)
	return bytesField(nil, fromFunctionResult, bytesField(result, resultEgresses, record))
}

func typed(typename string, value []byte) []byte {
	b := protowire.AppendVarint(protowire.AppendTag(text(nil, typedTypename, typename), typedHasValue, protowire.VarintType), 1)
	return bytesField(b, typedValue, value)
}

func text(dst []byte, number protowire.Number, s string) []byte {
	return bytesField(dst, number, []byte(s))
}

func bytesField(dst []byte, number protowire.Number, b []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(dst, number, protowire.BytesType), b)
}
