// SPDX-License-Identifier: Apache-2.0

// Package protoactor runs the workloads on github.com/asynkron/protoactor-go, at the best settings that
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
package protoactor

import (
	"fmt"
	"log/slog"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/millrace-io/millrace/loadgen/keys"
)

// registry finds the actor of an id.
type registry map[string]*actor.PID

// lockFreeAbove is up to how many keys actors get enough messages at a time for the default mailbox.
const lockFreeAbove = 10_000

// spawn starts a system with one actor for each key; newActor makes that of key number k.
func spawn(keyCount int, newActor func(k int) actor.Actor) (*actor.ActorSystem, registry, error) {
	system := actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(slog.DiscardHandler)
	}))
	options := []actor.PropsOption{actor.WithDispatcher(newPool(keyCount))}
	if keyCount > lockFreeAbove {
		options = append(options, actor.WithMailbox(actor.UnboundedLockfree()))
	}
	pids := make(registry, keyCount)
	for k := range keyCount {
		id := keys.ID(k)
		props := actor.PropsFromProducer(func() actor.Actor { return newActor(k) }, options...)
		pid, err := system.Root.SpawnNamed(props, id)
		if err != nil {
			return nil, nil, fmt.Errorf("protoactor: spawn %s: %w", id, err)
		}
		pids[id] = pid
	}
	return system, pids, nil
}

// verify reports why the counters do not add up to the messages of the load, or nil.
func verify[A any](actors []A, count func(*A) int64, l keys.Load) error {
	var sum int64
	for i := range actors {
		sum += count(&actors[i])
	}
	if sum != int64(l.Messages) {
		return fmt.Errorf("protoactor: the counters add up to %d, %d messages were sent", sum, l.Messages)
	}
	return nil
}
