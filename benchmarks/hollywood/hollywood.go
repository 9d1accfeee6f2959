// SPDX-License-Identifier: Apache-2.0

// Command hollywood runs the workloads on github.com/anthdm/hollywood, at the best settings that were found:
//
//   - One actor for each key, spawned before the clock starts, and found by its id in a plain map of PIDs that
//     is only read during the run. A PID that is made for each message has to be allocated, name included.
//   - Inboxes with room for two messages where there are many actors: the default of 1,024 is 24 KiB each. They
//     grow when they have to. With few actors they begin at the default.
//   - Messages are pointers that exist before the run, so that the load itself allocates nothing. There is no
//     middleware. The garbage collector is at its default, as it is for the other programs.
package main

import (
	"github.com/anthdm/hollywood/actor"

	"github.com/millrace-io/millrace/benchmarks/workload"
	"github.com/millrace-io/millrace/loadgen/keys"
)

// smallAbove is up to how many actors inboxes have the framework's default size, in 24 MB altogether.
const smallAbove = 1000

func main() { workload.Main(workload.Runs(open)) }

// framework is an engine and its actors by id.
type framework struct {
	engine  *actor.Engine
	options []actor.OptFunc
	pids    map[string]*actor.PID // Written by spawn alone.
}

// open starts an engine for so many actors.
func open(keyCount int) (workload.System, error) {
	engine, err := actor.NewEngine(actor.NewEngineConfig())
	if err != nil {
		return nil, err
	}
	s := &framework{engine: engine}
	if keyCount > smallAbove {
		s.options = []actor.OptFunc{actor.WithInboxSize(2)}
	}
	return s, nil
}

// Close does nothing: an engine is its actors, and ends with the process.
func (s *framework) Close() {}

// spawn starts one actor for each key; receiver makes that of key number k.
func (s *framework) spawn(keyCount int, receiver func(k int) actor.Receiver) {
	s.pids = make(map[string]*actor.PID, keyCount)
	for k := range keyCount {
		id := keys.ID(k)
		s.pids[id] = s.start(id, receiver(k))
	}
}

func (s *framework) start(id string, r actor.Receiver) *actor.PID {
	return s.engine.Spawn(func() actor.Receiver { return r }, "key", append([]actor.OptFunc{actor.WithID(id)}, s.options...)...)
}

// add is the message of the counter workload. It carries nothing.
type add struct{}

type adder struct{ workload.Adder }

// Receive counts one message.
func (a *adder) Receive(ctx *actor.Context) {
	if _, ok := ctx.Message().(*add); ok {
		a.Add()
	}
}

// Counter implements [workload.System].
func (s *framework) Counter(n int, newAdder func(k int) workload.Adder) (produce func(keys.Cursor, int), executed func(k int) int64, err error) {
	adders := make([]adder, n)
	s.spawn(n, func(k int) actor.Receiver {
		adders[k].Adder = newAdder(k)
		return &adders[k]
	})
	produce = func(ids keys.Cursor, count int) {
		message := new(add)
		for range count {
			s.engine.Send(s.pids[ids.Next()], message)
		}
	}
	return produce, func(k int) int64 { return adders[k].Executed }, nil
}

// token is a message of the relay and the ring. It belongs to the actor that has received it, which sends the
// same token on.
type token struct{ left int }

type walker struct {
	workload.Walker
	system *framework
}

// Receive counts a token and sends it on.
func (w *walker) Receive(ctx *actor.Context) {
	if t, ok := ctx.Message().(*token); ok {
		if next, ok := w.Visit(t.left); ok {
			t.left--
			w.system.engine.Send(w.system.pids[next], t)
		}
	}
}

// Relay implements [workload.System].
func (s *framework) Relay(n int, newWalker func(k int) workload.Walker) (inject func(id string, left int), executed func(k int) int64, err error) {
	walkers := make([]walker, n)
	s.spawn(n, func(k int) actor.Receiver {
		walkers[k] = walker{newWalker(k), s}
		return &walkers[k]
	})
	inject = func(id string, left int) { s.engine.Send(s.pids[id], &token{left}) }
	return inject, func(k int) int64 { return walkers[k].Executed }, nil
}

type member struct {
	workload.Member
	next *actor.PID
}

// Receive counts the token and sends it on.
func (m *member) Receive(ctx *actor.Context) {
	if t, ok := ctx.Message().(*token); ok && m.Visit(t.left) {
		t.left--
		ctx.Engine().Send(m.next, t)
	}
}

// Ring implements [workload.System].
func (s *framework) Ring(n int, newMember func() workload.Member) (inject func(left int), executed func(k int) int64, err error) {
	members := make([]member, n)
	s.spawn(n, func(k int) actor.Receiver {
		members[k].Member = newMember()
		return &members[k]
	})
	for k := range members {
		members[k].next = s.pids[keys.ID((k+1)%n)]
	}
	inject = func(left int) { s.engine.Send(s.pids[keys.ID(0)], &token{left}) }
	return inject, func(k int) int64 { return members[k].Executed }, nil
}
