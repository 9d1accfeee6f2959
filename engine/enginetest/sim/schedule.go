// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"context"
	"errors"

	"github.com/millrace-io/millrace/engine/internal/clock"
)

// anyOrder has everybody take turns as the schedule decides, until nothing is left to do or the turns
// are used up: what is left then is for heal.
func (r *run) anyOrder() {
	for turns := 2 * r.Case.Program.Messages() * r.Case.Config.Shards; r.turns < turns && r.violation == nil && !r.drained(); {
		r.turn()
		r.strike()
		if r.dead {
			r.again()
		}
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
	if i != r.layout.Laggard || one(r.schedule, 30) {
		r.turnLoop(i)
	}
}

// loops gives all shards their turn.
func (r *run) loops() (busy bool) {
	for i := range r.app.Loops {
		busy = r.turnLoop(i) || busy
	}
	return busy
}

// turnLoop gives a shard its turn, unless it is in the middle of one.
func (r *run) turnLoop(i int) (busy bool) {
	if r.inTurn[i] || r.over() {
		return false
	}
	r.holding[i] = r.app.Outflow.Full()
	r.far.taken(i)
	r.inTurn[i] = true
	defer func() { r.inTurn[i] = false }()
	return r.app.Loops[i].Turn(r.clock.Now())
}

// interrupt has others take a few turns in the middle of an invocation, as on a machine with more than
// one processor: so an epoch is announced, and batches of it arrive, while a shard is in its turn.
func (r *run) interrupt() {
	if one(r.schedule, 20) {
		r.meanwhile(6)
	}
}

// meanwhile has others take a few turns in the middle of one that is not over.
func (r *run) meanwhile(most int) {
	if r.interrupted || most == 0 {
		return
	}
	r.interrupted = true
	defer func() { r.interrupted = false }()
	for n := 1 + r.schedule.IntN(most); n > 0 && !r.over(); n-- {
		pick(r.schedule, r.loop, r.cut, r.loop, r.pump, r.loop, r.publish, r.enter, r.far.answer)()
		r.turns++
	}
}

func (r *run) pump() {
	if n := len(r.app.Pumps); n > 0 && !r.over() {
		r.app.Pumps[r.schedule.IntN(n)].Turn(context.Background())
	}
}

// pumps has all of them take a turn.
func (r *run) pumps() {
	for _, p := range r.app.Pumps {
		if !r.over() {
			p.Turn(context.Background())
		}
	}
}

func (r *run) cut() {
	every := r.Case.Config.CutEvery
	r.epoch(every > 0 && one(r.schedule, every))
}

// epoch gives the coordinator its turn. Doubt stops the engine; any other error must not come out.
func (r *run) epoch(begin bool) {
	if r.inEpochs || r.over() {
		return
	}
	r.inEpochs = true
	defer func() { r.inEpochs = false }()
	_, err := r.app.Epochs.Turn(context.Background(), begin)
	switch {
	case err == nil || r.dead:
	case halts(err):
		r.stats.Halts++
		r.crash("in doubt")
	default:
		r.violate(err)
	}
}

// publish lets one way out take its turn, and a sink confirm a record.
func (r *run) publish() {
	if r.over() {
		return
	}
	i := r.schedule.IntN(len(r.sinks))
	if s := r.sinks[i]; len(s.open) > 0 && (!r.Case.Config.Faults.Mute || one(r.schedule, 8)) {
		s.confirm(r.schedule.IntN(len(s.open)))
	}
	r.app.Drains[i].Turn()
}

// passesMax is far more than any program can keep the shards busy for.
const passesMax = 1_000_000

// settle has all shards take turns until nothing moves between them.
func (r *run) settle() {
	passes := 0
	for busy := true; busy && !r.over(); passes++ {
		if busy = r.loops(); passes == passesMax {
			r.violate(errors.New("progress: shards stay busy though nothing comes in"))
		}
	}
	if r.over() {
		return
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
	if r.over() {
		return
	}
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
