// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"maps"
	"slices"

	"github.com/millrace-io/millrace/engine/internal/checkpoint"
	"github.com/millrace-io/millrace/engine/internal/clock"
	"github.com/millrace-io/millrace/engine/statefun"
)

// checkFlights demands that those messages are in flight that had been sent at the cut and had not taken effect,
// each once (I4): those of the last checkpoint, and what has happened since.
func (r *run) checkFlights(c *cut) error {
	m, epoch := r.model, c.cp.Epoch
	j := m.in(epoch)
	sent := slices.Concat(j.sent, r.sources.sentBefore(epoch))
	for _, msg := range sent {
		m.inflight[msg.serial] = msg
		c.messages[msg.serial] = true
	}
	for _, msg := range j.done {
		delete(m.inflight, msg.serial)
		c.messages[msg.serial] = true
		m.burnt += burns(msg)
	}
	for _, msg := range j.doubted {
		c.messages[msg.serial] = true
	}
	for _, serial := range slices.Sorted(maps.Keys(c.messages)) {
		if err := r.checkFlight(serial, epoch); err != nil {
			return err
		}
	}
	for _, ch := range c.changes {
		if value, ok := r.ledger.entries[string(ch.Key)]; ok {
			if err := r.checkFlightEntry(string(ch.Key), value); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkFlight demands that a message is in flight, or is not. Of some messages the checkpoint tells first.
func (r *run) checkFlight(serial uint64, epoch statefun.Epoch) error {
	m, n := r.model, r.ledger.flights[serial]
	msg, want := m.messages[serial], m.inflight[serial] != nil
	switch {
	case msg == nil:
		if n == 0 {
			return nil
		}
		return fmt.Errorf("atomicity: message %d is in flight, and was never sent", serial)
	case n > 1:
		return fmt.Errorf("cuts: %v is in flight %d times", msg, n)
	case n == 1 && want:
		if msg.doubted <= epoch {
			m.certain(msg)
		}
	case n == 1 && msg.door(len(r.sources)) && (!msg.done || msg.ended > epoch):
		// A shard has taken it, earlier than was known (P18).
		m.inflight[serial] = msg
		if msg.epoch == 0 {
			msg.epoch = epoch
		}
	case n == 0 && want && msg.perhaps && msg.doubted <= epoch:
		m.remove(msg) // It was cancelled.
		msg.perhaps, msg.done, msg.ended = false, true, epoch
		delete(m.inflight, serial)
		m.burnt += burns(msg)
	case (n == 1) != want:
		return fmt.Errorf("cuts: %v is in flight: %v (epoch %d, done %v in %d, in doubt %v in %d)", msg, n == 1, msg.epoch, msg.done, msg.ended, msg.perhaps, msg.doubted)
	}
	return nil
}

// burns is the money that is gone with a message that did not take effect.
func burns(msg *message) int64 {
	if msg.ran {
		return 0
	}
	return amount(msg.from, msg.plan.to, msg.serial)
}

// tokenShardBits is how many of a token's bits say which shard has made it. The others are a number like those
// of arrival.
const tokenShardBits = 10

// checkFlightEntry compares what an entry says of a message with the message.
func (r *run) checkFlightEntry(key, value string) error {
	if k := key[0]; k != checkpoint.KindMessage && k != checkpoint.KindDelayed || r.ledger.isAnswer(key) {
		return nil
	}
	f, err := r.ledger.flight(key, value)
	if err != nil {
		return err
	}
	number := f.number
	if f.delayed {
		number >>= tokenShardBits
	}
	switch msg := r.model.messages[f.serial]; {
	case number > r.ledger.cp.Numbers:
		return fmt.Errorf("cuts: %v has the number %d of %d (P11)", msg, f.number, r.ledger.cp.Numbers)
	case msg.plan.to != f.to || msg.plan.form != f.form,
		msg.from.outside == 0 && f.caller != msg.from.address.address(),
		msg.from.outside > 0 && (f.caller.ID != "") != msg.asked:
		return fmt.Errorf("isolation: %v is in flight as %+v", msg, f)
	case f.delayed && (f.due != msg.due || f.name != msg.name || msg.token != 0 && f.number != uint64(msg.token)):
		return fmt.Errorf("time: %v is in flight as %+v", msg, f)
	case !f.delayed && msg.delayed && msg.due > clock.Instant(r.ledger.cp.CreatedAt):
		return fmt.Errorf("time: %v has fired before %d", msg, r.ledger.cp.CreatedAt)
	}
	return nil
}

// committed forgets what nobody can ask for any more: there is no way back behind a committed epoch.
func (m *model) committed(epoch statefun.Epoch) {
	for e := range m.journal {
		if e <= epoch {
			delete(m.journal, e)
		}
	}
	for _, inst := range m.instances {
		inst.committed(epoch)
	}
}

// checkQueue demands that what was known to come first at an address at the cut does so in the checkpoint (P9).
func (r *run) checkQueue(a address, known, queue []*message) {
	for i, msg := range known {
		if i >= len(queue) || queue[i] != msg {
			r.violate(fmt.Errorf("order: %v does not wait in place %d at %v in the checkpoint", msg, i+1, a))
			return
		}
	}
}
