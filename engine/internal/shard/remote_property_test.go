// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/millrace-io/millrace/engine/internal/clock"
	"github.com/millrace-io/millrace/engine/remote"
)

var remoteSpecs = []string{"n", "w,w100", "i,i150"}

// answer ends a request in some way, as a function or the way to it might.
func (m *remoteModel) answer(t *rapid.T, c *Call, well bool) {
	address := addressOf(c)
	b, messages := m.box(address), len(c.Messages)
	if len(c.State) < len(remoteSpecs) {
		m.ask(t, c)
		return
	}
	if !well {
		switch rapid.IntRange(0, 5).Draw(t, "end") {
		case 0:
			reason := rapid.SampledFrom([]remote.Reason{remote.Unreachable, remote.TimedOut, remote.Refused, remote.Broken, remote.TooLarge}).Draw(t, "reason")
			m.r.end(c, &remote.Error{Reason: reason, RetryAfter: time.Duration(rapid.IntRange(0, delayMost).Draw(t, "after")) * time.Millisecond})
			m.failed(b, messages, reason)
			return
		case 1: // It asks for what it has been sent.
			m.r.effect(&c.Reply, "?n")
			m.r.end(c, nil)
			m.failed(b, messages, remote.Broken)
			return
		}
	}
	effects := m.effects(t, c, b, well)
	m.r.end(c, nil)
	if effects == nil {
		m.failed(b, messages, remote.Broken)
		return
	}
	effects()
	m.delivered(b, messages)
}

// ask has a function ask for state that it has not been sent.
func (m *remoteModel) ask(t *rapid.T, c *Call) {
	missing := remoteSpecs[len(c.State):]
	missing = missing[:rapid.IntRange(1, len(missing)).Draw(t, "missing")]
	for _, spec := range missing {
		m.r.effect(&c.Reply, "?"+spec)
		if known := m.known[c.Target.Name]; !slices.Contains(known, specOf(spec)) {
			m.known[c.Target.Name] = append(known, specOf(spec))
		}
	}
	m.r.effect(&c.Reply, "!out:never")
	m.r.end(c, nil)
}

// effects fills in a reply, and returns what it does to the model; nil: it is refused.
func (m *remoteModel) effects(t *rapid.T, c *Call, b *box, well bool) func() {
	address, id := addressOf(c), string(c.ID)
	add := func(word string) { m.r.effect(&c.Reply, word) }
	values, tokens, delayed := maps.Clone(b.values), maps.Clone(m.tokens), slices.Clone(m.delayed)
	var sent, emitted []string
	refused := false
	for _, message := range c.Messages {
		add("!out:" + string(message.Value))
		emitted = append(emitted, string(message.Value))
		for range rapid.IntRange(0, 3).Draw(t, "effects") {
			switch word := m.word("d"); rapid.IntRange(0, 8).Draw(t, "effect") {
			case 0:
				add(">test/probe/z:m" + word)
				sent = append(sent, id+"→z:m"+word)
			case 1:
				token := rapid.SampledFrom([]string{"", "t", "u"}).Draw(t, "token")
				delay := rapid.IntRange(0, 300).Draw(t, "delay")
				key := id + " " + token
				if token == "" {
					key = ""
				} else if tokens[key] != 0 {
					if refused = true; well {
						refused = false
						continue
					}
				} else {
					tokens[key] = 1
				}
				add(fmt.Sprintf("@%d,%s,z:%s", delay, token, word))
				delayed = append(delayed, delayedModel{m.r.now + clock.Instant(delay), id + "→z:" + word, key})
			case 2:
				add("xt")
				delete(tokens, id+" t")
				delayed = slices.DeleteFunc(delayed, func(d delayedModel) bool { return d.key == id+" t" })
			case 3:
				add("~n")
				delete(values, "n")
			case 4, 5, 6, 7:
				name := rapid.SampledFrom([]string{"n", "w", "i"}).Draw(t, "name")
				value := strings.Repeat(word, m.serial%40)
				add("=" + name + ":" + value)
				values[name] = valueModel{value, m.r.now}
			case 8:
				if refused = !well; !well {
					add(rapid.SampledFrom([]string{"!nobody:x", ">test/nobody/z:x", "=x:1", "@-1,,z:x", ">test/probe/z:junk"}).Draw(t, "refused"))
				}
			}
			if refused {
				return nil
			}
		}
	}
	return func() {
		b.values, m.tokens, m.delayed = values, tokens, delayed
		m.emitted["out"] = append(m.emitted["out"], emitted...)
		if len(sent) > 0 {
			m.sent[address] = append(m.sent[address], sent...)
		}
	}
}

// cut ends an epoch, and takes the part of the one before.
func (m *remoteModel) cut() {
	m.takePart()
	m.check() // What has been sent does not go with the part of this test.
	m.r.cut()
	m.cutAt, m.frozen = m.r.now, map[string]map[string]valueModel{}
	for address, b := range m.boxes {
		m.frozen[address] = maps.Clone(b.values)
	}
}

// takePart adds a part to the store, as a backend does, and compares that with the state at the cut.
func (m *remoteModel) takePart() {
	if m.frozen == nil {
		return
	}
	if part := m.r.part(); part != "" {
		for change := range strings.SplitSeq(part, ", ") {
			op, rest, _ := strings.Cut(change, " ")
			address, state, _ := strings.Cut(rest, " ")
			if _, ok := m.store[address]; !ok && op == "delete" {
				m.t.Fatalf("the part deletes %s, which the store does not have", address)
			}
			if m.store[address] = state; op == "delete" {
				delete(m.store, address)
			}
		}
	}
	for address, values := range m.frozen {
		name, _, _ := strings.Cut(address, "/")
		got := strings.Fields(m.store[address])
		for _, spec := range m.known[name] {
			v, ok := values[spec.Name]
			s := spec.Name + "=" + v.value
			if spec.Expiry != remote.Never {
				s += fmt.Sprintf("@%d", v.stamp-rigStart)
			}
			i := slices.Index(got, s)
			if i < 0 && ok && !m.over(spec, v, m.cutAt) {
				m.t.Fatalf("the store has %q of %s; at the cut there was %s", m.store[address], address, s)
			}
			if i >= 0 && ok {
				got = slices.Delete(got, i, i+1) // If it had expired, it may be there still.
			}
		}
		if len(got) > 0 {
			m.t.Fatalf("the store has %q of %s that was not there at the cut", got, address)
		}
	}
	m.frozen = nil
}

// heal has everything come to its end.
func (m *remoteModel) heal(t *rapid.T) {
	for range 100 {
		for _, address := range slices.Sorted(maps.Keys(m.boxes)) {
			if b := m.boxes[address]; b.suspended {
				m.resume(address, false)
			}
		}
		for len(m.r.under) > 0 {
			m.answer(t, m.r.under[0], true)
			m.look()
		}
		m.pass(1000)
	}
	m.check()
	m.r.idle()
}

func (m *remoteModel) resume(address string, skip bool) {
	b := m.box(address)
	name, id, _ := strings.Cut(address, "/")
	if b.suspended {
		b.suspended, b.attempts, b.broken, b.begun = false, 0, 0, false
		if skip {
			b.waiting = b.waiting[1:]
			m.emptied(b)
		}
	}
	m.r.goOnAt(modelFunctions[name], id, skip)
	m.r.s.Failures()
	m.fire()
	m.look()
}

// Whatever functions elsewhere and the way to them do: each message takes effect once, those of an address
// in order; a reply as a whole or not at all; state is what replies have made of it and expires when it
// should; the parts of the epochs amount to the state at the cut; and nothing is left behind.
func TestRemoteModel(t *testing.T) {
	addresses := rapid.SampledFrom([]string{"cart/a", "cart/b", "desk/a", "cart/an-id-of-more-than-sixteen-bytes", "desk/c"})
	rapid.Check(t, func(t *rapid.T) {
		policy := remote.Policy{
			InFlightMax: rapid.IntRange(1, 3).Draw(t, "in flight"), MessagesMax: rapid.SampledFrom([]int{4, 1, 1000}).Draw(t, "messages"),
			BrokenMax: rapid.IntRange(1, 3).Draw(t, "broken"), RetryMost: 100 * time.Millisecond,
			Call:      rapid.SampledFrom([]time.Duration{10 * time.Second, 150 * time.Millisecond}).Draw(t, "call"),
			Exhausted: remote.Action(rapid.IntRange(0, 2).Draw(t, "exhausted")),
		}
		if policy.Exhausted == remote.DeadLetter {
			policy.DeadLetter = "test/dead"
		}
		if err := policy.Validate(); err != nil {
			t.Fatal(err)
		}
		m := newRemoteModel(t, policy)
		t.Repeat(map[string]func(*rapid.T){
			"post": func(t *rapid.T) { m.post(rapid.SliceOfN(addresses, 1, 6).Draw(t, "addresses")...) },
			"answer": func(t *rapid.T) {
				for range rapid.IntRange(1, 4).Draw(t, "answers") {
					if len(m.r.under) > 0 {
						m.answer(t, m.r.under[rapid.IntRange(0, len(m.r.under)-1).Draw(t, "which")], false)
						m.look()
					}
				}
			},
			"pass":   func(t *rapid.T) { m.pass(clock.Instant(rapid.IntRange(0, 250).Draw(t, "ms"))) },
			"resume": func(t *rapid.T) { m.resume(addresses.Draw(t, "address"), rapid.Bool().Draw(t, "skip")) },
			"cut":    func(*rapid.T) { m.cut() },
			"encode": func(t *rapid.T) { m.r.s.EncodeFrozen(rapid.IntRange(1, 3).Draw(t, "most")) },
			"":       func(*rapid.T) { m.check() },
		})
		m.heal(t)
		m.cut()
		for _, address := range slices.Sorted(maps.Keys(m.boxes)) {
			m.post(address)
			c := m.r.under[0]
			for _, v := range c.State {
				m.r.effect(&c.Reply, "~"+v.Name)
			}
			m.r.end(c, nil)
		}
		m.takePart()
		m.r.idle()
		if s := m.r.s; s.Instances() != 0 || s.heap.Bytes() != 0 || s.wheel.Len() != 0 {
			t.Fatalf("%d instances, %d bytes, %d timers in the end", s.Instances(), s.heap.Bytes(), s.wheel.Len())
		}
	})
}
