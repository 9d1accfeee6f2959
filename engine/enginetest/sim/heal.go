// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"context"
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/internal/checkpoint"
	"github.com/millrace-io/millrace/engine/internal/clock"
)

// roundsMax is how many rounds may go by in which nothing takes effect, while everybody takes turns and
// time passes by a second: many times the longest back-off.
const roundsMax = 200

// drained reports whether all messages have come in and taken effect, and whoever was to hear of it has.
func (r *run) drained() bool {
	for _, s := range r.sources {
		if s.next < len(s.roots) {
			return false
		}
	}
	return r.clients.served() && r.model.pending == 0 && r.far.idle()
}

// heal resumes whatever is suspended and has everybody take turns until all is done.
func (r *run) heal() {
	r.calm()
	for idle := 0; !r.drained() && r.violation == nil; idle++ {
		before := r.model.invocations + r.model.failures
		r.round(true)
		r.mend()
		if one(r.schedule, 4) {
			r.askAgain()
			r.settle()
		}
		if r.drained() || r.violation != nil {
			return
		}
		r.passToNext()
		if r.model.invocations+r.model.failures != before {
			idle = 0
		}
		if idle == roundsMax {
			r.violate(fmt.Errorf("progress: nothing takes effect any more, %d messages are left:%s", r.model.pending, r.model.stuck()))
		}
	}
}

// calm ends all faults but those that are in the program.
func (r *run) calm() {
	r.Case.Config.Faults = Faults{}
	r.armed = atNoTime
	if r.disk != nil {
		r.disk.Trouble(Peace, 0)
	}
	r.mend()
}

// mend starts the engine again if it is dead, or lacks a source for good.
func (r *run) mend() {
	lacks := r.layout.Absent > 0 || slices.ContainsFunc(r.sources, func(s *source) bool { return s.broken })
	if lacks && !r.over() {
		r.shutDown()
	}
	if r.dead {
		r.again()
	}
}

// round gives everybody turns until nothing moves.
func (r *run) round(begin bool) {
	r.turns++
	for _, a := range r.suspended() {
		r.resumeAddress(a)
	}
	for r.letIn() {
		r.settle()
	}
	r.collect()
	r.pumps()
	r.settle()
	for !r.far.idle() && !r.over() {
		r.far.answerAll()
		r.settle()
	}
	begin = begin && !r.clients.press()
	for range 3 { // Begin, collect, and what others do in between.
		r.epoch(begin && r.Case.Config.epochs())
		r.pumps()
		r.settle()
		for i, d := range r.app.Drains {
			for !r.over() && d.Turn() || len(r.sinks[i].open) > 0 {
				for len(r.sinks[i].open) > 0 {
					r.sinks[i].confirm(0)
				}
			}
		}
		begin = false
	}
}

// passToNext lets time pass to the next delayed message, but not beyond the next retry.
func (r *run) passToNext() {
	now := r.clock.Now()
	d := clock.Instant(1000)
	due, ok := r.model.nextDue(now)
	if ok && (r.model.waiting() == 0 || due-now < d) {
		d = due - now
	}
	r.advance(d)
}

// checkEnd looks at everything once more when nothing is left to do.
func (r *run) checkEnd() error {
	r.probe()
	r.round(true)
	r.round(true)
	if r.violation != nil {
		return r.violation
	}
	for range 64 { // Shards show their counters every 64 turns.
		for i := range r.app.Loops {
			r.turnLoop(i)
		}
	}
	if err := r.checkCounts(r.app.Engine.(*engine.Engine).Stats()); err != nil {
		return err
	}
	for l, queue := range r.model.emitted {
		if len(queue) > 0 {
			return fmt.Errorf("counts: %d records of %v to egress %d have not left", len(queue), l.from, l.egress)
		}
	}
	if r.recorder != nil && r.Case.Config.epochs() {
		return r.checkLast()
	}
	return nil
}

// checkLast looks at the last checkpoint: it has all state, and nothing is on its way.
func (r *run) checkLast() error {
	for a := range r.model.instances {
		if err := r.compare(a, r.app.Epoch()); err != nil {
			return err
		}
	}
	for key := range r.ledger.entries {
		if k := checkpoint.KindOf([]byte(key)); k != checkpoint.KindState && k != checkpoint.KindKey {
			return fmt.Errorf("accounts: the last checkpoint has an entry of kind %d", k)
		}
	}
	for _, c := range r.clients.keyed {
		if _, known := r.ledger.entries[c.entry]; known && c.root.brief && c.expires <= r.ledger.cp.CreatedAt {
			return fmt.Errorf("accounts: the last checkpoint has the key of %v, which was to be kept until %d", c.message, c.expires)
		}
	}
	return r.recorder.check(context.Background())
}

// kept reports whether there is any state.
func kept(values []*uint64) bool {
	return slices.ContainsFunc(values, func(v *uint64) bool { return v != nil })
}

// probe has every address look at its state once more: nothing may have touched it since.
func (r *run) probe() {
	for id := range ids {
		for k := range kinds {
			if a := (address{k, id}); r.model.instances[a] != nil {
				p := &plan{to: a, probe: true}
				r.clients.waiting = append(r.clients.waiting, &client{root: &root{from: len(r.sources) + doorSend, messages: []*plan{p}}})
			}
		}
	}
	r.heal()
}

// checkCounts compares the engine's own counters with the model.
func (r *run) checkCounts(s engine.Stats) error {
	var keep, forgotten, instances int64
	var failures, skipped, suspended, delayed, delivered, lost int64
	for a, inst := range r.model.instances {
		if kept(r.alive(a, inst.version, r.clock.Now())) {
			if keep++; inst.mayForget(a, inst.version, r.clock.Now()) {
				forgotten++
			}
		}
	}
	for _, shard := range s.Shards {
		instances += shard.Instances
		failures += shard.Failures
		skipped += shard.Skipped
		suspended += shard.Suspended
		delayed += shard.Delayed
	}
	if instances < keep { // Some may have been dropped.
		keep = max(instances, keep-forgotten)
	}
	for i, e := range s.Egress {
		delivered += e.Delivered - r.sinks[i].done
		lost += e.Dropped - r.sinks[i].lost
	}
	var counts engine.FunctionStats
	for _, f := range s.Functions {
		counts.In += f.In
		counts.Failures += f.Failures
		counts.Suspended += f.Suspended
		counts.Backlog += f.Backlog
		counts.BacklogBytes += f.BacklogBytes
		counts.InFlight += f.InFlight
	}
	for _, c := range []struct {
		what      string
		got, want int64
	}{
		{"invocations", s.Invocations(), int64(r.model.invocations - r.before.invocations)},
		{"failures", failures, int64(r.model.failures - r.before.failures)},
		{"skipped messages", skipped, int64(r.model.skips - r.before.skips)},
		{"suspended addresses", suspended, 0},
		{"delayed messages", delayed, 0},
		{"instances", instances, keep},
		{"queued bytes", s.QueuedBytes, 0},
		{"records delivered too many", delivered, 0},
		{"records lost too many", lost, 0},
		{"invocations by function", counts.In, int64(r.model.invocations - r.before.invocations)},
		{"failures by function", counts.Failures, int64(r.model.failures - r.before.failures)},
		{"suspended addresses by function", counts.Suspended, 0},
		{"messages that wait", counts.Backlog, 0},
		{"bytes that wait", counts.BacklogBytes, 0},
		{"requests in flight", counts.InFlight, 0},
	} {
		if c.got != c.want {
			return fmt.Errorf("accounts: %d %s at the end, want %d", c.got, c.what, c.want)
		}
	}
	return nil
}
