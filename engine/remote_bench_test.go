// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"testing"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/remote"
	"github.com/millrace-io/millrace/engine/statefun"
)

// prompt answers requests one after the other, on a goroutine of its own, with a new state.
type prompt struct{ requests chan *remote.Request }

func (p prompt) Open(context.Context) error {
	go func() {
		value := make([]byte, 8)
		for r := range p.requests {
			r.Reply.Reset()
			if len(r.State) == 0 {
				r.Reply.Incomplete = true
				r.Reply.Missing = append(r.Reply.Missing, remote.Spec{Name: "visits", Typename: visitsType})
				r.Done(nil)
				continue
			}
			r.Reply.Mutations = append(r.Reply.Mutations, remote.Mutation{
				Name: visitsName, Payload: remote.Payload{Typename: visitsTypename, Value: value},
			})
			r.Done(nil)
		}
	}()
	return nil
}

var visitsName, visitsTypename = []byte("visits"), []byte(visitsType)

func (p prompt) Invoke(r *remote.Request)    { p.requests <- r }
func (p prompt) Close(context.Context) error { close(p.requests); return nil }

// numbered is a source of n messages to the router's addresses.
type numbered struct{ next, n uint64 }

func (s *numbered) Open(context.Context, []byte) error { return nil }
func (s *numbered) Position() []byte                   { return nil }
func (s *numbered) Close() error                       { return nil }
func (s *numbered) Poll(_ context.Context, into *connector.Events) error {
	var value [8]byte
	for into.Room() > 0 && s.next < s.n {
		binary.LittleEndian.PutUint64(value[:], s.next)
		into.Append(value[:], "", value[:])
		s.next++
	}
	if s.next == s.n {
		return io.EOF
	}
	return nil
}

// benchFunction is the contract of the function that runs elsewhere.
type benchFunction interface {
	Take(*engine.Context, []byte) error
}

var (
	raw = statefun.NewType("test/raw",
		func(dst, v []byte) ([]byte, error) { return append(dst, v...), nil },
		func(v []byte) ([]byte, error) { return v, nil })
	benchElsewhere = engine.Define[benchFunction]("bench/f")
	benchTarget    = engine.Accept(benchElsewhere, raw, benchFunction.Take)
)

// BenchmarkFunctionElsewhere measures what the engine does for a function that runs elsewhere, with an other
// end that costs next to nothing: run consecutive messages for one address.
func BenchmarkFunctionElsewhere(b *testing.B) {
	for _, run := range []uint64{1, 10, 100} {
		b.Run(fmt.Sprint("run=", run), func(b *testing.B) {
			ingress := engine.NewIngress("test/in", raw)
			b.ReportAllocs()
			e, err := engine.Open(b.Context(), engine.Config{}, engine.Module{Name: "bench", Bind: func(bd *engine.Binder) error {
				bd.Endpoint(remote.Endpoint{Functions: remote.Pattern{Namespace: "bench", Name: "f"}, Invoker: prompt{make(chan *remote.Request, 4096)}})
				engine.Connect(bd, ingress, &numbered{n: uint64(b.N)})
				engine.RouteFunc(bd, ingress, func(d *engine.Downstream, v []byte) error {
					var id [8]byte
					n := binary.LittleEndian.Uint64(v) / run % 10_000
					for i := range id {
						id[i] = 'a' + byte(n>>(4*i)&15)
					}
					return engine.Forward(d, benchTarget.To(string(id[:])), v)
				})
				return nil
			}})
			if err != nil {
				b.Fatal(err)
			}
			if err := e.Run(b.Context()); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			if err := e.Close(b.Context()); err != nil {
				b.Fatal(err)
			}
		})
	}
}
