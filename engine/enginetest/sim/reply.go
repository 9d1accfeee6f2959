// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"errors"
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/engine/internal/clock"
	"github.com/millrace-io/millrace/engine/remote"
	"github.com/millrace-io/millrace/engine/statefun"
)

// answer runs the function, if it has been sent all of its state, and ends the request: well, or as the
// plans say, or with the reply lost.
func (ex *exchange) answer(well bool) {
	reply := &ex.request.Reply
	reply.Reset()
	ex.ask()
	values := slices.Clone(ex.inst.values)
	for i := 0; i < len(ex.messages) && !ex.asks && ex.faulty == nil; i++ {
		values = ex.play(i, values)
	}
	if n := len(reply.Messages) + len(reply.Egress) + ex.sendsAfter(); n > sendsMax {
		ex.refused = true
	}
	first := ex.messages[0]
	if !well && ex.err == nil && first.lost < ex.Case.Config.FaultsMax && one(ex.schedule, 10) {
		first.lost++
		ex.err = &remote.Error{Reason: pick(ex.schedule, remote.Unreachable, remote.TimedOut), Err: errFault}
		ex.faulty = nil
	}
	reply.Bytes = pick(ex.schedule, 0, 1000, 100_000)
	if ex.err != nil {
		reply.Reset()
		ex.request.Done(ex.err)
		return
	}
	ex.request.Done(nil)
}

// ask asks for state that is missing: for some of it, or all. Three rounds are enough.
func (ex *exchange) ask() {
	for _, slot := range ex.slots[ex.self.kind] {
		spec := slot.spec()
		if slices.ContainsFunc(ex.request.State, func(s remote.State) bool { return s.Name == spec.Name }) {
			continue
		}
		ex.asks = true
		reply := &ex.request.Reply
		reply.Incomplete = true
		if reply.Missing = append(reply.Missing, spec); len(reply.Missing) > 1 && one(ex.schedule, 2) {
			return
		}
	}
}

// play runs one message of the request, with the state as those before it have left it.
func (ex *exchange) play(i int, values []*uint64) (after []*uint64) {
	a := &attempt{run: ex.run, self: ex.self, msg: ex.messages[i], inst: ex.inst, now: ex.clock.Now(), values: slices.Clone(values)}
	a.hands = away{a, ex, &ex.request.Messages[i]}
	ex.attempts = append(ex.attempts, a)
	if a.msg.plan.probe {
		return a.values
	}
	end, err := a.play()
	if end != nil {
		ex.faulty, ex.spoilt = a.msg, end
	}
	switch ended := (*remote.Error)(nil); {
	case errors.As(err, &ended):
		ex.err = ended
	case end != nil:
		ex.refused = true
	case a.msg.plan.form == formQuery && !a.msg.plan.pending:
		a.hands.answer()
	}
	return a.values
}

// settle is what happens to the model when the shard takes the reply.
func (ex *exchange) settle(epoch statefun.Epoch) {
	ex.inst.busy = false
	ex.trace.add(uint64(len(ex.messages)), uint64(epoch), boolean(ex.asks), boolean(ex.err != nil), boolean(ex.refused))
	ex.logf("reply   of %v from %v on, in epoch %d: asks %v, refused %v, %v", ex.self, ex.messages[0], epoch, ex.asks, ex.refused, ex.err)
	switch {
	case ex.held():
		ex.stats.Held++
		ex.inst.change(epoch)
		ex.inst.blocked = ex.messages[0]
	case ex.err != nil || ex.refused:
		ex.failed(epoch)
	case !ex.asks:
		ex.succeed(epoch)
	}
}

// held reports whether the engine has the address wait because its reply emits records, of which there are too
// many (P36): if it gets as far as the first.
func (ex *exchange) held() bool {
	reply := &ex.request.Reply
	switch {
	case !ex.holding[ex.shard] || ex.err != nil || ex.asks || len(reply.Egress) == 0,
		len(reply.Messages)+ex.sendsAfter() > sendsMax:
		return false
	case ex.spoilt == nil || ex.spoilt.kind == faultState:
		return true
	case ex.spoilt.kind == faultEgress:
		return string(reply.Egress[0].Name) != "nobody"
	}
	return false
}

func (ex *exchange) failed(epoch statefun.Epoch) {
	inst, reason := ex.inst, remote.Broken
	if ex.err != nil {
		reason = ex.err.Reason
	}
	if ex.faulty != nil {
		ex.faulty.tries++
	}
	ex.model.failures++
	inst.change(epoch)
	inst.blocked = ex.messages[0]
	inst.attempts++
	if len(ex.messages) == 1 && reason >= remote.Broken {
		inst.broken++
		if inst.pardon = false; inst.broken >= ex.brokenMax() {
			inst.suspend()
		}
	}
}

func (ex *exchange) succeed(epoch statefun.Epoch) {
	inst, now := ex.inst, ex.clock.Now()
	inst.broken = 0
	for _, a := range ex.attempts {
		a.epoch, a.now = epoch, now
		if a.msg.epoch > epoch {
			ex.violate(fmt.Errorf("cuts: %v, sent in epoch %d, takes effect in %d", a.msg, a.msg.epoch, epoch))
		}
		for _, m := range a.sends {
			m.epoch, m.sent, m.due = epoch, now, now+clock.Instant(m.delay)
		}
		for _, rec := range a.records {
			rec.epoch = epoch
		}
	}
	cancelled := ex.useTokens(epoch, now)
	for _, a := range ex.attempts {
		a.cancels, cancelled = cancelled, nil
		a.succeed()
	}
}
