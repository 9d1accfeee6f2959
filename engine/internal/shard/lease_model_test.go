// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"maps"
	"math"
	"strings"

	"pgregory.net/rapid"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/internal/clock"
)

// leaseModel is what a shard promises of what expires, said in maps: what is there until when, at least and at
// most. In between the shard may choose, and the model follows (O7).
type leaseModel struct {
	t      *rapid.T
	r      *leaseRig
	boxes  map[string]*leaseBox
	frozen map[string]string // The instances at the cut.
}

// leaseBox is an address.
type leaseBox struct {
	values    map[string]leaseValue
	messaged  moment
	suspended bool
	delayed   int // Messages that it has sent and that are pending.
}

type leaseValue struct {
	text string
	moment
}

// moment is when a time began to count: last, or up to slack later.
type moment struct{ last, slack clock.Instant }

func (m moment) over(ttl int64, now clock.Instant) (may, must bool) {
	at := m.last + clock.Instant(ttl)
	return ttl > 0 && now >= at, ttl > 0 && now >= at+m.slack
}

// again is the moment when the time begins to count once more, by other than to write.
func (m moment) again(ttl int64, now clock.Instant) moment {
	return moment{now, max(clock.Instant(ttl/64), m.last+m.slack-now)}
}

func (m *leaseModel) box(id string) *leaseBox {
	if m.boxes[id] == nil {
		m.boxes[id] = &leaseBox{values: map[string]leaseValue{}}
	}
	return m.boxes[id]
}

func (m *leaseModel) ttl(name string) int64 {
	t := m.r.terms
	return map[string]int64{"n": t.n, "t": t.t, "i": t.i}[name]
}

// look compares what is shown of an address with what may be there: nothing that must not be gone is missing,
// and, if all that is over has been removed, nothing that must be gone is there.
func (m *leaseModel) look(id string, shown map[string]string, spared, removed bool) {
	b, now := m.box(id), m.r.now
	mayAll, mustAll := b.messaged.over(m.r.terms.idle, now)
	mayAll, mustAll = mayAll && !spared, mustAll && !spared
	if mayAll && len(shown) == 0 { // As a whole.
		clear(b.values)
	}
	for name, v := range maps.Clone(b.values) {
		may, must := v.over(m.ttl(name), now)
		switch text, ok := shown[name]; {
		case !ok && !may:
			m.t.Fatalf("%s has no %s at %d, of %+v", id, name, now-rigStart, *b)
		case !ok:
			delete(b.values, name)
		case text != v.text || removed && (must || mustAll):
			m.t.Fatalf("%s has %s=%s at %d, of %+v", id, name, text, now-rigStart, *b)
		}
	}
	if len(shown) > len(b.values) {
		m.t.Fatalf("%s has %v at %d, of %+v", id, shown, now-rigStart, *b)
	}
}

// follow takes note of what has come due and of what has been run.
func (m *leaseModel) follow() {
	m.r.advance(0)
	for senders := m.r.arrive(); len(senders) > 0; senders = m.r.arrive() {
		for _, id := range senders {
			m.unsend(m.box(id), 1)
		}
		m.r.advance(0)
	}
	for _, e := range m.r.events {
		b := m.box(e.id)
		m.look(e.id, e.shown, e.queued || b.delayed > 0, true)
		if e.failed {
			b.suspended = strings.Contains(e.message, "permanent")
		} else {
			m.run(b, e)
		}
		b.messaged = b.messaged.again(m.r.terms.idle, m.r.now)
	}
	m.r.events = m.r.events[:0]
	for range m.r.s.Failures() {
	}
}

func (m *leaseModel) unsend(b *leaseBox, n int) {
	if b.delayed -= n; b.delayed <= 0 && n > 0 {
		b.messaged = b.messaged.again(m.r.terms.idle, m.r.now)
	}
}

// run lets a message take effect.
func (m *leaseModel) run(b *leaseBox, e leaseEvent) {
	now := m.r.now
	for word := range strings.SplitSeq(e.message, ";") {
		name := word[:1]
		switch {
		case word == "flaky", word == "x":
		case word == "?":
			if v, ok := b.values["t"]; ok {
				b.values["t"] = leaseValue{v.text, v.again(m.ttl("t"), now)}
			}
		case name == "@":
			b.delayed++
		case name == "~":
			delete(b.values, word[1:])
		default:
			b.values[name] = leaseValue{word[1:], moment{last: now}}
		}
	}
	if v, ok := b.values["i"]; ok && v.last < now {
		b.values["i"] = leaseValue{v.text, v.again(m.ttl("i"), now)}
	}
	if e.cancelled {
		m.unsend(b, 1)
	}
}

// check compares all instances, when all timers have run.
func (m *leaseModel) check() {
	rows := m.r.instances()
	fn, s := m.r.s.fns[fnLease], m.r.s
	timers, senders := int(s.Delayed()), 0
	for id, b := range m.boxes {
		row := rows[id]
		delete(rows, id)
		queued := row != nil && row.Flags&flagQueued != 0
		if queued && !b.suspended {
			timers++ // The next attempt.
		}
		if b.delayed > 0 {
			senders++
		}
		shown := map[string]string{}
		if row != nil {
			shown = m.r.values(row)
			if len(shown) == 0 && !queued {
				m.t.Fatalf("%s is there with nothing", id)
			}
			l, first := fn.lease(row), s.firstOver(fn, row)
			if l.timer != 0 {
				timers++
			}
			if !queued && first < math.MaxInt64 && (l.timer == 0 || l.due > first) {
				m.t.Fatalf("%s has a timer for %d; want %d", id, l.due, first)
			}
		}
		m.look(id, shown, queued || b.delayed > 0, !queued)
	}
	if len(rows) > 0 || s.wheel.Len() != timers || m.r.terms.idle > 0 && len(s.delayedBy) != senders {
		m.t.Fatalf("%d further instances; %d timers, want %d; %d senders, want %d", len(rows), s.wheel.Len(), timers, len(s.delayedBy), senders)
	}
}

func (m *leaseModel) cut() {
	m.part()
	m.r.cut()
	m.frozen = map[string]string{}
	for id, row := range m.r.instances() {
		if row.Present != 0 {
			m.frozen[id] = m.r.row(row)
		}
	}
}

// part has the store follow, and compares it with what was there at the cut: to the millisecond, however long it
// has waited to be encoded.
func (m *leaseModel) part() {
	if m.frozen == nil {
		return
	}
	m.r.takePart(func(backend.Change) {})
	if got := m.r.stored(); !maps.Equal(got, m.frozen) {
		m.t.Fatalf("the store has %v; at the cut there was %v", got, m.frozen)
	}
	m.frozen = nil
}
