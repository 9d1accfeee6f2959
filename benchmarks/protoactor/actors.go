// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/asynkron/protoactor-go/actor"

	"github.com/millrace-io/millrace/benchmarks/workload"
	"github.com/millrace-io/millrace/loadgen/keys"
)

// add is the message of the counter workload. It carries nothing.
type add struct{}

type adder struct{ workload.Adder }

// Receive counts one message.
func (a *adder) Receive(ctx actor.Context) {
	if _, ok := ctx.Message().(*add); ok {
		a.Add()
	}
}

// Counter implements [workload.System].
func (s *framework) Counter(n int, newAdder func(k int) workload.Adder) (produce func(keys.Cursor, int), executed func(k int) int64, err error) {
	adders := make([]adder, n)
	err = s.spawn(n, func(k int) actor.Actor {
		adders[k].Adder = newAdder(k)
		return &adders[k]
	})
	produce = func(ids keys.Cursor, count int) {
		message := new(add)
		for range count {
			s.system.Root.Send(s.pids[ids.Next()], message)
		}
	}
	return produce, func(k int) int64 { return adders[k].Executed }, err
}

// token is a message of the relay and the ring. It belongs to the actor that has received it, which sends the
// same token on.
type token struct{ left int }

type walker struct {
	workload.Walker
	system *framework
}

// Receive counts a token and sends it on.
func (w *walker) Receive(ctx actor.Context) {
	if t, ok := ctx.Message().(*token); ok {
		if next, ok := w.Visit(t.left); ok {
			t.left--
			ctx.Send(w.system.pids[next], t)
		}
	}
}

// Relay implements [workload.System].
func (s *framework) Relay(n int, newWalker func(k int) workload.Walker) (inject func(id string, left int), executed func(k int) int64, err error) {
	walkers := make([]walker, n)
	err = s.spawn(n, func(k int) actor.Actor {
		walkers[k] = walker{newWalker(k), s}
		return &walkers[k]
	})
	inject = func(id string, left int) { s.system.Root.Send(s.pids[id], &token{left}) }
	return inject, func(k int) int64 { return walkers[k].Executed }, err
}

type member struct {
	workload.Member
	next *actor.PID
}

// Receive counts the token and sends it on.
func (m *member) Receive(ctx actor.Context) {
	if t, ok := ctx.Message().(*token); ok && m.Visit(t.left) {
		t.left--
		ctx.Send(m.next, t)
	}
}

// Ring implements [workload.System].
func (s *framework) Ring(n int, newMember func() workload.Member) (inject func(left int), executed func(k int) int64, err error) {
	members := make([]member, n)
	err = s.spawn(n, func(k int) actor.Actor {
		members[k].Member = newMember()
		return &members[k]
	})
	for k := range members {
		members[k].next = s.pids[keys.ID((k+1)%n)]
	}
	inject = func(left int) { s.system.Root.Send(s.pids[keys.ID(0)], &token{left}) }
	return inject, func(k int) int64 { return members[k].Executed }, err
}
