// SPDX-License-Identifier: Apache-2.0

package remote

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"

	"github.com/apache/flink-statefun/statefun-sdk-go/v3/pkg/statefun"
)

// What both sides know of the function.
const (
	namespace    = "io.millrace.loadgen"
	functionName = "counter"
	egressName   = "told"
	stateName    = "count"
	longTypename = "io.statefun.types/long"
)

// handler is the function, as the official Go SDK serves it, and counts what it is asked to do. A long is
// added to the count; anything else has the count told to an egress.
type handler struct {
	sdk         statefun.RequestReplyHandler
	requests    atomic.Int64 // The handshake, in which nothing is run, included.
	invocations atomic.Int64
}

var _ statefun.RequestReplyHandler = (*handler)(nil)

func newHandler() (*handler, error) {
	h := &handler{}
	functions := statefun.StatefulFunctionsBuilder()
	count := statefun.ValueSpec{Name: stateName, ValueType: statefun.Int64Type}
	told := statefun.TypeNameFrom(namespace + "/" + egressName)
	err := functions.WithSpec(statefun.StatefulFunctionSpec{
		FunctionType: statefun.TypeNameFrom(namespace + "/" + functionName),
		States:       []statefun.ValueSpec{count},
		Function: statefun.StatefulFunctionPointer(func(ctx statefun.Context, m statefun.Message) error {
			h.invocations.Add(1)
			var n int64
			ctx.Storage().Get(count, &n)
			if m.IsInt64() {
				ctx.Storage().Set(count, n+m.AsInt64())
				return nil
			}
			ctx.SendEgress(statefun.GenericEgressBuilder{Target: told, Value: n, ValueType: statefun.Int64Type})
			return nil
		}),
	})
	if err != nil {
		return nil, fmt.Errorf("functions of the SDK: %w", err)
	}
	h.sdk = functions.AsHandler()
	return h, nil
}

// Invoke answers one request.
func (h *handler) Invoke(ctx context.Context, request []byte) ([]byte, error) {
	h.requests.Add(1)
	return h.sdk.Invoke(ctx, request)
}

// ServeHTTP answers one request over HTTP.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.requests.Add(1)
	h.sdk.ServeHTTP(w, r)
}

func (h *handler) counts() counts {
	return counts{requests: h.requests.Load(), invocations: h.invocations.Load()}
}

// counts is what the end that serves has been asked, and has run.
type counts struct{ requests, invocations int64 }

func (c counts) since(before counts) counts {
	return counts{c.requests - before.requests, c.invocations - before.invocations}
}
