// SPDX-License-Identifier: Apache-2.0

// Package workload runs the workloads of the comparison on actor frameworks: it makes the load, keeps the time
// and checks that every message was executed. A framework brings its actors, a [System], which embed what is
// counted here and do the sending themselves, so that nothing of this package stands between two messages.
//
// A workload is given a [keys.Load] and returns what is compared: executed messages a second; for [Skynet] actors
// a second; for [Memory] the bytes of an actor.
package workload

import (
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/millrace-io/millrace/loadgen/keys"
)

// The names of the workloads, which are those of loadgen engine.
const (
	Counter  = "counter"  // Messages from outside, each of which adds one to the counter of its key.
	Relay    = "relay"    // Tokens that hop from key to random key.
	PingPong = "pingpong" // One token between two actors.
	Ring     = "ring"     // One token around a ring of as many actors as there are keys.
	Skynet   = "skynet"   // A tree of actors that is made, ten below each, and added up; the keys are its leaves.
	Memory   = "memory"   // As many idle actors as there are keys, after one message each.
)

// Run runs a workload once.
type Run func(keys.Load) (value float64, err error)

// System is an actor framework that is ready to run one workload.
type System interface {
	// Counter starts n actors, of which actor number k is found by the id keys.ID(k), holds adder(k), and calls
	// its Add for each message. produce sends a message to each of the next ids; it is called on several
	// goroutines. executed is how often actor k has called Add, when all have come to rest.
	Counter(n int, adder func(k int) Adder) (produce func(ids keys.Cursor, count int), executed func(k int) int64, err error)
	// Relay starts n actors in the same way, that pass tokens on as Walker.Visit says. inject sends a token to
	// an id from outside.
	Relay(n int, walker func(k int) Walker) (inject func(id string, left int), executed func(k int) int64, err error)
	// Ring starts n actors, of which each knows the next one, that pass a token on as Member.Visit says. inject
	// sends a token to the first from outside.
	Ring(n int, member func() Member) (inject func(left int), executed func(k int) int64, err error)
	// Skynet starts the root of a tree, whose actors start those below them, and add up what they report. The
	// root calls done with the sum.
	Skynet(root Node, done func(sum int64)) error
	// Close stops the system.
	Close()
}

// Runs are the workloads on the systems that open makes.
func Runs(open func(keyCount int) (System, error)) map[string]Run {
	on := func(f func(System, keys.Load) (float64, error)) Run {
		return func(l keys.Load) (float64, error) {
			s, err := open(l.Keys)
			if err != nil {
				return 0, err
			}
			defer s.Close()
			return f(s, l)
		}
	}
	return map[string]Run{
		Counter: on(counter), Relay: on(relay), PingPong: on(ring), Ring: on(ring), Skynet: on(skynet), Memory: on(memory),
	}
}

// producers is how many goroutines send a load.
const producers = 2

// Adder counts the messages of one key. It knows how many that will be, so that the end of the run is noticed
// without a counter that all actors share. The done group waits for all of them.
type Adder struct {
	Executed int64
	want     int64
	done     *sync.WaitGroup
}

// Add counts one message.
func (a *Adder) Add() {
	a.Executed++
	if a.Executed == a.want {
		a.done.Done()
	}
}

func counter(s System, l keys.Load) (perSecond float64, err error) {
	ring, err := keys.NewRing(l)
	if err != nil {
		return 0, err
	}
	var done sync.WaitGroup
	produce, executed, err := s.Counter(l.Keys, adders(ring, &done))
	if err != nil {
		return 0, err
	}
	runtime.GC() // What the preparation has left is not the run's.
	start := time.Now()
	for p := range producers {
		first, count := keys.Part(l.Messages, p, producers)
		go produce(ring.Cursor(first), count)
	}
	done.Wait()
	return float64(l.Messages) / time.Since(start).Seconds(), verify(l.Keys, executed, l.Messages)
}

// adders makes the adder of each key, and adds to done those that get a message.
func adders(ring *keys.Ring, done *sync.WaitGroup) func(k int) Adder {
	counts := ring.Counts()
	for _, want := range counts {
		if want > 0 {
			done.Add(1)
		}
	}
	return func(k int) Adder { return Adder{want: counts[k], done: done} }
}

// Walker counts the tokens that come by one key, and draws where they go next from its own walk over the ring.
type Walker struct {
	Executed int64
	ids      keys.Cursor
	live     *sync.WaitGroup
}

// Visit counts a token that has yet to visit left keys, this one included; ok is false when it was its last.
func (w *Walker) Visit(left int) (next string, ok bool) {
	w.Executed++
	if left == 1 {
		w.live.Done()
		return "", false
	}
	return w.ids.Next(), true
}

func relay(s System, l keys.Load) (perSecond float64, err error) {
	ring, err := keys.NewRing(l)
	if err != nil {
		return 0, err
	}
	var live sync.WaitGroup
	inject, executed, err := s.Relay(l.Keys, func(k int) Walker {
		first, _ := keys.Part(l.Messages, k, l.Keys)
		return Walker{ids: ring.Cursor(first), live: &live}
	})
	if err != nil {
		return 0, err
	}
	tokens, ids := l.Tokens(), ring.Cursor(0)
	live.Add(tokens)
	runtime.GC() // What the preparation has left is not the run's.
	start := time.Now()
	for i := range tokens {
		_, left := keys.Part(l.Messages, i, tokens)
		inject(ids.Next(), left)
	}
	live.Wait()
	return float64(l.Messages) / time.Since(start).Seconds(), verify(l.Keys, executed, l.Messages)
}

// verify reports why the messages that n actors have executed are not those that were sent, or nil.
func verify(n int, executed func(k int) int64, messages int) error {
	var sum int64
	for k := range n {
		sum += executed(k)
	}
	if sum != int64(messages) {
		return fmt.Errorf("%d messages were executed, %d were sent", sum, messages)
	}
	return nil
}
