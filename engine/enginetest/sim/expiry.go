// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"slices"

	"github.com/millrace-io/millrace/engine/internal/clock"
)

// What expires does so to the millisecond, by engine time: for every invocation from then on, and also while the
// engine does not run (P37). So the model drops nothing: it looks at stamps.

// grains is the share of its time by which a value's stamp is ahead when only an invocation or a reading has moved
// it: so it is moved once in so long, and not each time.
const grains = 64

// alive returns the values that have not expired. What nobody declares does not.
func (r *run) alive(a address, v version, now clock.Instant) []*uint64 {
	values := slices.Clone(v.values)
	for i := range values {
		if l := r.slots[a.kind][i].lease(); l.moves != never && !r.hides(a.kind, i) && now >= v.stamps[i]+clock.Instant(l.ttl) {
			values[i] = nil
		}
	}
	return values
}

// restamp returns the stamps of the instance's values after the attempt, which takes effect now.
func (a *attempt) restamp() []clock.Instant {
	stamps := slices.Clone(a.inst.stamps)
	for i, slot := range a.slots[a.self.kind] {
		l := slot.lease()
		switch {
		case l.moves == never || a.hides(a.self.kind, i):
		case a.wrote&(1<<i) != 0:
			stamps[i] = a.now
		case l.moves != nothing && !kinds[a.self.kind].far && stamps[i] < a.now:
			stamps[i] = a.now + clock.Instant(l.ttl)/grains
		}
	}
	return stamps
}

// An instance that has not been messaged for some time is dropped, unless it has sent what is still to be delivered.
// When that was delivered nobody tells, so there is a time in which it may be dropped, or may not.

// spare notes that a delayed message of an instance is pending no more.
func (m *model) spare(from origin) {
	if from.outside == 0 && kinds[from.kind].idle > 0 {
		inst := m.instances[from.address]
		inst.spared = max(inst.spared, m.now())
	}
}

// mayForget reports whether an instance may have been dropped by now, mustForget whether it has been by the next
// invocation.
func (i *instance) mayForget(a address, v version, now clock.Instant) bool {
	return kinds[a.kind].idle > 0 && now >= v.seen+clock.Instant(kinds[a.kind].idle)
}

func (r *run) mustForget(a address, i *instance, now clock.Instant) bool {
	idle := clock.Instant(kinds[a.kind].idle)
	return idle > 0 && now >= max(i.seen, i.spared)+idle+idle/grains && len(i.first) == 0 && !r.hasSent(a, 0)
}

// hasSent reports whether something that an instance has sent is still to be delivered, and not before a time. Then
// it has been so ever since the instance was last messaged.
func (r *run) hasSent(a address, notBefore clock.Instant) bool {
	return slices.ContainsFunc(r.model.tokens[a.id], func(msg *message) bool {
		return msg.from.address == a && !msg.done && (notBefore == 0 || msg.due > notBefore && !msg.perhaps)
	})
}

// forgets finds out whether the instance has been dropped.
func (a *attempt) forgets(slots []slot) {
	for i := range a.values {
		if a.values[i] == nil && a.inst.values[i] != nil {
			a.stats.Expired++
		}
	}
	if !a.inst.mayForget(a.self, a.inst.version, a.now) || a.hasSent(a.self, a.now) {
		return
	}
	if !a.run.mustForget(a.self, a.inst, a.now) && slices.ContainsFunc(slots, func(s slot) bool { return s.has(a.ctx) }) {
		return
	}
	if kept(a.values) {
		a.stats.Forgotten++
	}
	clear(a.values)
}
