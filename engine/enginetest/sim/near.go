// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"strings"
	"time"

	"github.com/millrace-io/millrace/engine"
)

// near are the hands of a function of this process.
type near struct {
	*attempt
	slots []slot
}

func (h near) set(i int, v uint64) { h.slots[i].set(h.ctx, v) }

func (h near) edit(i int, v uint64) {
	if err := h.slots[i].edit(h.ctx, h.values[i], v); err != nil {
		h.violate(fmt.Errorf("isolation or atomicity: %v edits %v: %w", h.msg, h.self, err))
	}
}

func (h near) clear(i int) { h.slots[i].clear(h.ctx) }

// send sends in one of several ways, as how decides.
func (h near) send(m *message, how uint64) {
	p := m.plan
	k, id := &kinds[p.to.kind], ids[p.to.id]
	switch same := p.to.id == h.self.id && how%2 == 0; {
	case p.form == formAny || how%5 == 0:
		h.ctx.Send(p.to.address(), typed(p.form, m.serial))
	case p.form == formSmall && same:
		k.small.Same().Send(h.ctx, smallOf(m.serial))
	case p.form == formSmall:
		k.small.To(id).Send(h.ctx, smallOf(m.serial))
	case p.form == formLarge && same:
		k.large.Same().Send(h.ctx, largeOf(m.serial))
	case p.form == formLarge:
		k.large.To(id).Send(h.ctx, largeOf(m.serial))
	case p.form == formText:
		k.text.To(id).Send(h.ctx, textOf(m.serial))
	case p.form == formQuery:
		k.query.To(id).Send(h.ctx, query{m.serial})
	}
}

func (h near) sendAfter(m *message, how uint64) {
	// A part of a millisecond counts as a whole one: nothing is early.
	d := time.Duration(m.delay)*time.Millisecond - time.Duration(how%1000)
	if m.delay == 0 {
		d = 0
	}
	p := m.plan
	k, id := &kinds[p.to.kind], ids[p.to.id]
	switch same := p.to.id == h.self.id && how%2 == 0; {
	case p.form == formAny || how%5 == 0:
		m.token = h.ctx.SendAfter(d, p.to.address(), typed(p.form, m.serial))
	case p.form == formSmall && same:
		m.token = k.small.Same().SendAfter(h.ctx, d, smallOf(m.serial))
	case p.form == formSmall:
		m.token = k.small.To(id).SendAfter(h.ctx, d, smallOf(m.serial))
	case p.form == formLarge:
		m.token = k.large.To(id).SendAfter(h.ctx, d, largeOf(m.serial))
	case p.form == formText:
		m.token = k.text.To(id).SendAfter(h.ctx, d, textOf(m.serial))
	case p.form == formQuery:
		m.token = k.query.To(id).SendAfter(h.ctx, d, query{m.serial})
	}
}

func (h near) emit(rec *record) { egresses[rec.egress].Send(h.ctx, rec.text()) }

func (h near) answer() {
	if _, ok := h.ctx.Caller(); ok {
		kinds[h.self.kind].query.Reply(h.ctx, h.reply())
	}
}

func (h near) fault(k faultKind) error {
	self := ids[h.self.id]
	switch k {
	case faultPermanent:
		h.failed(true)
		return engine.Permanent(errFault)
	case faultPanic:
		h.meant = true
		h.failed(false)
		panic(errFault)
	case faultCrash:
		h.meant = true
		h.failed(false)
		none := map[string]*int{}
		*none["a"]++
	case faultDelay:
		kinds[0].small.To(self).SendAfter(h.ctx, -time.Millisecond, smallOf(h.model.serial()))
		return nil
	case faultFunction:
		absent.small.To(self).Send(h.ctx, smallOf(h.model.serial()))
		return nil
	case faultEgress:
		nobody.Send(h.ctx, 1)
		return nil
	case faultSends:
		for range sendsMax + 1 {
			kinds[0].small.Same().Send(h.ctx, smallOf(h.model.serial()))
		}
		return nil
	case faultPayload:
		kinds[0].text.To(self).Send(h.ctx, strings.Repeat("x", payloadBytesMax))
		return nil
	case faultText:
		kinds[nears].text.To("\xff").Send(h.ctx, textOf(h.model.serial()))
		return nil
	case faultCaller:
		if _, ok := h.ctx.Caller(); !ok {
			kinds[h.self.kind].query.Reply(h.ctx, "")
			return nil
		}
	}
	h.failed(false)
	return errFault
}
