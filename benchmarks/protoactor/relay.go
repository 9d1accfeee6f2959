// SPDX-License-Identifier: Apache-2.0

package protoactor

import (
	"runtime"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/millrace-io/millrace/loadgen/keys"
)

// token is a message of the relay workload. It belongs to the actor that has received it, which sends
// the same token on.
type token struct{ left int }

// relay counts the tokens that come by and sends each on to the next id of its own walk over the ring.
type relay struct {
	n    int64
	ids  keys.Cursor
	pids *registry // Written once, before the first token.
	live *sync.WaitGroup
}

// Receive counts one hop.
func (r *relay) Receive(ctx actor.Context) {
	t, ok := ctx.Message().(*token)
	if !ok {
		return // Started, Stopped and their like.
	}
	r.n++
	t.left--
	if t.left == 0 {
		r.live.Done()
		return
	}
	ctx.Send((*r.pids)[r.ids.Next()], t)
}

// Relay lets the tokens of a load hop from key to key at random, each hop adding one to the counter of
// its key, and returns how many hops were executed in a second.
func Relay(l keys.Load) (perSecond float64, err error) {
	ring, err := keys.NewRing(l)
	if err != nil {
		return 0, err
	}
	var live sync.WaitGroup
	var pids registry
	relays := make([]relay, l.Keys)
	for k := range relays {
		first, _ := keys.Part(l.Messages, k, l.Keys)
		relays[k] = relay{ids: ring.Cursor(first), pids: &pids, live: &live}
	}
	system, pids, err := spawn(l.Keys, func(k int) actor.Actor { return &relays[k] })
	if err != nil {
		return 0, err
	}
	defer system.Shutdown()

	tokens, ids := make([]token, l.Tokens()), ring.Cursor(0)
	live.Add(len(tokens))
	runtime.GC() // What the preparation has left is not the run's.
	start := time.Now()
	for i := range tokens {
		_, tokens[i].left = keys.Part(l.Messages, i, len(tokens))
		system.Root.Send(pids[ids.Next()], &tokens[i])
	}
	live.Wait()
	seconds := time.Since(start).Seconds()
	return float64(l.Messages) / seconds, verify(relays, func(r *relay) int64 { return r.n }, l)
}
