// SPDX-License-Identifier: Apache-2.0

package remotetest

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/remote"
	"github.com/millrace-io/millrace/engine/statefun"
)

const (
	// soon is the time for a request that is to run out of it.
	soon = 20 * time.Millisecond
	// ample is the time for one that is not.
	ample = time.Minute
)

// patience is how long the suite waits for what must come.
var patience = 30 * time.Second

// session is one invoker with what is behind it.
type session struct {
	t       testing.TB
	f       Factory
	script  *Script
	invoker remote.Invoker
	closed  bool
}

func (s *session) close() {
	s.t.Helper()
	if s.closed {
		return
	}
	s.closed = true
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	if err := s.invoker.Close(ctx); err != nil {
		s.t.Fatalf("Close: %v", err)
	}
}

// request is a request as the engine has it.
type request struct {
	s     *session
	r     *remote.Request
	ended chan error
}

func (s *session) request() *request {
	return &request{s: s, r: &remote.Request{}, ended: make(chan error, 1)}
}

// invoke sends what seen is to look like.
func (q *request) invoke(seen Seen, timeout time.Duration) {
	q.fill(seen, timeout)
	q.r.Begin(func(err error) { q.ended <- err })
	q.s.invoker.Invoke(q.r)
}

// fill copies, so that spoil spoils nothing else.
func (q *request) fill(seen Seen, timeout time.Duration) {
	r := q.r
	r.Target, r.ID, r.Attempt, r.Timeout = seen.Target, []byte(seen.ID), 1, timeout
	r.State, r.Messages = nil, nil
	for _, v := range seen.State {
		v.Value = clone(v.Value)
		r.State = append(r.State, v)
	}
	for _, m := range seen.Messages {
		m.CallerID, m.Typename, m.Value = clone(m.CallerID), clone(m.Typename), clone(m.Value)
		r.Messages = append(r.Messages, m)
	}
}

// wait returns what the request has ended with. What was borrowed is the engine's again, which uses it for
// something else at once.
func (q *request) wait() error {
	q.s.t.Helper()
	select {
	case err := <-q.ended:
		q.spoil()
		return err
	case <-time.After(patience):
		q.s.t.Fatalf("the request has not ended after %v", patience)
		return nil
	}
}

func (q *request) spoil() {
	spoil := func(b []byte) {
		for i := range b {
			b[i] = 0xee
		}
	}
	spoil(q.r.ID)
	for i := range q.r.State {
		spoil(q.r.State[i].Value)
		q.r.State[i] = remote.State{Name: "spoilt"}
	}
	for i := range q.r.Messages {
		m := &q.r.Messages[i]
		spoil(m.CallerID)
		spoil(m.Typename)
		spoil(m.Value)
		*m = remote.Message{Typename: []byte("spoilt")}
	}
	q.r.Target, q.r.Timeout = statefun.FunctionType{Namespace: "spoilt", Name: "spoilt"}, 0
}

// answered waits for a reply, which must be want.
func (q *request) answered(want *remote.Reply) {
	q.s.t.Helper()
	if err := q.wait(); err != nil {
		q.s.t.Fatalf("ended with %v, want a reply", err)
	}
	if q.r.Reply.Bytes <= 0 {
		q.s.t.Fatalf("the reply has %d bytes", q.r.Reply.Bytes)
	}
	got, w := comparable(&q.r.Reply), comparable(want)
	if !reflect.DeepEqual(got, w) {
		q.s.t.Fatalf("the reply is\n%+v, want\n%+v", got, w)
	}
}

// failed waits for a failure, which must be for a reason.
func (q *request) failed(want remote.Reason) *remote.Error {
	q.s.t.Helper()
	err := q.wait()
	var e *remote.Error
	if !errors.As(err, &e) {
		q.s.t.Fatalf("ended with %v (%T), want a *remote.Error", err, err)
	}
	if e.Reason != want {
		q.s.t.Fatalf("ended with %v, want %v", err, want)
	}
	if e.Endpoint == "" {
		q.s.t.Fatalf("the error does not say where the request was sent to: %v", err)
	}
	return e
}

// next waits for the next request to arrive.
func (s *session) next() Seen {
	s.t.Helper()
	select {
	case seen := <-s.script.arrived:
		return seen
	case <-time.After(patience):
		s.t.Fatalf("no request has arrived after %v", patience)
		return Seen{}
	}
}

// comparable makes a reply one that can be compared: nil and empty are the same, and the size depends on
// the protocol.
func comparable(r *remote.Reply) *remote.Reply {
	c := &remote.Reply{Incomplete: r.Incomplete}
	c.Missing = append(c.Missing, r.Missing...)
	for _, m := range r.Messages {
		c.Messages = append(c.Messages, outgoing(m))
	}
	for _, d := range r.Delayed {
		d.Token, d.Outgoing = clone(d.Token), outgoing(d.Outgoing)
		c.Delayed = append(c.Delayed, d)
	}
	for _, e := range r.Egress {
		e.Namespace, e.Name, e.Payload = clone(e.Namespace), clone(e.Name), payload(e.Payload)
		c.Egress = append(c.Egress, e)
	}
	for _, m := range r.Mutations {
		m.Name, m.Payload = clone(m.Name), payload(m.Payload)
		c.Mutations = append(c.Mutations, m)
	}
	return c
}

func outgoing(m remote.Outgoing) remote.Outgoing {
	m.Namespace, m.Name, m.ID = clone(m.Namespace), clone(m.Name), clone(m.ID)
	m.Payload = payload(m.Payload)
	return m
}

func payload(p remote.Payload) remote.Payload {
	p.Typename, p.Value = clone(p.Typename), clone(p.Value)
	return p
}

func clone(b []byte) []byte { return append([]byte{}, b...) }
