// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"context"
	"errors"
	"slices"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/internal/clock"
)

// anyOrder has everybody take turns as the schedule decides, until nothing is left to do or the turns
// are used up: what is left then is for heal.
func (r *run) anyOrder() {
	for turns := 2 * r.Case.Program.Messages() * r.Case.Config.Shards; r.turns < turns && r.violation == nil && !r.drained(); {
		r.turn()
	}
}

// turn lets one actor take a turn.
func (r *run) turn() {
	r.turns++
	t := r.Case.Config.Turns
	actors := [...]struct {
		weight int
		turn   func()
	}{
		{t.Loops, r.loop},
		{t.Sources, r.pump},
		{t.Doors, r.enter},
		{t.Epochs, r.cut},
		{t.Sinks, r.publish},
		{t.Resumes, r.resume},
		{t.Settles, r.settle},
		{t.Time, r.pass},
		{t.Far, r.far.answer},
	}
	all := 0
	for _, a := range actors {
		all += a.weight
	}
	n := r.schedule.IntN(all)
	r.trace.add(uint64(n))
	for _, a := range actors {
		if n -= a.weight; n < 0 {
			a.turn()
			return
		}
	}
}

func (r *run) loop() {
	i := r.schedule.IntN(len(r.app.Loops))
	if i != r.Case.Config.Laggard || one(r.schedule, 30) {
		r.turnLoop(i)
	}
}

// turnLoop gives a shard its turn, unless it is in the middle of one.
func (r *run) turnLoop(i int) (busy bool) {
	if r.inTurn[i] {
		return false
	}
	r.far.taken(i)
	r.inTurn[i] = true
	defer func() { r.inTurn[i] = false }()
	return r.app.Loops[i].Turn(r.clock.Now())
}

// interrupt has others take a few turns in the middle of an invocation, as on a machine with more than
// one processor: so an epoch is announced, and batches of it arrive, while a shard is in its turn.
func (r *run) interrupt() {
	if one(r.schedule, 20) {
		r.meanwhile()
	}
}

// meanwhile has others take a few turns in the middle of one that is not over.
func (r *run) meanwhile() {
	if r.interrupted {
		return
	}
	r.interrupted = true
	defer func() { r.interrupted = false }()
	for range 1 + r.schedule.IntN(6) {
		pick(r.schedule, r.loop, r.cut, r.loop, r.pump, r.loop, r.publish, r.enter, r.far.answer)()
	}
}

func (r *run) pump() {
	if len(r.sources) > 0 {
		r.app.Pumps[r.schedule.IntN(len(r.sources))].Turn(context.Background())
	}
}

func (r *run) cut() {
	every := r.Case.Config.CutEvery
	r.epoch(every > 0 && one(r.schedule, every))
}

func (r *run) epoch(begin bool) {
	if r.inEpochs {
		return
	}
	r.inEpochs = true
	defer func() { r.inEpochs = false }()
	if _, err := r.app.Epochs.Turn(context.Background(), begin); err != nil {
		r.violate(err)
	}
}

// publish lets one way out take its turn, and a sink confirm a record.
func (r *run) publish() {
	i := r.schedule.IntN(len(r.sinks))
	if s := r.sinks[i]; len(s.open) > 0 {
		s.confirm(r.schedule.IntN(len(s.open)))
	}
	r.app.Drains[i].Turn()
}

// resume resumes a suspended address, or, now and then, one that is not; or skips what it is suspended for.
func (r *run) resume() {
	list := append(r.suspended(), address{0, 0})
	a := list[r.schedule.IntN(len(list))]
	if inst := r.model.instances[a]; inst != nil && inst.suspended && inst.blocked.plan.size(true) == 1 && one(r.schedule, 3) {
		r.skip(a, inst)
		return
	}
	r.resumeAddress(a)
}

// skip has an address give up the message that it is suspended for, and go on at once.
func (r *run) skip(a address, inst *instance) {
	r.settle() // Requests to resume would come first.
	if !inst.suspended || inst.pardon || r.app.Engine.(*engine.Engine).Skip(atOnce(), a.address()) != nil {
		return
	}
	r.logf("skip    %v", inst.blocked)
	inst.skip = true
	r.settle()
	if inst.skip {
		r.model.skipped(inst) // Nothing waited behind it.
	}
}

// suspended lists the suspended addresses in an order that is always the same.
func (r *run) suspended() (list []address) {
	for a, inst := range r.model.instances {
		if inst.suspended {
			list = append(list, a)
		}
	}
	slices.SortFunc(list, func(a, b address) int { return (a.kind-b.kind)*len(ids) + a.id - b.id })
	return list
}

func (r *run) resumeAddress(a address) {
	if err := r.app.Engine.(*engine.Engine).Resume(atOnce(), a.address()); err == nil {
		r.model.instance(a, len(r.slots[a.kind])).resumes++
		r.resumed = append(r.resumed, a)
	}
}

// atOnce is for calls that wait while an inbox is full; here they give up.
func atOnce() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// passesMax is far more than any program can keep the shards busy for.
const passesMax = 1_000_000

// settle has all shards take turns until nothing moves between them.
func (r *run) settle() {
	passes := 0
	for busy := true; busy && r.violation == nil; passes++ {
		busy = false
		for i := range r.app.Loops {
			busy = r.turnLoop(i) || busy
		}
		if passes == passesMax {
			r.violate(errors.New("progress: shards stay busy though nothing comes in"))
		}
	}
	for _, a := range r.resumed { // All these requests have been taken.
		inst := r.model.instances[a]
		// One of this process has run since; a request to elsewhere may still wait for its turn.
		inst.pardon = kinds[a.kind].far && inst.suspended && (inst.pardon || inst.resumes > 0)
		inst.resumes = 0
	}
	r.resumed = r.resumed[:0]
}

// pass lets time pass.
func (r *run) pass() {
	if jumps := r.Case.Config.Jumps; jumps > 0 {
		r.advance(clock.Instant(1 + r.schedule.IntN(jumps)))
		return
	}
	r.settle()
	d := clock.Instant(1 + r.schedule.IntN(200))
	if due, ok := r.model.nextDue(r.clock.Now()); ok {
		d = min(d, due-r.clock.Now())
	}
	r.advance(d)
}

func (r *run) advance(d clock.Instant) {
	r.clock.Advance(d)
	r.logf("time    %d", r.clock.Now())
}
