// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"strings"
	"time"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/internal/clock"
)

// Limits of the simulated engines: low, so that faults can break them.
const (
	sendsMax        = 40
	payloadBytesMax = 100_000
)

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
	if err := a.player.slots[i].edit(a.ctx, a.values[i], v); err != nil {
		a.violate(fmt.Errorf("isolation or atomicity: %v edits %v: %w", a.msg, a.self, err))
	}
	a.values[i] = &v
}

// slot returns one of the values that steps may change.
func (a *attempt) slot(v uint64) (i int, ok bool) {
	first := 0
	if kinds[a.self.kind].counts {
		first = 2
	}
	n := len(a.player.slots) - first
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
			a.player.slots[i].set(a.ctx, s.value)
			a.values[i] = &s.value
		}
	case stepEdit:
		if ok {
			a.edit(i, s.value)
		}
	case stepClear:
		if ok {
			a.player.slots[i].clear(a.ctx)
			a.values[i] = nil
		}
	case stepSend:
		a.send(s.send, s.value)
	case stepSendAfter:
		a.sendAfter(s.send, s.delay, s.value)
	case stepCancel:
		a.cancel(s.value)
	case stepEmit:
		a.emit(s.value)
	case stepReply:
		if _, ok := a.ctx.Caller(); ok {
			kinds[a.self.kind].query.Reply(a.ctx, a.reply())
		}
	}
}

// message makes one from the running instance.
func (a *attempt) message(p *plan) *message {
	m := &message{plan: p, serial: a.model.serial(), from: origin{address: a.self}, epoch: a.epoch}
	a.sends = append(a.sends, m)
	return m
}

// send sends in one of several ways, as how decides.
func (a *attempt) send(p *plan, how uint64) {
	m := a.message(p)
	k, id := &kinds[p.to.kind], ids[p.to.id]
	switch same := p.to.id == a.self.id && how%2 == 0; {
	case p.form == formAny || how%5 == 0:
		a.ctx.Send(p.to.address(), typed(p.form, m.serial))
	case p.form == formSmall && same:
		k.small.Same().Send(a.ctx, smallOf(m.serial))
	case p.form == formSmall:
		k.small.To(id).Send(a.ctx, smallOf(m.serial))
	case p.form == formLarge && same:
		k.large.Same().Send(a.ctx, largeOf(m.serial))
	case p.form == formLarge:
		k.large.To(id).Send(a.ctx, largeOf(m.serial))
	case p.form == formText:
		k.text.To(id).Send(a.ctx, textOf(m.serial))
	case p.form == formQuery:
		k.query.To(id).Send(a.ctx, query{m.serial})
	}
}

func (a *attempt) sendAfter(p *plan, delay int64, how uint64) {
	m := a.message(p)
	m.delayed, m.sent, m.due = true, a.now, a.now+clock.Instant(delay)
	// A part of a millisecond counts as a whole one: nothing is early.
	d := time.Duration(delay)*time.Millisecond - time.Duration(how%1000)
	if delay == 0 {
		d = 0
	}
	k, id := &kinds[p.to.kind], ids[p.to.id]
	switch same := p.to.id == a.self.id && how%2 == 0; {
	case p.form == formAny || how%5 == 0:
		m.token = a.ctx.SendAfter(d, p.to.address(), typed(p.form, m.serial))
	case p.form == formSmall && same:
		m.token = k.small.Same().SendAfter(a.ctx, d, smallOf(m.serial))
	case p.form == formSmall:
		m.token = k.small.To(id).SendAfter(a.ctx, d, smallOf(m.serial))
	case p.form == formLarge:
		m.token = k.large.To(id).SendAfter(a.ctx, d, largeOf(m.serial))
	case p.form == formText:
		m.token = k.text.To(id).SendAfter(a.ctx, d, textOf(m.serial))
	case p.form == formQuery:
		m.token = k.query.To(id).SendAfter(a.ctx, d, query{m.serial})
	}
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
	egresses[rec.egress].Send(a.ctx, textOf(rec.serial))
}

// fault does what makes the attempt fail. It returns an error, panics, or has the handler go on.
func (a *attempt) fault(k faultKind) error {
	self := ids[a.self.id]
	switch k {
	case faultPermanent:
		a.failed(true)
		return engine.Permanent(errFault)
	case faultPanic:
		a.failed(false)
		panic(errFault)
	case faultCrash:
		a.failed(false)
		none := map[string]*int{}
		*none["a"]++
	case faultDelay:
		kinds[0].small.To(self).SendAfter(a.ctx, -time.Millisecond, smallOf(a.model.serial()))
		return nil
	case faultFunction:
		absent.small.To(self).Send(a.ctx, smallOf(a.model.serial()))
		return nil
	case faultEgress:
		nobody.Send(a.ctx, 1)
		return nil
	case faultSends:
		for range sendsMax + 1 {
			kinds[0].small.Same().Send(a.ctx, smallOf(a.model.serial()))
		}
		return nil
	case faultPayload:
		kinds[0].text.To(self).Send(a.ctx, strings.Repeat("x", payloadBytesMax))
		return nil
	case faultCaller:
		if _, ok := a.ctx.Caller(); !ok {
			kinds[a.self.kind].query.Reply(a.ctx, "")
			return nil
		}
	}
	a.failed(false)
	return errFault
}
