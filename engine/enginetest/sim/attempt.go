// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"errors"
	"fmt"
	"runtime/debug"
	"slices"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/internal/clock"
	"github.com/millrace-io/millrace/engine/statefun"
)

// attempt is an invocation that is running: what it has done so far, by the model.
type attempt struct {
	*run
	hands hands
	ctx   *engine.Context // nil elsewhere.
	self  address
	msg   *message
	inst  *instance
	now   clock.Instant
	epoch statefun.Epoch
	meant bool // It is going to panic as the plan says.
	holds bool // Whoever emits a record now waits (P36),
	held  bool // and it has.

	values  []*uint64
	wrote   uint64 // Bits of those that it has set.
	sends   []*message
	cancels []*message
	records []*record
	replies int
	answer  string // The first of them.
}

// handle runs one attempt. What it does is added to the model at the very end, when nothing can fail.
func (p *player) handle(ctx *engine.Context, serial uint64, f form) (reply string, err error) {
	if p.run.dead || p.run.last != 0 && p.run.app.Loops[ctx.Shard()].Epoch() > p.run.last {
		return "", nil
	}
	var a *attempt
	defer func() {
		// The shard takes any panic for one of the handler's: the engine's own, and the checkers'.
		if cause := recover(); cause != nil {
			if a == nil || !a.meant {
				p.run.violate(fmt.Errorf("panic: %v\n%s", cause, debug.Stack()))
			}
			panic(cause)
		}
	}()
	a, err = p.begin(ctx, serial, f)
	if err != nil {
		p.run.violate(err)
		return "", nil
	}
	plan := a.msg.plan
	if plan.probe {
		a.succeed()
		return "", nil
	}
	p.run.interrupt()
	if p.run.struck(inInvocation, "within an invocation") {
		return "", nil
	}
	end, err := a.play()
	if err != nil {
		return "", err
	}
	if a.held {
		a.wait()
		return "", nil
	}
	if end != nil { // Of the kinds that make an invocation fail when its handler returns.
		a.failed(false)
		return "", nil
	}
	switch {
	case f != formQuery:
	case plan.pending:
		err = engine.ErrPending
	default:
		reply = a.reply()
	}
	a.succeed()
	return reply, err
}

// begin finds out which message this is and whether it may be run here and now.
func (p *player) begin(ctx *engine.Context, serial uint64, f form) (*attempt, error) {
	r := p.run
	msg := r.model.messages[serial]
	self := ctx.Self()
	a := &attempt{
		run: r, ctx: ctx, msg: msg, now: r.clock.Now(),
		epoch: r.app.Loops[ctx.Shard()].Epoch(),
		self:  address{p.kind, slices.Index(ids, self.ID)},
		holds: r.holding[ctx.Shard()],
	}
	r.trace.add(serial, uint64(a.self.kind), uint64(a.self.id), uint64(a.now), uint64(a.epoch), uint64(ctx.Shard()))
	switch {
	case msg == nil:
		return nil, fmt.Errorf("atomicity: message %d at %v was never sent: the invocation that tried has failed", serial, a.self)
	case msg.done:
		return nil, fmt.Errorf("counts: %v is run, but has taken effect or was cancelled", msg)
	case msg.plan.to != a.self || msg.plan.form != f || self != a.self.address():
		return nil, fmt.Errorf("isolation: %v is run at %v, %q, form %d", msg, a.self, self.String(), f)
	}
	a.hands = near{a, p.slots}
	r.model.certain(msg)
	r.model.taken(msg, a.epoch, r.Case.Config.Sources)
	a.inst = r.model.instance(a.self, len(p.slots))
	a.values = r.alive(a.self, a.inst.version, a.now)
	a.forgets(p.slots)
	if a.inst.skip {
		if a.inst.blocked == msg {
			return nil, fmt.Errorf("counts: %v is run, but was to be skipped", msg)
		}
		r.model.skipped(a.inst, r.skipped)
		a.inst.freed = a.now
	}
	r.logf("run     %v on shard %d in epoch %d at %d", msg, ctx.Shard(), a.epoch, a.now)
	if err := r.model.mayRun(msg, a.inst); err != nil {
		return nil, err
	}
	if err := a.checkTime(); err != nil {
		return nil, err
	}
	if err := a.checkCaller(); err != nil {
		return nil, err
	}
	if msg.epoch > a.epoch {
		return nil, fmt.Errorf("cuts: %v, sent in epoch %d, takes effect in %d", msg, msg.epoch, a.epoch)
	}
	for i, s := range p.slots {
		if r.hides(p.kind, i) {
			continue
		}
		if err := s.check(ctx, a.values[i]); err != nil {
			return nil, fmt.Errorf("isolation or atomicity: %v finds at %v: %w", msg, a.self, err)
		}
	}
	if a.inst.suspended {
		a.inst.change(a.epoch)
		a.inst.suspended, a.inst.attempts = false, 0
		a.inst.resumes--
	}
	return a, nil
}

func (a *attempt) checkTime() error {
	msg := a.msg
	if got := clock.Instant(a.ctx.Now().UnixMilli()); got != a.now {
		return fmt.Errorf("time: %v is told that it is %d at %d", msg, got, a.now)
	}
	if !msg.delayed {
		return nil
	}
	if msg.due > a.now {
		return fmt.Errorf("time: %v is early: it is %d", msg, a.now)
	}
	// It may have waited behind another.
	waited := msg.tries > 0 || len(a.inst.first) > 0 || a.inst.freed == a.now || msg.due < a.started
	if a.Case.Config.Jumps == 0 && msg.due != a.now && !waited {
		return fmt.Errorf("time: %v is late: it is %d", msg, a.now)
	}
	msg.fired = true
	return nil
}

func (a *attempt) checkCaller() error {
	caller, ok := a.ctx.Caller()
	switch msg := a.msg; {
	case msg.from.outside == 0 && (!ok || caller != msg.from.address.address()),
		msg.from.outside > 0 && ok != msg.asked:
		return fmt.Errorf("isolation: %v seems to come from %q, %v", msg, caller.String(), ok)
	}
	return nil
}

// failed notes that the attempt leaves no trace.
func (a *attempt) failed(forGood bool) {
	inst := a.inst
	a.msg.tries++
	a.model.failures++
	inst.change(a.epoch)
	inst.blocked = a.msg
	if len(inst.first) == 0 {
		inst.first = []*message{a.msg}
	}
	inst.attempts++
	if forGood || inst.attempts > a.Case.Config.Retries {
		inst.suspend()
	}
	a.trace.add(0)
}

// wait has the message wait as if it had not been tried (P36).
func (a *attempt) wait() {
	a.stats.Held++
	a.inst.change(a.epoch)
	a.inst.blocked = a.msg
	if len(a.inst.first) == 0 {
		a.inst.first = []*message{a.msg}
	}
}

// succeed lets the attempt take effect.
func (a *attempt) succeed() {
	inst, m := a.inst, a.model
	inst.change(a.epoch)
	if inst.waits(a.self) {
		inst.freed = a.now
	}
	if len(inst.first) > 0 {
		inst.first = inst.first[1:]
	}
	inst.blocked, inst.attempts = nil, 0
	inst.values, inst.stamps, inst.seen = a.values, a.restamp(), a.now
	a.msg.ran, a.msg.answer = true, a.answer
	m.finish(a.msg, a.epoch)
	for _, msg := range a.cancels {
		m.finish(msg, a.epoch)
		m.cancelled++
	}
	for _, msg := range a.sends {
		m.sent(msg)
		if msg.undone {
			m.finish(msg, a.epoch)
			m.cancelled++
		}
	}
	j := m.in(a.epoch)
	for _, rec := range a.records {
		m.records[rec.serial] = rec
		l := lane{rec.from, rec.egress}
		m.emitted[l] = append(m.emitted[l], rec)
		j.records = append(j.records, rec)
	}
	m.replies += a.replies
	m.invocations++
	a.sources.ran(a.msg, a.epoch)
	a.trace.add(1)
}

var errFault = errors.New("a fault of the simulation")
