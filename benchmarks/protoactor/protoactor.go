// SPDX-License-Identifier: Apache-2.0

// Command protoactor runs the workloads on github.com/asynkron/protoactor-go, at the best settings that
// were found:
//
//   - One actor for each key, spawned before the clock starts, and found by its id in a plain map of
//     PIDs that is only read during the run. A PID that is kept remembers its process; one that is made
//     for each message looks it up in the process registry, hashed twice and locked.
//   - The default mailbox up to some thousand keys, and the lock-free one beyond: it is smaller, and slower
//     only where senders compete for it. A bounded one makes actors that send to each other wait for each
//     other.
//   - A dispatcher of a few goroutines, see [pool], instead of the default, which starts a goroutine
//     whenever a mailbox is no longer empty: up to five times as fast in a relay.
//   - Messages are pointers that exist before the run, so that the load itself allocates nothing.
//   - Nothing is logged, and there is no middleware. The garbage collector is at its default, as it is for
//     the other programs.
package main

import (
	"fmt"
	"log/slog"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/millrace-io/millrace/benchmarks/workload"
	"github.com/millrace-io/millrace/loadgen/keys"
)

// lockFreeAbove is up to how many keys actors get enough messages at a time for the default mailbox.
const lockFreeAbove = 10_000

func main() { workload.Main(workload.Runs(open)) }

// framework is an actor system and its actors by id.
type framework struct {
	system  *actor.ActorSystem
	options []actor.PropsOption
	pids    map[string]*actor.PID // Written by spawn alone.
}

// open starts an actor system for so many actors.
func open(keyCount int) (workload.System, error) {
	s := &framework{
		system: actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
			return slog.New(slog.DiscardHandler)
		})),
		options: []actor.PropsOption{actor.WithDispatcher(newPool(keyCount))},
	}
	if keyCount > lockFreeAbove {
		s.options = append(s.options, actor.WithMailbox(actor.UnboundedLockfree()))
	}
	return s, nil
}

// Close stops the system.
func (s *framework) Close() { s.system.Shutdown() }

// spawn starts one actor for each key; receiver makes that of key number k.
func (s *framework) spawn(keyCount int, receiver func(k int) actor.Actor) error {
	s.pids = make(map[string]*actor.PID, keyCount)
	for k := range keyCount {
		id := keys.ID(k)
		pid, err := s.system.Root.SpawnNamed(s.props(receiver(k)), id)
		if err != nil {
			return fmt.Errorf("protoactor: spawn %s: %w", id, err)
		}
		s.pids[id] = pid
	}
	return nil
}

func (s *framework) props(a actor.Actor) *actor.Props {
	return actor.PropsFromProducer(func() actor.Actor { return a }, s.options...)
}
