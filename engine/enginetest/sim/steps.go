// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/internal/clock"
)

// Limits of the simulated engines: low, so that faults can break them.
const (
	sendsMax        = 40
	payloadBytesMax = 100_000
)

// hands are what a handler acts with: the engine's context, or the reply of a function that runs elsewhere.
type hands interface {
	set(i int, v uint64)
	edit(i int, v uint64)
	clear(i int)
	send(m *message, how uint64)
	sendAfter(m *message, how uint64)
	cancel(v uint64)
	emit(rec *record)
	// answer sends to whoever sent the message, if anybody did.
	answer()
	// fault does what makes the attempt fail. It returns an error, panics, or has the handler go on.
	fault(k faultKind) error
}

// play does what the plan of the message says, and fails where it is to fail.
func (a *attempt) play() (end *fault, err error) {
	plan := a.msg.plan
	if a.msg.tries < len(plan.faults) {
		end = &plan.faults[a.msg.tries]
	}
	a.count()
	for i := 0; i <= len(plan.steps); i++ {
		if end != nil && end.after == i {
			held := a.held
			if err := a.hands.fault(end.kind); err != nil {
				a.held = false // The handler's own error counts.
				return end, err
			}
			a.holds, a.held = false, held // The first failure counts.
		}
		if i < len(plan.steps) {
			a.step(plan.steps[i])
		}
	}
	return end, nil
}

// Slots that the simulation keeps itself, of the kinds that count.
const (
	slotCount   = iota // How many messages took effect,
	slotChain          // a hash of all of them in their order,
	slotBalance        // the money (amount),
	slotSum            // and which messages they were, in any order.
	slotsKept
)

// count keeps what instances keep of every message.
func (a *attempt) count() {
	if !kinds[a.self.kind].counts {
		return
	}
	l := a.link()
	a.edit(slotCount, l.n+1)
	a.edit(slotChain, mix(l.h, a.msg.serial))
	var sum uint64
	if v := a.values[slotSum]; v != nil {
		sum = *v
	}
	a.edit(slotSum, sum+mix(1, a.msg.plan.number))
	a.pay(amount(a.msg.from, a.self, a.msg.serial))
}

// pay adds to the money that the instance has, which may be less than none.
func (a *attempt) pay(money int64) {
	if money == 0 {
		return
	}
	var balance uint64
	if v := a.values[slotBalance]; v != nil {
		balance = *v
	}
	a.edit(slotBalance, balance+uint64(money))
}

// link is where an instance stands in its chain of messages.
type link struct{ n, h uint64 }

func (a *attempt) link() (l link) {
	if kinds[a.self.kind].counts && a.values[slotCount] != nil {
		l = link{*a.values[slotCount], *a.values[slotChain]}
	}
	return l
}

func (a *attempt) edit(i int, v uint64) {
	a.hands.edit(i, v)
	a.values[i] = &v
	a.wrote |= 1 << i
}

// slot returns one of the values that steps may change.
func (a *attempt) slot(v uint64) (i int, ok bool) {
	first := 0
	if kinds[a.self.kind].counts {
		first = slotsKept
	}
	n := len(a.slots[a.self.kind]) - first
	if n <= 0 {
		return 0, false
	}
	i = first + int(v)%n
	return i, !a.hides(a.self.kind, i)
}

func (a *attempt) step(s step) {
	if s.whim && one(a.schedule, 2) {
		return
	}
	i, ok := a.slot(s.value)
	switch s.kind {
	case stepSet:
		if ok {
			a.hands.set(i, s.value)
			a.values[i] = &s.value
			a.wrote |= 1 << i
		}
	case stepEdit:
		if ok {
			a.edit(i, s.value)
		}
	case stepClear:
		if ok {
			a.hands.clear(i)
			a.values[i] = nil
		}
	case stepSend:
		a.hands.send(a.message(s.send), s.value)
	case stepSendAfter:
		m := a.message(s.send)
		m.delayed, m.delay, m.sent, m.due = true, s.delay, a.now, a.now+clock.Instant(s.delay)
		a.hands.sendAfter(m, s.value)
	case stepCancel:
		a.hands.cancel(s.value)
	case stepEmit:
		a.emit(s.value)
	case stepReply:
		a.hands.answer()
	}
}

// message makes one from the running instance.
func (a *attempt) message(p *plan) *message {
	m := &message{plan: p, serial: a.model.serial(), from: origin{address: a.self}, epoch: a.epoch}
	a.sends = append(a.sends, m)
	a.pay(-amount(m.from, p.to, m.serial))
	return m
}

// typed returns a message as those give it who know no Go types.
func typed(f form, serial uint64) engine.TypedValue {
	switch f {
	case formSmall:
		return wire(smallType, smallOf(serial))
	case formLarge:
		return wire(largeType, largeOf(serial))
	case formText:
		return wire(engine.String, textOf(serial))
	case formQuery:
		return wire(queryType, query{serial})
	}
	return anyOf(serial)
}

func wire[T any](t engine.Type[T], v T) engine.TypedValue {
	b, err := t.Append(nil, v)
	if err != nil {
		panic(err)
	}
	return engine.TypedValue{Typename: t.Typename(), Value: b}
}

// reply returns the answer to whoever sent the message.
func (a *attempt) reply() string {
	if a.msg.from.outside > 0 {
		text := textOf(a.model.serial()) // It leaves the engine.
		if a.msg.asked {
			if a.replies++; a.replies == 1 {
				a.answer = text
			}
		}
		return text
	}
	return textOf(a.message(&plan{to: a.msg.from.address, form: formText}).serial)
}

func (a *attempt) emit(v uint64) {
	rec := &record{serial: a.model.serial(), from: a.self, egress: int(v % uint64(len(egresses))), epoch: a.epoch, chain: a.link()}
	a.records = append(a.records, rec)
	a.held = a.held || a.holds
	a.hands.emit(rec)
}
