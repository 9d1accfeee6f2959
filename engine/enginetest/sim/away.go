// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/internal/clock"
	"github.com/millrace-io/millrace/engine/remote"
	"github.com/millrace-io/millrace/engine/statefun"
)

// away are the hands of a function elsewhere: what it does goes into the reply.
type away struct {
	*attempt
	ex  *exchange
	got *remote.Message
}

func (h away) reply() *remote.Reply { return &h.ex.request.Reply }

func (h away) mutate(i int, m remote.Mutation, v uint64) {
	slot := h.slots[h.self.kind][i]
	m.Name = []byte(slot.spec().Name)
	if !m.Delete {
		_, wire := slot.encoded(v)
		m.Payload = remote.Payload{Typename: []byte(slot.spec().Typename), Value: wire}
	}
	h.reply().Mutations = append(h.reply().Mutations, m)
}

func (h away) set(i int, v uint64)  { h.mutate(i, remote.Mutation{}, v) }
func (h away) edit(i int, v uint64) { h.mutate(i, remote.Mutation{}, v) }
func (h away) clear(i int)          { h.mutate(i, remote.Mutation{Delete: true}, 0) }

func outgoing(to engine.Address, v engine.TypedValue) remote.Outgoing {
	return remote.Outgoing{
		To:      remote.To{Namespace: []byte(to.Type.Namespace), Name: []byte(to.Type.Name), ID: []byte(to.ID)},
		Payload: remote.Payload{Typename: []byte(v.Typename), Value: v.Value},
	}
}

func (h away) post(to engine.Address, v engine.TypedValue) {
	h.reply().Messages = append(h.reply().Messages, outgoing(to, v))
}

func (h away) send(m *message, _ uint64) { h.post(m.plan.to.address(), typed(m.plan.form, m.serial)) }

// sendAfter sends without a token, with one of its own, or with one that others use as well and that is
// therefore cancelled before.
func (h away) sendAfter(m *message, how uint64) {
	switch kind := how % 3; {
	case kind == 1 || kind == 2 && h.Case.Config.Steady:
		m.name = fmt.Sprint("own", m.serial)
	case kind == 2:
		m.name = shared(how)
		h.cancelToken(m.name)
	}
	h.after(m.delay, m.name, outgoing(m.plan.to.address(), typed(m.plan.form, m.serial)))
	h.ex.tokens = append(h.ex.tokens, tokenUse{m.name, m})
}

func shared(how uint64) string { return fmt.Sprint("shared", how/3%3) }

func (h away) after(delay int64, token string, m remote.Outgoing) {
	h.reply().Delayed = append(h.reply().Delayed, remote.Delayed{Token: []byte(token), Delay: delay, Outgoing: m})
}

func (h away) cancelToken(token string) {
	h.reply().Delayed = append(h.reply().Delayed, remote.Delayed{Cancel: true, Token: []byte(token)})
	h.ex.tokens = append(h.ex.tokens, tokenUse{token, nil})
}

// cancel takes back a delayed message: of this reply, of an earlier one, of another id, or none.
func (h away) cancel(v uint64) {
	id := h.self.id
	if v%7 == 0 {
		id = int(v) % len(ids)
	}
	token := shared(v)
	if list := h.model.tokens[id]; v%2 == 0 && len(list) > 0 {
		token = list[int(v)%len(list)].name
	}
	if v%3 == 0 {
		for _, msg := range slices.Backward(h.sends) {
			if msg.name != "" {
				token = msg.name
				break
			}
		}
	}
	if token == "" {
		token = "never"
	}
	h.cancelToken(token)
}

func (h away) emit(rec *record) {
	v := wire(engine.String, rec.text())
	h.reply().Egress = append(h.reply().Egress, remote.Emitted{
		Namespace: []byte("sim"), Name: fmt.Append(nil, "out-", rec.egress), Payload: remote.Payload{Typename: []byte(v.Typename), Value: v.Value},
	})
}

func (h away) answer() {
	if len(h.got.CallerID) > 0 {
		h.post(engine.Address{Type: h.got.Caller, ID: string(h.got.CallerID)}, wire(engine.String, h.attempt.reply()))
	}
}

// fault spoils the reply, or has the request end without one.
func (h away) fault(k faultKind) error {
	self := kinds[0].fn.Type()
	to := engine.Address{Type: self, ID: ids[h.self.id]}
	serial := h.model.serial()
	switch k {
	case faultError:
		return &remote.Error{Reason: remote.Refused, Err: errFault}
	case faultPermanent:
		return &remote.Error{Reason: remote.Broken, Err: errFault}
	case faultPanic:
		return &remote.Error{Reason: remote.TimedOut, Err: errFault}
	case faultCrash:
		return &remote.Error{Reason: remote.Unreachable, Err: errFault}
	case faultCaller:
		return &remote.Error{Reason: remote.TooLarge, Err: errFault}
	case faultDelay:
		h.after(-1, "", outgoing(to, typed(formSmall, serial)))
	case faultFunction:
		h.post(engine.Address{Type: absent.fn.Type(), ID: to.ID}, typed(formSmall, serial))
	case faultEgress:
		h.reply().Egress = append(h.reply().Egress, remote.Emitted{Namespace: []byte("sim"), Name: []byte("nobody")})
	case faultSends:
		for range sendsMax + 1 {
			h.post(to, typed(formSmall, serial))
		}
	case faultPayload:
		h.post(to, engine.TypedValue{Typename: unlisted, Value: make([]byte, payloadBytesMax+1)})
	case faultText:
		h.post(to, engine.TypedValue{Typename: smallType.Typename(), Value: []byte("junk")})
	case faultState:
		h.reply().Mutations = append(h.reply().Mutations, remote.Mutation{Name: []byte("undeclared")})
	case faultToken:
		for range 2 {
			h.after(1, fmt.Sprint("twice", serial), outgoing(to, typed(formSmall, serial)))
		}
	}
	return nil
}

// tokenUse is a delayed message, with or without a token, or, without a message, a cancellation.
type tokenUse struct {
	token string
	sends *message
}

// sendsAfter counts the delayed messages of the reply.
func (ex *exchange) sendsAfter() (n int) {
	for i := range ex.request.Reply.Delayed {
		n += int(1 - boolean(ex.request.Reply.Delayed[i].Cancel))
	}
	return n
}

// useTokens does what the reply says about tokens, in its order, and returns the messages of earlier
// replies that will not come.
func (ex *exchange) useTokens(epoch statefun.Epoch, now clock.Instant) (cancelled []*message) {
	names := ex.model.names
	for _, use := range ex.tokens {
		key := name{ex.self.id, use.token}
		if use.sends != nil {
			if use.token != "" {
				names[key] = use.sends
			}
			continue
		}
		msg := names[key]
		delete(names, key)
		switch {
		case msg == nil || msg.done || msg.perhaps:
		case slices.ContainsFunc(ex.attempts, func(a *attempt) bool { return slices.Contains(a.sends, msg) }):
			msg.undone = true
		case msg.due > now:
			cancelled = append(cancelled, msg)
		case !msg.fired:
			ex.model.doubt(msg, epoch)
		}
		ex.trace.add(uint64(len(cancelled)))
	}
	return cancelled
}
