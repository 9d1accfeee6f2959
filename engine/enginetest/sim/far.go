// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"context"
	"slices"
	"time"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/internal/driver"
	"github.com/millrace-io/millrace/engine/remote"
	"github.com/millrace-io/millrace/engine/statefun"
)

// Far is how functions elsewhere are run.
type Far struct {
	InFlightMax, MessagesMax, BytesMax int
	Call, RetryMost                    time.Duration
	// Hangs is how many turns the other end may stand still at a time; 0: it never does.
	Hangs int
}

func (f Far) policy(brokenMax int) remote.Policy {
	return remote.Policy{
		InFlightMax: f.InFlightMax, MessagesMax: f.MessagesMax, BytesMax: f.BytesMax,
		Call: f.Call, RetryFirst: time.Millisecond, RetryMost: f.RetryMost, BrokenMax: brokenMax,
	}
}

func drawFar(c Choices) Far {
	return Far{
		InFlightMax: pick(c, 64, 1, 2, 5), MessagesMax: pick(c, 1000, 1, 2, 5, -1), BytesMax: pick(c, 32<<20, 300_000),
		Call: pick(c, time.Minute, time.Millisecond, time.Second), RetryMost: pick(c, time.Millisecond, time.Second, 30*time.Second),
		Hangs: pick(c, 0, 20, 500),
	}
}

// far serves the functions that run elsewhere. A request goes from one place to the next:
//
//	Invoke ──► open ──the schedule──► run, answered: back ──the shard's turn──► takes effect, or not
//
// The shard takes replies at the beginning of its turn, as many as its pace allows, in the order in which
// they came back. So the model knows when one takes effect, though nobody says so.
type far struct {
	*run
	open  []*exchange
	back  [shardsMax][]*exchange
	known [shardsMax][len(kinds)]int // State values, by shard and kind.

	hung   int // Until that turn.
	ghosts []*exchange
}

// newFar returns the other end of the wire for a process. What the one before has asked for is still on its way:
// it comes back late, to nobody.
func newFar(r *run, before *far) *far {
	f := &far{run: r}
	if before != nil {
		f.ghosts = append(f.ghosts, before.open...)
	}
	return f
}

func (f *far) Open(context.Context) error  { return nil }
func (f *far) Close(context.Context) error { return nil }

// bindFar has the functions served that run elsewhere.
func (r *run) bindFar(b *engine.Binder) {
	for _, pattern := range endpoints {
		b.Endpoint(remote.Endpoint{Functions: pattern, Invoker: r.far, Policy: r.Case.Config.Far.policy(r.brokenMax())})
	}
}

// brokenMax is how many wrong answers in a row suspend an address.
func (r *run) brokenMax() int { return r.Case.Config.Retries + 1 }

// shardOf returns the shard of an id.
func (r *run) shardOf(id int) int {
	cfg := r.Case.Config
	return int(statefun.KeyGroupOf(statefun.KeyHash(ids[id]), cfg.KeyGroups)) * r.layout.Shards / cfg.KeyGroups
}

// Invoke implements remote.Invoker. Some requests are answered at once.
func (f *far) Invoke(r *remote.Request) {
	if f.dead {
		return
	}
	f.stats.Requests++
	ex := &exchange{run: f.run, request: r}
	if err := ex.begin(); err != nil {
		f.violate(err)
		return
	}
	f.open = append(f.open, ex)
	if f.struck(inRequest, "while a request is made") {
		return
	}
	if f.Case.Config.Far.Hangs == 0 && one(f.schedule, 8) {
		f.end(ex, false)
	}
}

// answer has the other end answer a request, if it does not stand still.
func (f *far) answer() {
	if n := len(f.ghosts); n > 0 {
		f.ghosts[n-1].request.Done(nil)
		f.ghosts = f.ghosts[:n-1]
	}
	if f.turns < f.hung {
		return
	}
	if hangs := f.Case.Config.Far.Hangs; hangs > 0 && one(f.schedule, 40) {
		f.hung = f.turns + f.schedule.IntN(hangs)
		return
	}
	if n := len(f.open); n > 0 {
		// A shard in the middle of its turn has said already how many replies it takes.
		if ex := f.open[f.schedule.IntN(n)]; !f.inTurn[ex.shard] {
			f.end(ex, false)
		}
	}
}

// answerAll answers all requests, and well.
func (f *far) answerAll() {
	for len(f.open) > 0 && !f.over() {
		f.end(f.open[0], true)
	}
}

func (f *far) end(ex *exchange, well bool) {
	f.open = slices.DeleteFunc(f.open, func(other *exchange) bool { return other == ex })
	f.back[ex.shard] = append(f.back[ex.shard], ex)
	ex.answer(well)
}

// taken lets those replies take effect that a shard takes in the turn which it is about to begin.
func (f *far) taken(shard int) {
	if f.isLate(shard) {
		return
	}
	epoch := max(f.app.Epoch(), f.app.Loops[shard].Epoch())
	for left := f.layout.Pace.Replies; left > 0 && len(f.back[shard]) > 0; {
		ex := f.back[shard][0]
		f.back[shard] = f.back[shard][1:]
		left -= driver.ReplyWeight(&ex.request.Reply)
		ex.settle(epoch)
	}
}

// idle reports whether no request is on its way.
func (f *far) idle() bool {
	return len(f.open) == 0 && !slices.ContainsFunc(f.back[:], func(back []*exchange) bool { return len(back) > 0 })
}
