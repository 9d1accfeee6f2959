// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/remote"
	"github.com/millrace-io/millrace/engine/statefun"
)

// exchange is a request to a function elsewhere, and what comes of it.
type exchange struct {
	*run
	request  *remote.Request
	shard    int
	epoch    statefun.Epoch // When it is made.
	self     address
	inst     *instance
	messages []*message

	attempts []*attempt // Those that have been made, by the model.
	tokens   []tokenUse
	asks     bool          // For state.
	err      *remote.Error // What it ends with, if not with a reply.
	refused  bool          // The engine must refuse the reply.
	faulty   *message      // The message that was to fail,
	spoilt   *fault        // and how.
}

// begin finds out what the request asks for, and whether it may be made here and now.
func (ex *exchange) begin() error {
	r := ex.request
	ex.self = address{
		slices.IndexFunc(kinds[:], func(k kind) bool { return k.fn.Type() == r.Target }), slices.Index(ids, string(r.ID)),
	}
	if ex.self.kind < nears || ex.self.id < 0 {
		return fmt.Errorf("isolation: a request to %v, %q", r.Target, r.ID)
	}
	ex.shard = ex.shardOf(ex.self.id)
	ex.epoch = ex.app.Loops[ex.shard].Epoch()
	ex.inst = ex.model.instance(ex.self, len(ex.slots[ex.self.kind]))
	for i := range r.Messages {
		msg, err := ex.parse(&r.Messages[i])
		if err != nil {
			return err
		}
		ex.trace.add(msg.serial, uint64(ex.self.kind), uint64(ex.self.id), uint64(ex.clock.Now()), uint64(ex.shard))
		ex.messages = append(ex.messages, msg)
	}
	ex.logf("request for %d messages, from %v on, attempt %d, at %d", len(ex.messages), ex.messages[0], r.Attempt, ex.clock.Now())
	if err := ex.mayBegin(); err != nil {
		return err
	}
	ex.inst.busy = true
	if len(ex.messages) > len(ex.inst.first) {
		ex.inst.change(ex.epoch)
		ex.inst.first = ex.messages
	}
	return ex.checkState()
}

// parse finds the message that the engine hands over.
func (ex *exchange) parse(m *remote.Message) (*message, error) {
	serial, f := serialOf(engine.TypedValue{Typename: string(m.Typename), Value: m.Value})
	msg := ex.model.messages[serial]
	switch {
	case msg == nil:
		return nil, fmt.Errorf("atomicity: a %s at %v was never sent: %d", m.Typename, ex.self, serial)
	case msg.done:
		return nil, fmt.Errorf("counts: %v is run, but has taken effect or was cancelled", msg)
	case msg.plan.to != ex.self || msg.plan.form != f || m.Absent:
		return nil, fmt.Errorf("isolation: %v is run at %v, form %d", msg, ex.self, f)
	case msg.delayed && msg.due > ex.clock.Now():
		return nil, fmt.Errorf("time: %v is early: it is %d", msg, ex.clock.Now())
	}
	ex.model.certain(msg)
	ex.model.taken(msg, ex.epoch, ex.Case.Config.Sources)
	msg.fired = msg.delayed
	caller := statefun.Address{Type: m.Caller, ID: string(m.CallerID)}
	switch {
	case msg.from.outside == 0 && caller != msg.from.address.address(),
		msg.from.outside > 0 && (caller.ID != "") != msg.asked:
		return nil, fmt.Errorf("isolation: %v seems to come from %q", msg, caller.String())
	}
	return msg, nil
}

// mayBegin reports what is wrong with the request being made now, and with these messages.
func (ex *exchange) mayBegin() error {
	inst, m, r := ex.inst, ex.model, ex.request
	if inst.busy {
		return fmt.Errorf("order: a second request to %v", ex.self)
	}
	if inst.skip {
		if slices.Contains(ex.messages, inst.blocked) {
			return fmt.Errorf("counts: %v is run, but was to be skipped", inst.blocked)
		}
		m.skipped(inst, ex.skipped)
	}
	if err := m.mayRun(ex.messages[0], inst); err != nil {
		return err
	}
	if inst.suspended {
		inst.change(ex.epoch)
		inst.suspended, inst.pardon, inst.attempts, inst.broken = false, false, 0, 0
	}
	before := map[*stream]int{}
	for i, msg := range ex.messages {
		s := m.stream(msg)
		if first := m.first(msg, before[s]); first != msg {
			return fmt.Errorf("order: %v comes before %v, which was sent first", msg, first)
		}
		before[s]++
		if i < len(inst.first) && inst.first[i] != msg {
			return fmt.Errorf("order: %v comes before %v, which waits", msg, inst.first[i])
		}
	}
	cfg := ex.Case.Config.Far
	switch {
	case cfg.MessagesMax > 0 && len(ex.messages) > cfg.MessagesMax:
		return fmt.Errorf("accounts: a request has %d messages", len(ex.messages))
	case r.Attempt != inst.attempts+1:
		return fmt.Errorf("accounts: attempt %d at %v, after %d that have failed", r.Attempt, ex.self, inst.attempts)
	case r.Timeout < time.Millisecond || r.Timeout > cfg.Call:
		return fmt.Errorf("time: %v are left for a request", r.Timeout)
	case len(ex.far.open) >= len(endpoints)*(cfg.InFlightMax+ex.layout.Shards):
		return fmt.Errorf("accounts: %d requests are on their way", len(ex.far.open))
	}
	return nil
}

// checkState compares the state in the request with the model: all that is known, and nothing else.
func (ex *exchange) checkState() error {
	slots, now := ex.slots[ex.self.kind], ex.clock.Now()
	values := ex.alive(ex.self, ex.inst.version, now)
	known := &ex.far.known[ex.shard][ex.self.kind]
	if len(ex.request.State) < *known {
		return fmt.Errorf("cuts: %d state values are sent to %v, %d are known", len(ex.request.State), ex.self, *known)
	}
	*known = len(ex.request.State)
	for i := range ex.request.State {
		s := &ex.request.State[i]
		n := slices.IndexFunc(slots, func(slot slot) bool { return slot.spec().Name == s.Name })
		if n < 0 || slots[n].spec().Typename != s.Typename {
			return fmt.Errorf("isolation: %v is sent the state %s, a %s", ex.self, s.Name, s.Typename)
		}
		v := values[n]
		if s.Present != (v != nil) {
			return fmt.Errorf("isolation or atomicity: %v is sent the state %s, present is %v", ex.self, s.Name, s.Present)
		}
		if v == nil {
			continue
		}
		if _, wire := slots[n].encoded(*v); string(wire) != string(s.Value) {
			return fmt.Errorf("isolation or atomicity: %v is sent the state %s, not what was set last", ex.self, s.Name)
		}
		if slots[n].lease().moves == invocation {
			ex.inst.change(ex.epoch)
			ex.inst.stamps = slices.Clone(ex.inst.stamps)
			ex.inst.stamps[n] = now
		}
	}
	return nil
}
