// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/remote"
	"github.com/millrace-io/millrace/engine/statefun"
)

// restless answers requests from many goroutines, in any order: at once, within Invoke, or late; well, not at
// all, or with nonsense.
type restless struct {
	f func(r *remote.Request)

	busy   sync.WaitGroup
	mu     sync.Mutex
	random *rand.Rand // Guarded by mu.
}

func (s *restless) Open(context.Context) error { return nil }

func (s *restless) Invoke(r *remote.Request) {
	s.mu.Lock()
	n := s.random.IntN(100)
	s.mu.Unlock()
	switch {
	case n < 20:
		s.answer(r, n)
	case n < 40:
		s.busy.Add(1)
		time.AfterFunc(time.Duration(n)*100*time.Microsecond, func() {
			defer s.busy.Done()
			s.answer(r, n)
		})
	default:
		s.busy.Go(func() { s.answer(r, n) })
	}
}

func (s *restless) answer(r *remote.Request, n int) {
	switch n % 10 {
	case 0:
		r.Done(&remote.Error{Reason: remote.Reason(n / 10 % 5)})
		return
	case 1: // It has run, and nobody hears of it.
		s.f(r)
		r.Reply.Reset()
		r.Done(&remote.Error{Reason: remote.TimedOut})
		return
	case 2:
		s.f(r)
		r.Reply.Mutations = append(r.Reply.Mutations, remote.Mutation{Name: []byte("undeclared")})
	default:
		s.f(r)
	}
	r.Done(nil)
}

func (s *restless) Close(context.Context) error {
	s.busy.Wait()
	return nil
}

// hammered counts the messages of an address, and sends each on to another address until it has been
// at so many.
func hammered(r *remote.Request) {
	if len(r.State) == 0 {
		r.Reply.Incomplete = true
		r.Reply.Missing = append(r.Reply.Missing, remote.Spec{Name: "n", Typename: "hammer/n", Expiry: remote.AfterInvoke, TTL: 3_600_000})
		return
	}
	var n uint64
	if r.State[0].Present {
		n = binary.LittleEndian.Uint64(r.State[0].Value)
	}
	for _, m := range r.Messages {
		n++
		left, key := m.Value[0], m.Value[1]
		if left == 0 {
			continue
		}
		r.Reply.Messages = append(r.Reply.Messages, remote.Outgoing{
			To:      remote.To{Namespace: []byte("hammer"), Name: fmt.Append(nil, "f", key%4), ID: fmt.Append(nil, "an-id-with-some-length-", key%50)},
			Payload: remote.Payload{Typename: []byte("hammer/hop"), Value: []byte{left - 1, key*7 + 3}},
		})
	}
	r.Reply.Mutations = append(r.Reply.Mutations, remote.Mutation{
		Name: []byte("n"), Payload: remote.Payload{Typename: []byte("hammer/n"), Value: binary.LittleEndian.AppendUint64(nil, n)},
	})
}

// Many senders, shards and goroutines of an invoker at once, whatever they do: every message takes effect
// once, and the memory that requests borrow is nobody else's meanwhile.
func TestRemoteHammer(t *testing.T) {
	const senders, each, hops = 4, 100, 9
	s := &restless{f: hammered, random: rand.New(rand.NewPCG(7, 8))}
	d := &door{}
	policy := remote.Policy{RetryFirst: time.Millisecond, RetryMost: 2 * time.Millisecond, InFlightMax: 16, MessagesMax: 5, BrokenMax: 1 << 30}
	e, err := engine.Open(t.Context(), engine.Config{Shards: 4, Logger: quiet, EpochInterval: time.Millisecond, BatchMax: 8},
		serve("hammer/*", s, policy), bind(func(b *engine.Binder) { b.Door(d) }))
	if err != nil {
		t.Fatal(err)
	}
	run(t, e)
	var sending sync.WaitGroup
	for n := range senders {
		sending.Go(func() {
			for i := range each {
				to := engine.Address{Type: statefun.FunctionType{Namespace: "hammer", Name: fmt.Sprint("f", i%4)}, ID: fmt.Sprint("an-id-with-some-length-", (i*n)%50)}
				m := engine.TypedValue{Typename: "hammer/hop", Value: []byte{hops, byte(i + n*each)}}
				if err := d.in.Send(t.Context(), to, m, connector.Delivery{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	sending.Wait()
	closeEngine(t, e)
	stats := e.Stats()
	var n int64
	for _, f := range stats.Functions {
		n += f.In
	}
	if n != senders*each*(hops+1) || stats.Invocations() != n || stats.QueuedBytes != 0 {
		t.Errorf("%d messages took effect, %d invocations; want %d; %d bytes are queued", n, stats.Invocations(), senders*each*(hops+1), stats.QueuedBytes)
	}
	bad := slices.IndexFunc(stats.Functions, func(f engine.FunctionStats) bool { return f.InFlight != 0 || f.Backlog != 0 || f.Suspended != 0 })
	if bad >= 0 {
		t.Errorf("%+v", stats.Functions[bad])
	}
}
