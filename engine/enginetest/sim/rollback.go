// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/millrace-io/millrace/engine/internal/checkpoint"
)

// rollback takes the model back to the last checkpoint: what has happened since has not happened, and what it has
// in flight is still to come, in the order that its entries say. Only serial numbers are not used again, so that
// whatever is left of the history that was undone is known as such. When the process has stopped in order (tidy),
// that is nothing from outside.
func (r *run) rollback(tidy bool) {
	m, l := r.model, r.ledger
	epoch := l.cp.Epoch
	flights := l.inFlight()
	for serial, msg := range m.messages {
		if msg.ran && msg.ended > epoch {
			r.stats.Undone++
		}
		switch f, ok := flights[serial]; {
		case ok:
			msg.done, msg.ran, msg.undone, msg.perhaps, msg.answer = false, false, false, false, ""
			msg.fired = msg.delayed && !f.delayed
		case !msg.done || msg.ended > epoch:
			delete(m.messages, serial)
			if tidy && msg.door(len(r.sources)) {
				r.violate(fmt.Errorf("doors: %v was lost by a process that has stopped in order (P40)", msg))
			}
		}
	}
	m.pending, m.delayed, m.doubts = 0, 0, 0
	clear(m.streams)
	clear(m.names)
	clear(m.journal)
	for i := range m.tokens {
		m.tokens[i] = slices.DeleteFunc(m.tokens[i], func(msg *message) bool { return m.messages[msg.serial] != msg })
	}
	order := func(a, b *message) int { return cmp.Compare(a.order, b.order) }
	for _, msg := range slices.SortedFunc(maps.Values(m.messages), order) {
		if msg.done {
			continue
		}
		m.await(msg)
		if f := flights[msg.serial]; f.delayed && msg.name != "" {
			m.names[name{msg.from.id, msg.name}] = msg
		}
	}
	r.rollbackInstances(flights)
	r.rollbackRecords()
	for _, s := range r.sources {
		s.next, s.made, s.opened, s.broken = s.committed, nil, false, false
		clear(s.newest)
	}
	r.clients.restarted(r)
	r.stats.recovered(r, flights)
}

// inFlight reads all messages in flight.
func (l *ledger) inFlight() map[uint64]flight {
	flights := map[uint64]flight{}
	for key, value := range l.entries {
		if k := key[0]; (k == checkpoint.KindMessage || k == checkpoint.KindDelayed) && !l.isAnswer(key) {
			if f, err := l.flight(key, value); err == nil { // It has been read before.
				flights[f.serial] = f
			}
		}
	}
	return flights
}

// rollbackInstances has every address as it was at the cut, with its queue (P9, P10). How often something has
// been tried, and what was on its way to it from outside, is forgotten.
func (r *run) rollbackInstances(flights map[uint64]flight) {
	m, epoch := r.model, r.ledger.cp.Epoch
	queues := map[address][]flight{}
	for _, f := range flights {
		if !f.delayed {
			queues[f.to] = append(queues[f.to], f)
		}
	}
	for a, inst := range m.instances {
		inst.version, inst.past = inst.at(epoch), nil
		inst.epoch = min(inst.epoch, epoch)
		inst.attempts, inst.skip, inst.resumes, inst.pardon, inst.asked, inst.busy, inst.broken = 0, false, 0, false, 0, false, 0
		inst.freed = -1
		r.drop(a, inst)
		_, inst.suspended = r.ledger.entries[r.ledger.suspendedKey(a)]
	}
	for a := range queues {
		m.instance(a, len(r.slots[a.kind]))
	}
	for a, inst := range m.instances {
		known, queue := inst.first, queues[a]
		inst.first = nil
		slices.SortFunc(queue, func(a, b flight) int { return cmp.Compare(a.number, b.number) })
		for _, f := range queue {
			inst.first = append(inst.first, m.messages[f.serial])
		}
		r.checkQueue(a, known, inst.first)
	}
}
