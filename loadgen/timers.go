// SPDX-License-Identifier: Apache-2.0

package loadgen

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/loadgen/keys"
)

// timersEach is how many delayed messages an instance starts, or cancels, in one invocation: so many that what
// is measured is timers and not invocations.
const timersEach = 64

// When the delayed messages that are cancelled would have come due: long after the run, spread over a day.
const (
	farFrom   = time.Hour
	farSpread = 24 * time.Hour
)

// An owner starts delayed messages to the key with its id and keeps their tokens.
type owner interface {
	Start(*engine.Context, start) error
	Cancel(*engine.Context, int32) error // The message says nothing.
}

// A watch notices how long its shard is kept from messages: it sends itself one, over and over.
type watch interface {
	Look(*engine.Context, int32) error
} // The message says nothing.

// start tells an owner what to start.
type start struct {
	Count int64
	Due   int64 // In milliseconds of the Unix epoch; 0: far away, at random, to be cancelled.
	Stamp int64 // Of Due.
}

// tokens are those of one owner, zeros behind the last.
type tokens [timersEach]engine.Token

var (
	startType  = engine.Flat[start]("io.millrace.loadgen/start")
	tokensType = engine.Flat[tokens]("io.millrace.loadgen/tokens")

	ownerFunction = engine.Define[owner]("io.millrace.loadgen/owner")
	starts        = engine.Accept(ownerFunction, startType, owner.Start)
	cancels       = engine.Accept(ownerFunction, engine.Int32, owner.Cancel)

	watchFunction = engine.Define[watch]("io.millrace.loadgen/watch")
	looks         = engine.Accept(watchFunction, engine.Int32, watch.Look)

	startsIn  = engine.NewIngress("io.millrace.loadgen/starts", startType)
	cancelsIn = engine.NewIngress("io.millrace.loadgen/cancels", engine.Int32)
	looksIn   = engine.NewIngress("io.millrace.loadgen/looks", engine.Int32)
)

// timers is what only this workload has. Owners are numbered; those whose messages come due are the first.
type timers struct {
	soon, far, cancel, look *feed

	due      time.Time // Written before soon begins.
	ids      []string  // One for each shard, written before look begins.
	watching atomic.Bool
	watches  []*watchFn // Owned by the shards until the engine is closed.
}

// soonOwners is how many owners start what comes due, farOwners how many start the rest.
func (a *application) soonOwners() int { return (a.Load.Messages + timersEach - 1) / timersEach }

func (a *application) farOwners() int { return (a.farTimers() + timersEach - 1) / timersEach }

func (a *application) farTimers() int { return a.Load.Keys - a.Load.Messages }

func (a *application) timerFeeds() {
	soonOwners, farOwners := a.soonOwners(), a.farOwners()
	a.timers.soon = feedOwners(0, soonOwners, func(buf []byte, i int) []byte {
		buf, _ = startType.Append(buf, start{share(a.Load.Messages, i), a.timers.due.UnixMilli(), int64(a.timers.due.Sub(epochStart)) + 1})
		return buf
	})
	a.timers.far = feedOwners(soonOwners, farOwners, func(buf []byte, i int) []byte {
		buf, _ = startType.Append(buf, start{Count: share(a.farTimers(), i)})
		return buf
	})
	a.timers.cancel = feedOwners(soonOwners, farOwners, func([]byte, int) []byte { return nil })
	a.timers.look = newFeed(a.Shards, func(i int, into *connector.Events) { into.Append([]byte(a.timers.ids[i]), "", nil) })
}

// share is how many of all timers owner i has: as many as fit, the last one the rest.
func share(all, i int) int64 { return int64(min(timersEach, all-i*timersEach)) }

// feedOwners sends one message to each of count owners.
func feedOwners(first, count int, value func(buf []byte, i int) []byte) *feed {
	var id, buf []byte
	return newFeed(count, func(i int, into *connector.Events) {
		id, buf = keys.AppendID(id[:0], first+i), value(buf[:0], i)
		into.Append(id, "", buf)
	})
}

func (a *application) bindTimers(b *engine.Binder) {
	engine.Bind(b, ownerFunction, func(s *engine.Schema) owner {
		return &ownerFn{engine.NewValue(s, "tokens", tokensType), rand.New(rand.NewPCG(a.Load.Seed, a.Load.Seed))}
	})
	engine.Bind(b, watchFunction, func(*engine.Schema) watch {
		w := &watchFn{watching: &a.timers.watching, kept: newLatency()}
		a.timers.watches = append(a.timers.watches, w)
		return w
	})
	engine.RouteKey(b, startsIn, starts)
	engine.RouteKey(b, cancelsIn, cancels)
	engine.RouteKey(b, looksIn, looks)
	engine.Connect(b, startsIn, a.timers.soon)
	engine.Connect(b, startsIn, a.timers.far)
	engine.Connect(b, cancelsIn, a.timers.cancel)
	engine.Connect(b, looksIn, a.timers.look)
}

// ownerFn implements owner on one shard.
type ownerFn struct {
	tokens engine.Value[tokens]
	rand   *rand.Rand
}

// Start starts delayed messages. Of those that come due, the first says when it was to.
func (f *ownerFn) Start(ctx *engine.Context, s start) error {
	if s.Due != 0 {
		delay := max(0, time.UnixMilli(s.Due).Sub(ctx.Now()))
		adds.Same().SendAfter(ctx, delay, s.Stamp)
		for range s.Count - 1 {
			adds.Same().SendAfter(ctx, delay, 0)
		}
		return nil
	}
	kept := f.tokens.Edit(ctx)
	for i := range s.Count {
		kept[i] = adds.Same().SendAfter(ctx, farFrom+time.Duration(f.rand.Int64N(int64(farSpread))), 0)
	}
	return nil
}

// Cancel cancels all that the owner has started.
func (f *ownerFn) Cancel(ctx *engine.Context, _ int32) error {
	for i, t := range f.tokens.Edit(ctx) {
		if t != 0 && !ctx.Cancel(t) {
			return fmt.Errorf("token %d of %v cancels nothing", i, ctx.Self())
		}
	}
	f.tokens.Clear(ctx)
	return nil
}

// watchFn implements watch on one shard.
type watchFn struct {
	watching *atomic.Bool
	last     int64 // Stamp of the last look; 0: there was none.
	kept     latency
}

// Look notes how long ago it looked last. A message to itself takes its turn with all others, and nobody else's
// goroutine has to be scheduled for it.
func (w *watchFn) Look(ctx *engine.Context, _ int32) error {
	if w.last != 0 {
		w.kept.record(w.last)
	}
	w.last = stamp()
	if w.watching.Load() {
		looks.Same().Send(ctx, 0)
	}
	return nil
}
