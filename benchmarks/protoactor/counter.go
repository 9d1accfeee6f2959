// SPDX-License-Identifier: Apache-2.0

package protoactor

import (
	"runtime"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/millrace-io/millrace/loadgen/keys"
)

// producers is how many goroutines send the load.
const producers = 2

// add is the message of the counter workload. It carries nothing.
type add struct{}

// adder counts the messages that its key gets. It knows how many that will be, so that the end of the
// run is noticed without a counter that all actors share.
type adder struct {
	n, want int64
	done    *sync.WaitGroup
}

// Receive counts one message.
func (a *adder) Receive(ctx actor.Context) {
	if _, ok := ctx.Message().(*add); !ok {
		return // Started, Stopped and their like.
	}
	a.n++
	if a.n == a.want {
		a.done.Done()
	}
}

// Counter sends the messages of a load, each of which adds one to the counter of its key, and returns
// how many were executed in a second.
func Counter(l keys.Load) (perSecond float64, err error) {
	ring, err := keys.NewRing(l)
	if err != nil {
		return 0, err
	}
	var done sync.WaitGroup
	adders := make([]adder, l.Keys)
	for k, want := range ring.Counts() {
		adders[k] = adder{want: want, done: &done}
		if want > 0 {
			done.Add(1)
		}
	}
	system, pids, err := spawn(l.Keys, func(k int) actor.Actor { return &adders[k] })
	if err != nil {
		return 0, err
	}
	defer system.Shutdown()

	runtime.GC() // What the preparation has left is not the run's.
	start := time.Now()
	for p := range producers {
		first, count := keys.Part(l.Messages, p, producers)
		ids, message := ring.Cursor(first), new(add)
		go func() {
			for range count {
				system.Root.Send(pids[ids.Next()], message)
			}
		}()
	}
	done.Wait()
	seconds := time.Since(start).Seconds()
	return float64(l.Messages) / seconds, verify(adders, func(a *adder) int64 { return a.n }, l)
}
