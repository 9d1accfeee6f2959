// SPDX-License-Identifier: Apache-2.0

package remotetest

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"github.com/millrace-io/millrace/engine/remote"
	"github.com/millrace-io/millrace/engine/statefun"
)

var (
	cart    = statefun.FunctionType{Namespace: "shop", Name: "cart"}
	orders  = statefun.FunctionType{Namespace: "shop.fns", Name: "orders"}
	typed   = remote.Payload{Typename: []byte("shop/item"), Value: []byte("\x00\xffvalue")}
	toOrder = remote.Outgoing{To: remote.To{Namespace: []byte("shop.fns"), Name: []byte("orders"), ID: []byte("ö-7")}, Payload: typed}
)

// numbered is a request that differs from all others.
func numbered(i int) Seen {
	return Seen{Target: cart, ID: fmt.Sprint("id-", i), Messages: []remote.Message{
		{Typename: []byte("shop/item"), Value: fmt.Appendf(nil, "first of %d", i)},
		{Typename: []byte("shop/item"), Value: fmt.Appendf(nil, "second of %d", i)},
	}}
}

func checkRoundTrip(s *session) {
	sent := Seen{
		Target: cart, ID: "ünd/ more",
		State: []remote.State{
			{Name: "never_written"},
			{Name: "empty", Typename: "shop/count", Present: true},
			{Name: "full", Typename: "shop/list", Present: true, Value: []byte{0, 1, 2, 0xff}},
		},
		Messages: []remote.Message{
			{Typename: []byte("shop/item"), Value: []byte("from outside")},
			{Caller: orders, CallerID: []byte("o-1"), Typename: []byte("shop/item"), Value: []byte{0}},
			{Typename: []byte("shop/zero")},
			{Typename: []byte("shop/nothing"), Absent: true},
		},
	}
	reply := &remote.Reply{
		Messages: []remote.Outgoing{toOrder, {To: toOrder.To, Payload: remote.Payload{Typename: typed.Typename, Absent: true}}},
		Delayed: []remote.Delayed{
			{Delay: 0, Outgoing: toOrder},
			{Token: []byte("token"), Delay: 1 << 40, Outgoing: toOrder},
			{Cancel: true, Token: []byte("token")},
		},
		Egress: []remote.Emitted{{Namespace: []byte("shop.io"), Name: []byte("mail"), Payload: typed}},
		Mutations: []remote.Mutation{
			{Name: []byte("full"), Delete: true},
			{Name: []byte("empty"), Payload: remote.Payload{Typename: []byte("shop/count")}},
		},
	}
	s.script.add(sent.ID, Act{Reply: reply})
	q := s.request()
	q.invoke(sent, ample)
	seen := s.next()
	q.answered(reply)
	if got, want := flat(seen), flat(sent); !reflect.DeepEqual(got, want) {
		s.t.Fatalf("what has arrived is\n%+v, want\n%+v", got, want)
	}
}

// flat makes a request one that can be compared.
func flat(r Seen) Seen {
	c := Seen{Target: r.Target, ID: r.ID}
	for _, v := range r.State {
		v.Value = clone(v.Value)
		c.State = append(c.State, v)
	}
	for _, m := range r.Messages {
		m.CallerID, m.Typename, m.Value = clone(m.CallerID), clone(m.Typename), clone(m.Value)
		c.Messages = append(c.Messages, m)
	}
	return c
}

func checkIncomplete(s *session) {
	reply := &remote.Reply{Incomplete: true, Missing: []remote.Spec{
		{Name: "count", Typename: "shop/count"},
		{Name: "list", Typename: "shop/list", Expiry: remote.AfterWrite, TTL: 1000},
		{Name: "seen", Typename: "shop/time", Expiry: remote.AfterInvoke, TTL: 1 << 40},
	}}
	s.script.add("id-1", Act{Reply: reply})
	q := s.request()
	q.invoke(numbered(1), ample)
	q.answered(reply)
}

// What a request was used for before, with success or without, is not in its reply.
func checkReuse(s *session) {
	rich := &remote.Reply{
		Messages:  []remote.Outgoing{toOrder, toOrder, toOrder},
		Delayed:   []remote.Delayed{{Delay: 5, Outgoing: toOrder}},
		Egress:    []remote.Emitted{{Namespace: []byte("shop.io"), Name: []byte("mail"), Payload: typed}},
		Mutations: []remote.Mutation{{Name: []byte("full"), Delete: true}},
	}
	incomplete := &remote.Reply{Incomplete: true, Missing: []remote.Spec{{Name: "count", Typename: "shop/count"}}}
	q := s.request()
	for i := range 3 {
		s.script.add(numbered(i).ID, Act{Reply: rich}, Act{}, Act{Reply: incomplete}, Act{Kind: Refuse}, Act{Kind: Garble})
		q.invoke(numbered(i), ample)
		q.answered(rich)
		q.invoke(numbered(i), ample)
		q.answered(echo(numbered(i)))
		q.invoke(numbered(i), ample)
		q.answered(incomplete)
		q.invoke(numbered(i), ample)
		q.failed(remote.Refused)
		q.invoke(numbered(i), ample)
		q.failed(remote.Broken)
		q.invoke(numbered(i), ample)
		q.answered(echo(numbered(i)))
	}
}

func checkRefused(s *session) {
	q := s.request()
	for _, after := range []time.Duration{0, 7 * time.Second} {
		s.script.add("id-1", Act{Kind: Refuse, RetryAfter: after})
		q.invoke(numbered(1), ample)
		if e := q.failed(remote.Refused); e.RetryAfter != 0 && e.RetryAfter != after || s.f.Connected && e.RetryAfter != after {
			s.t.Fatalf("to be left alone for %v, want %v", e.RetryAfter, after)
		}
	}
	q.invoke(numbered(2), ample)
	q.answered(echo(numbered(2)))
}

func checkLost(s *session) {
	q := s.request()
	// The first goes out on a new connection: only on an older one may the invoker try again by itself.
	s.script.add("id-1", Act{Kind: Lose})
	q.invoke(numbered(1), ample)
	q.failed(remote.Unreachable)
	q.invoke(numbered(2), ample)
	q.answered(echo(numbered(2)))
}

func checkBroken(s *session) {
	q := s.request()
	s.script.add("id-1", Act{Kind: Garble})
	q.invoke(numbered(1), ample)
	q.failed(remote.Broken)
	q.invoke(numbered(2), ample)
	q.answered(echo(numbered(2)))
}

func checkTooLarge(s *session) {
	large := toOrder
	large.Value = make([]byte, s.f.ReplyBytesMax)
	s.script.add("id-1", Act{Reply: &remote.Reply{Messages: []remote.Outgoing{large}}})
	q := s.request()
	q.invoke(numbered(1), ample)
	q.failed(remote.TooLarge)

	large.Value = large.Value[:s.f.ReplyBytesMax*9/10]
	reply := &remote.Reply{Messages: []remote.Outgoing{large}}
	s.script.add("id-2", Act{Reply: reply})
	q.invoke(numbered(2), ample)
	q.answered(reply)
}

func checkTimeout(s *session) {
	over := make(chan struct{})
	defer close(over)
	s.script.add("id-1", Act{Wait: over})
	q := s.request()
	q.invoke(numbered(1), soon)
	q.failed(remote.TimedOut)
	q.invoke(numbered(2), ample)
	q.answered(echo(numbered(2)))
}

func checkLate(s *session) {
	late, over := make(chan struct{}), make(chan struct{})
	s.script.add("id-1", Act{Wait: late})
	s.script.add("id-2", Act{Wait: over})
	q := s.request()
	q.invoke(numbered(1), soon)
	q.failed(remote.TimedOut)
	q.invoke(numbered(2), ample)
	for s.next().ID != numbered(2).ID {
	}
	close(late) // The first is answered while the second is under way.
	close(over)
	q.answered(echo(numbered(2)))
	q.invoke(numbered(3), ample)
	q.answered(echo(numbered(3)))
}

func checkMany(s *session) {
	requests := make([]*request, 8*s.f.Concurrency)
	for i := range requests {
		requests[i] = s.request()
		requests[i].invoke(numbered(i), ample)
	}
	for round := range 4 {
		for i, q := range requests {
			q.answered(echo(numbered(i + round)))
			q.invoke(numbered(i+round+1), ample)
		}
	}
	for i, q := range requests {
		q.answered(echo(numbered(i + 4)))
	}
	if n := s.script.concurrency(); n > s.f.Concurrency {
		s.t.Fatalf("%d requests at a time, want at most %d", n, s.f.Concurrency)
	}
}

func checkInvokeDoesNotWait(s *session) {
	over := make(chan struct{})
	var busy, waiting []*request
	for i := range s.f.Concurrency {
		s.script.add(numbered(i).ID, Act{Wait: over})
		q := s.request()
		busy = append(busy, q)
		q.invoke(numbered(i), ample)
	}
	for range busy {
		s.next()
	}
	for i := range 3 * s.f.Concurrency {
		q := s.request()
		waiting = append(waiting, q)
		q.invoke(numbered(1000+i), soon)
	}
	for _, q := range waiting {
		q.failed(remote.TimedOut)
	}
	// Their time was over while they waited. They can be used again, and wait again.
	for i, q := range waiting {
		q.invoke(numbered(2000+i), ample)
	}
	close(over)
	for i, q := range busy {
		q.answered(echo(numbered(i)))
	}
	for i, q := range waiting {
		q.answered(echo(numbered(2000 + i)))
	}
}

func checkDoneInvokes(s *session) {
	const times = 50
	q := s.request()
	n := 0
	var again func(err error)
	again = func(err error) {
		if n++; err != nil || n == times {
			q.ended <- err
			return
		}
		q.fill(numbered(n), ample)
		q.r.Begin(again)
		s.invoker.Invoke(q.r)
	}
	q.fill(numbered(0), ample)
	q.r.Begin(again)
	s.invoker.Invoke(q.r)
	q.answered(echo(numbered(times - 1)))
}

func checkClose(s *session) {
	over := make(chan struct{})
	var requests []*request
	for i := range 3 * s.f.Concurrency {
		s.script.add(numbered(i).ID, Act{Wait: over})
		q := s.request()
		requests = append(requests, q)
		q.invoke(numbered(i), ample)
	}
	for range s.f.Concurrency {
		s.next()
	}
	s.closed = true
	closed := make(chan error)
	go func() { closed <- s.invoker.Close(context.Background()) }()
	for _, q := range requests {
		q.failed(remote.Unreachable)
	}
	close(over) // What serves in this process cannot be stopped, but only be left alone.
	if err := <-closed; err != nil {
		s.t.Fatalf("Close: %v", err)
	}
}
