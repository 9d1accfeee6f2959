// SPDX-License-Identifier: Apache-2.0

package requestreply

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	nethttp "net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/millrace-io/millrace/engine/remote"
	"github.com/millrace-io/millrace/engine/remotetest"
	"github.com/millrace-io/millrace/engine/statefun"
	"github.com/millrace-io/millrace/protocols/internal/protocol"
)

const (
	testConcurrency = 8
	testPayloadMax  = 64 << 10
)

// HTTP keeps the contract over each network, with functions behind a server that is not ours.
func TestHTTPConforms(t *testing.T) {
	for network, serve := range map[string]func(t testing.TB, h nethttp.Handler) (url string){
		"tcp": serveTCP, "unix": serveUnix,
	} {
		t.Run(network, func(t *testing.T) {
			remotetest.Run(t, remotetest.Factory{
				Concurrency: testConcurrency, ReplyBytesMax: testPayloadMax, Connected: true,
				New: func(t testing.TB, script *remotetest.Script) remote.Invoker {
					return newHTTP(t, HTTPConfig{
						URL: serve(t, scripted(t, script)), PoolSize: testConcurrency, PayloadMax: testPayloadMax,
					})
				},
			})
		})
	}
}

// A handler in this process keeps the same contract.
func TestInProcessConforms(t *testing.T) {
	remotetest.Run(t, remotetest.Factory{
		Concurrency: testConcurrency, ReplyBytesMax: testPayloadMax,
		New: func(_ testing.TB, script *remotetest.Script) remote.Invoker {
			return NewInProcess(handlerFunc(func(_ context.Context, b []byte) ([]byte, error) {
				seen, err := seenIn(b)
				if err != nil {
					return nil, err
				}
				switch act := script.Next(seen); act.Kind {
				case remotetest.Refuse:
					return nil, errors.New("refused")
				case remotetest.Garble:
					return []byte("garbled"), nil
				default:
					return replyBytes(act.Reply)
				}
			}), InProcessConfig{Concurrency: testConcurrency, PayloadMax: testPayloadMax})
		},
	})
}

type handlerFunc func(ctx context.Context, b []byte) ([]byte, error)

func (f handlerFunc) Invoke(ctx context.Context, b []byte) ([]byte, error) { return f(ctx, b) }

// scripted is the functions of a script as an HTTP server has them.
func scripted(t testing.TB, script *remotetest.Script) nethttp.Handler {
	return nethttp.HandlerFunc(func(w nethttp.ResponseWriter, r *nethttp.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // The client has given up.
		}
		seen, err := seenIn(body)
		if err != nil {
			t.Errorf("a request that is none: %v", err)
			return
		}
		w.Header().Set("Content-Type", octetStream)
		switch act := script.Next(seen); act.Kind {
		case remotetest.Refuse:
			if act.RetryAfter > 0 {
				w.Header().Set("Retry-After", fmt.Sprint(math.Ceil(act.RetryAfter.Seconds())))
			}
			w.WriteHeader(nethttp.StatusServiceUnavailable)
		case remotetest.Garble:
			_, _ = io.WriteString(w, "garbled")
		case remotetest.Lose:
			panic(nethttp.ErrAbortHandler)
		default:
			b, err := replyBytes(act.Reply)
			if err != nil {
				t.Errorf("a reply that cannot be written: %v", err)
			}
			_, _ = w.Write(b)
		}
	})
}

func serveTCP(t testing.TB, h nethttp.Handler) string {
	ln := listen(t, "tcp")
	serveOn(t, ln, h)
	return "http://" + ln.Addr().String() + "/{function.name}"
}

func serveUnix(t testing.TB, h nethttp.Handler) string {
	ln := listen(t, "unix")
	serveOn(t, ln, h)
	return "http+unix://" + ln.Addr().String() + "/{function.name}"
}

func listen(t testing.TB, network string) net.Listener {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = socketPath(t)
	}
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return ln
}

// socketPath is short, as systems want it.
func socketPath(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "rr")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "s.sock")
}

func serveOn(t testing.TB, ln net.Listener, h nethttp.Handler) {
	server := &nethttp.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(ln) }()
	t.Cleanup(func() { _ = server.Close() })
}

// newHTTP returns an invoker that is open.
func newHTTP(t testing.TB, c HTTPConfig) *HTTP {
	t.Helper()
	h, err := NewHTTP(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return h
}

// seenIn reads a request as an SDK would.
func seenIn(b []byte) (s remotetest.Seen, err error) {
	var to protocol.ToFunction
	if err := proto.Unmarshal(b, &to); err != nil {
		return s, err
	}
	batch := to.GetInvocation()
	s.Target = statefun.FunctionType{Namespace: batch.GetTarget().GetNamespace(), Name: batch.GetTarget().GetType()}
	s.ID = batch.GetTarget().GetId()
	for _, v := range batch.GetState() {
		s.State = append(s.State, remote.State{
			Name: v.StateName, Present: v.StateValue != nil,
			Typename: v.GetStateValue().GetTypename(), Value: v.GetStateValue().GetValue(),
		})
	}
	for _, m := range batch.GetInvocations() {
		s.Messages = append(s.Messages, remote.Message{
			Caller:   statefun.FunctionType{Namespace: m.GetCaller().GetNamespace(), Name: m.GetCaller().GetType()},
			CallerID: []byte(m.GetCaller().GetId()), Typename: []byte(m.GetArgument().GetTypename()),
			Absent: !m.GetArgument().GetHasValue(), Value: m.GetArgument().GetValue(),
		})
	}
	return s, nil
}

// replyBytes writes a reply as an SDK would.
func replyBytes(r *remote.Reply) ([]byte, error) {
	if r.Incomplete {
		missing := &protocol.FromFunction_IncompleteInvocationContext{}
		for _, s := range r.Missing {
			missing.MissingValues = append(missing.MissingValues, &protocol.FromFunction_PersistedValueSpec{
				StateName: s.Name, TypeTypename: s.Typename, ExpirationSpec: &protocol.FromFunction_ExpirationSpec{
					Mode: protocol.FromFunction_ExpirationSpec_ExpireMode(s.Expiry), ExpireAfterMillis: s.TTL,
				},
			})
		}
		return proto.Marshal(&protocol.FromFunction{
			Response: &protocol.FromFunction_IncompleteInvocationContext_{IncompleteInvocationContext: missing},
		})
	}
	result := &protocol.FromFunction_InvocationResponse{}
	for _, m := range r.Messages {
		result.OutgoingMessages = append(result.OutgoingMessages, &protocol.FromFunction_Invocation{
			Target: addressTo(m.To), Argument: typedValue(m.Payload),
		})
	}
	for _, d := range r.Delayed {
		m := &protocol.FromFunction_DelayedInvocation{
			IsCancellationRequest: d.Cancel, CancellationToken: string(d.Token), DelayInMs: d.Delay,
		}
		if !d.Cancel {
			m.Target, m.Argument = addressTo(d.To), typedValue(d.Payload)
		}
		result.DelayedInvocations = append(result.DelayedInvocations, m)
	}
	for _, e := range r.Egress {
		result.OutgoingEgresses = append(result.OutgoingEgresses, &protocol.FromFunction_EgressMessage{
			EgressNamespace: string(e.Namespace), EgressType: string(e.Name), Argument: typedValue(e.Payload),
		})
	}
	for _, m := range r.Mutations {
		v := &protocol.FromFunction_PersistedValueMutation{StateName: string(m.Name)}
		if !m.Delete {
			v.MutationType = protocol.FromFunction_PersistedValueMutation_MODIFY
			v.StateValue = typedValue(m.Payload)
		}
		result.StateMutations = append(result.StateMutations, v)
	}
	return proto.Marshal(&protocol.FromFunction{
		Response: &protocol.FromFunction_InvocationResult{InvocationResult: result},
	})
}

func addressTo(to remote.To) *protocol.Address {
	return &protocol.Address{Namespace: string(to.Namespace), Type: string(to.Name), Id: string(to.ID)}
}

func typedValue(p remote.Payload) *protocol.TypedValue {
	return &protocol.TypedValue{Typename: string(p.Typename), HasValue: !p.Absent, Value: p.Value}
}
