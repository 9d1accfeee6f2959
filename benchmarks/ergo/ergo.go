// SPDX-License-Identifier: Apache-2.0

// Command ergo runs the workloads on ergo.services/ergo, at the best settings that were found:
//
//   - One process for each key, spawned before the clock starts, and found by its id in a plain map of PIDs that
//     is only read during the run: sending to a PID is faster than sending to a registered name. From outside
//     the PIDs are kept as interface values, because node.Send takes one and would allocate it.
//   - Unlimited mailboxes, which are the default: with a limit a send fails instead of waiting.
//   - Messages are pointers that exist before the run, so that the load itself allocates nothing. Nothing is
//     logged, and there is no network. The garbage collector is at its default, as it is for the other programs.
package main

import (
	"fmt"

	"ergo.services/ergo"
	"ergo.services/ergo/act"
	"ergo.services/ergo/gen"

	"github.com/millrace-io/millrace/benchmarks/workload"
	"github.com/millrace-io/millrace/loadgen/keys"
)

func main() { workload.Main(workload.Runs(open)) }

// framework is a node and its processes by id.
type framework struct {
	node gen.Node
	pids map[string]gen.PID // Written by spawn alone.
}

// open starts a node.
func open(int) (workload.System, error) {
	var options gen.NodeOptions
	options.Network.Mode = gen.NetworkModeDisabled
	options.Log.DefaultLogger.Disable = true
	options.Log.Level = gen.LogLevelDisabled
	node, err := ergo.StartNode("peer@localhost", options)
	if err != nil {
		return nil, fmt.Errorf("ergo: %w", err)
	}
	return &framework{node: node}, nil
}

// Close stops the node, which does not wait for its processes.
func (s *framework) Close() { s.node.StopForce() }

// spawn starts one process for each key; behavior makes that of key number k.
func (s *framework) spawn(keyCount int, behavior func(k int) gen.ProcessBehavior) error {
	s.pids = make(map[string]gen.PID, keyCount)
	for k := range keyCount {
		pid, err := s.node.Spawn(func() gen.ProcessBehavior { return behavior(k) }, gen.ProcessOptions{})
		if err != nil {
			return fmt.Errorf("ergo: spawn %d: %w", k, err)
		}
		s.pids[keys.ID(k)] = pid
	}
	return nil
}

// add is the message of the counter workload. It carries nothing.
type add struct{}

type adder struct {
	act.Actor
	workload.Adder
}

// HandleMessage counts one message.
func (a *adder) HandleMessage(gen.PID, any) error {
	a.Add()
	return nil
}

// Counter implements [workload.System].
func (s *framework) Counter(n int, newAdder func(k int) workload.Adder) (produce func(keys.Cursor, int), executed func(k int) int64, err error) {
	adders := make([]adder, n)
	err = s.spawn(n, func(k int) gen.ProcessBehavior {
		adders[k].Adder = newAdder(k)
		return &adders[k]
	})
	boxed := make(map[string]any, n)
	for id, pid := range s.pids {
		boxed[id] = pid
	}
	s.pids = nil
	produce = func(ids keys.Cursor, count int) {
		message := new(add)
		for range count {
			if err := s.node.Send(boxed[ids.Next()], message); err != nil {
				panic(err)
			}
		}
	}
	return produce, func(k int) int64 { return adders[k].Executed }, err
}

// token is a message of the relay and the ring. It belongs to the actor that has received it, which sends the
// same token on.
type token struct{ left int }

type walker struct {
	act.Actor
	workload.Walker
	system *framework
}

// HandleMessage counts a token and sends it on.
func (w *walker) HandleMessage(_ gen.PID, message any) error {
	t := message.(*token)
	if next, ok := w.Visit(t.left); ok {
		t.left--
		return w.SendPID(w.system.pids[next], t)
	}
	return nil
}

// Relay implements [workload.System].
func (s *framework) Relay(n int, newWalker func(k int) workload.Walker) (inject func(id string, left int), executed func(k int) int64, err error) {
	walkers := make([]walker, n)
	err = s.spawn(n, func(k int) gen.ProcessBehavior {
		walkers[k].Walker, walkers[k].system = newWalker(k), s
		return &walkers[k]
	})
	return s.inject, func(k int) int64 { return walkers[k].Executed }, err
}

func (s *framework) inject(id string, left int) {
	if err := s.node.Send(s.pids[id], &token{left}); err != nil {
		panic(err)
	}
}

type member struct {
	act.Actor
	workload.Member
	next gen.PID
}

// HandleMessage counts the token and sends it on.
func (m *member) HandleMessage(_ gen.PID, message any) error {
	t := message.(*token)
	if m.Visit(t.left) {
		t.left--
		return m.SendPID(m.next, t)
	}
	return nil
}

// Ring implements [workload.System].
func (s *framework) Ring(n int, newMember func() workload.Member) (inject func(left int), executed func(k int) int64, err error) {
	members := make([]member, n)
	err = s.spawn(n, func(k int) gen.ProcessBehavior {
		members[k].Member = newMember()
		return &members[k]
	})
	for k := range members {
		members[k].next = s.pids[keys.ID((k+1)%n)]
	}
	return func(left int) { s.inject(keys.ID(0), left) }, func(k int) int64 { return members[k].Executed }, err
}
