// SPDX-License-Identifier: Apache-2.0

// Command goakt runs the workloads on github.com/tochemey/goakt, at the best settings that were found:
//
//   - One actor for each key, spawned before the clock starts, and found by its id in a plain map of PIDs that is
//     only read during the run.
//   - No passivation, which takes two goroutines for each actor, and one supervisor for all of them.
//   - The default mailbox, which is unbounded and lock-free.
//   - Actors send as their PID, with a context that has no values: ReceiveContext.Tell wraps the context of the
//     message that it answers, and a token that hops would carry one wrapping for each hop that it has made.
//   - Messages are pointers that exist before the run, so that the load itself allocates nothing. They have to be
//     protocol buffers, and are never encoded. Nothing is logged. The garbage collector is at its default, as
//     it is for the other programs.
package main

import (
	"context"
	"fmt"
	"runtime"

	actors "github.com/tochemey/goakt/v3/actor"
	"github.com/tochemey/goakt/v3/log"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/millrace-io/millrace/benchmarks/workload"
	"github.com/millrace-io/millrace/loadgen/keys"
)

func main() { workload.Main(workload.Runs(open)) }

// framework is an actor system and its actors by id.
type framework struct {
	system  actors.ActorSystem
	options []actors.SpawnOption
	pids    map[string]*actors.PID // Written by spawn alone.
}

// open starts an actor system.
func open(int) (workload.System, error) {
	system, err := actors.NewActorSystem("peer", actors.WithLogger(log.DiscardLogger), actors.WithPassivationDisabled())
	if err == nil {
		err = system.Start(context.Background())
	}
	if err != nil {
		return nil, fmt.Errorf("goakt: %w", err)
	}
	return &framework{system: system, options: []actors.SpawnOption{
		actors.WithLongLived(), actors.WithSupervisor(actors.NewSupervisor()),
	}}, nil
}

// Close does nothing: the system ends with the process. To stop a million actors takes it minutes.
func (s *framework) Close() {}

// spawn starts one actor for each key; receiver makes that of key number k. To start one takes a twentieth of a
// millisecond, and a million a minute: all processors share it.
func (s *framework) spawn(keyCount int, receiver func(k int) actors.Actor) error {
	started := make([]*actors.PID, keyCount)
	var group errgroup.Group
	parts := runtime.GOMAXPROCS(0)
	for part := range parts {
		group.Go(func() (err error) {
			first, count := keys.Part(keyCount, part, parts)
			for k := first; k < first+count && err == nil; k++ {
				started[k], err = s.start(keys.ID(k), receiver(k))
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	s.pids = make(map[string]*actors.PID, keyCount)
	for k, pid := range started {
		s.pids[keys.ID(k)] = pid
	}
	return nil
}

func (s *framework) start(id string, a actors.Actor) (*actors.PID, error) {
	pid, err := s.system.Spawn(context.Background(), id, a, s.options...)
	if err != nil {
		return nil, fmt.Errorf("goakt: spawn %s: %w", id, err)
	}
	return pid, nil
}

// hooks are what an actor has to have and these do not need.
type hooks struct{}

// PreStart does nothing.
func (hooks) PreStart(context.Context) error { return nil }

// PostStop does nothing.
func (hooks) PostStop(context.Context) error { return nil }

type adder struct {
	hooks
	workload.Adder
}

// Receive counts one message.
func (a *adder) Receive(ctx *actors.ReceiveContext) {
	if _, ok := ctx.Message().(*emptypb.Empty); ok {
		a.Add()
	}
}

// Counter implements [workload.System].
func (s *framework) Counter(n int, newAdder func(k int) workload.Adder) (produce func(keys.Cursor, int), executed func(k int) int64, err error) {
	adders := make([]adder, n)
	err = s.spawn(n, func(k int) actors.Actor {
		adders[k].Adder = newAdder(k)
		return &adders[k]
	})
	produce = func(ids keys.Cursor, count int) {
		ctx, message := context.Background(), new(emptypb.Empty)
		for range count {
			if err := actors.Tell(ctx, s.pids[ids.Next()], message); err != nil {
				panic(err)
			}
		}
	}
	return produce, func(k int) int64 { return adders[k].Executed }, err
}

// token is a message of the relay and the ring: how many visits it has yet to make. It belongs to the actor that
// has received it, which sends the same token on.
type token = wrapperspb.Int64Value

type walker struct {
	hooks
	workload.Walker
	system *framework
}

// Receive counts a token and sends it on.
func (w *walker) Receive(ctx *actors.ReceiveContext) {
	if t, ok := ctx.Message().(*token); ok {
		if next, ok := w.Visit(int(t.Value)); ok {
			t.Value--
			tell(ctx, w.system.pids[next], t)
		}
	}
}

func tell(from *actors.ReceiveContext, to *actors.PID, t *token) {
	if err := from.Self().Tell(context.Background(), to, t); err != nil {
		panic(err)
	}
}

// Relay implements [workload.System].
func (s *framework) Relay(n int, newWalker func(k int) workload.Walker) (inject func(id string, left int), executed func(k int) int64, err error) {
	walkers := make([]walker, n)
	err = s.spawn(n, func(k int) actors.Actor {
		walkers[k].Walker, walkers[k].system = newWalker(k), s
		return &walkers[k]
	})
	return s.inject, func(k int) int64 { return walkers[k].Executed }, err
}

func (s *framework) inject(id string, left int) {
	if err := actors.Tell(context.Background(), s.pids[id], wrapperspb.Int64(int64(left))); err != nil {
		panic(err)
	}
}

type member struct {
	hooks
	workload.Member
	next *actors.PID
}

// Receive counts the token and sends it on.
func (m *member) Receive(ctx *actors.ReceiveContext) {
	if t, ok := ctx.Message().(*token); ok && m.Visit(int(t.Value)) {
		t.Value--
		tell(ctx, m.next, t)
	}
}

// Ring implements [workload.System].
func (s *framework) Ring(n int, newMember func() workload.Member) (inject func(left int), executed func(k int) int64, err error) {
	members := make([]member, n)
	err = s.spawn(n, func(k int) actors.Actor {
		members[k].Member = newMember()
		return &members[k]
	})
	for k := range members {
		members[k].next = s.pids[keys.ID((k+1)%n)]
	}
	return func(left int) { s.inject(keys.ID(0), left) }, func(k int) int64 { return members[k].Executed }, err
}
