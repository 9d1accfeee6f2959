// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/remote"
	"github.com/millrace-io/millrace/engine/statefun"
)

// served is an invoker whose function is a Go function: what a function server does, without a wire.
type served struct {
	f func(r *remote.Request) error

	mu   sync.Mutex
	busy sync.WaitGroup
}

func (s *served) Open(context.Context) error  { return nil }
func (s *served) Close(context.Context) error { s.busy.Wait(); return nil }

func (s *served) Invoke(r *remote.Request) {
	s.busy.Go(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		r.Reply.Reset()
		r.Done(s.f(r))
	})
}

const visitsType = "io.statefun.types/long"

// visits counts the messages of an address in its state, and emits each number.
func visits(r *remote.Request) error {
	if len(r.State) == 0 {
		r.Reply.Incomplete = true
		r.Reply.Missing = append(r.Reply.Missing, remote.Spec{Name: "visits", Typename: visitsType})
		return nil
	}
	var n uint64
	if s := r.State[0]; s.Present {
		n = binary.LittleEndian.Uint64(s.Value)
	}
	for _, m := range r.Messages {
		n++
		r.Reply.Egress = append(r.Reply.Egress, remote.Emitted{
			Namespace: []byte("test"), Name: []byte("out"),
			Payload: remote.Payload{Typename: []byte("test/visit"), Value: fmt.Appendf(nil, "%s %s %d", r.ID, m.Value, n)},
		})
	}
	r.Reply.Mutations = append(r.Reply.Mutations, remote.Mutation{
		Name: []byte("visits"), Payload: remote.Payload{Typename: []byte(visitsType), Value: binary.LittleEndian.AppendUint64(nil, n)},
	})
	return nil
}

// entryDoor gives tests the engine's entry.
type entryDoor struct{ in chan connector.Entry }

func (d entryDoor) Open(_ context.Context, in connector.Entry) error { d.in <- in; return nil }
func (d entryDoor) Close(context.Context) error                      { return nil }

// Messages for functions elsewhere go there in order, with their state, and what comes back takes effect
// once.
func TestFunctionElsewhere(t *testing.T) {
	const ids, each = 20, 50
	door := entryDoor{make(chan connector.Entry, 1)}
	var got []string
	var mu sync.Mutex
	e, err := engine.Open(t.Context(), engine.Config{Shards: 2, EpochInterval: time.Millisecond}, engine.Module{Name: "test", Bind: func(b *engine.Binder) error {
		b.Endpoint(remote.Endpoint{Functions: remote.Pattern{Namespace: "shop", Name: "*"}, Invoker: &served{f: visits}})
		b.Sink("test/out", connector.SinkFunc(func(r connector.Record) error {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, string(r.Value))
			return nil
		}))
		b.Door(door)
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	ran := make(chan error, 1)
	go func() { ran <- e.Run(t.Context()) }()
	in := <-door.in
	for n := range each {
		for id := range ids {
			to := statefun.Address{Type: statefun.FunctionType{Namespace: "shop", Name: fmt.Sprint("f", id%3)}, ID: fmt.Sprint(id)}
			if err := in.Send(t.Context(), to, statefun.TypedValue{Typename: "test/hello", Value: fmt.Append(nil, n)}, connector.Delivery{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := e.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, s := range got {
		var id, n, visit int
		if _, err := fmt.Sscan(s, &id, &n, &visit); err != nil {
			t.Fatal(err)
		}
		if k := fmt.Sprint(id); seen[k] != n || visit != n+1 {
			t.Fatalf("record %q after %d", s, seen[k])
		} else {
			seen[k]++
		}
	}
	if len(got) != ids*each {
		t.Errorf("%d records; want %d", len(got), ids*each)
	}
	for _, f := range e.Stats().Functions {
		t.Logf("%+v", f)
	}
}
