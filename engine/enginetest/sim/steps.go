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
			if err := a.hands.fault(end.kind); err != nil {
				return end, err
			}
		}
		if i < len(plan.steps) {
			a.step(plan.steps[i])
		}
	}
	return end, nil
}

// count keeps what instances keep of every message.
func (a *attempt) count() {
	if !kinds[a.self.kind].counts {
		return
	}
	var n, chain uint64
	if a.values[0] != nil {
		n, chain = *a.values[0], *a.values[1]
	}
	a.edit(0, n+1)
	a.edit(1, mix(chain, a.msg.serial))
}

func (a *attempt) edit(i int, v uint64) {
	a.hands.edit(i, v)
	a.values[i] = &v
}

// slot returns one of the values that steps may change.
func (a *attempt) slot(v uint64) (i int, ok bool) {
	first := 0
	if kinds[a.self.kind].counts {
		first = 2
	}
	n := len(a.slots[a.self.kind]) - first
	if n <= 0 {
		return 0, false
	}
	return first + int(v)%n, true
}

func (a *attempt) step(s step) {
	i, ok := a.slot(s.value)
	switch s.kind {
	case stepSet:
		if ok {
			a.hands.set(i, s.value)
			a.values[i] = &s.value
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
		if a.msg.asked {
			a.replies++
		}
		return textOf(a.model.serial()) // It leaves the engine, and nobody waits for it.
	}
	return textOf(a.message(&plan{to: a.msg.from.address, form: formText}).serial)
}

func (a *attempt) emit(v uint64) {
	rec := &record{serial: a.model.serial(), from: a.self, egress: int(v % uint64(len(egresses))), epoch: a.epoch}
	a.records = append(a.records, rec)
	a.hands.emit(rec)
}
