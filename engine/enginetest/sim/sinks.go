// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/internal/checkpoint"
	"github.com/millrace-io/millrace/engine/statefun"
)

var egresses = [...]engine.Egress[string]{
	engine.NewEgress("sim/out-0", engine.String), engine.NewEgress("sim/out-1", engine.String),
}

// sink checks records and confirms them at once, later, or never.
type sink struct {
	*run
	number int
	open   []published // In this life.
	epoch  statefun.Epoch
	index  int64
	lost   int64
	done   int64
}

// published is a record that the sink has not said anything of.
type published struct {
	record *record
	done   func(error)
}

// restarted forgets what the sink was in the middle of.
func (s *sink) restarted() { s.open, s.epoch, s.index, s.lost, s.done = nil, 0, -1, 0, 0 }

func (s *sink) Open(context.Context) error { return nil }

func (s *sink) Publish(rec connector.Record, done func(error)) {
	if s.dead {
		return
	}
	want, err := s.check(rec)
	if err != nil {
		s.violate(err)
		return
	}
	s.trace.add(uint64(rec.Epoch), rec.Index)
	s.logf("publish %s of %q", rec.IdempotencyKey(), rec.Sender.String())
	if name := (recordName{rec.Epoch, rec.Index}); s.left[name] == nil {
		s.left[name] = want
	} else {
		s.stats.Replayed++
	}
	if s.struck(inPublish, "while a record is published") {
		return
	}
	s.open = append(s.open, published{want, done})
	if s.schedule.IntN(2) == 0 && !s.Case.Config.Faults.Mute {
		s.confirm(len(s.open) - 1)
	}
}

func (s *sink) Close(context.Context) error { return nil }

func (s *sink) confirm(i int) {
	p := s.open[i]
	s.open = slices.Delete(s.open, i, i+1)
	p.record.confirmed = true
	if s.schedule.IntN(100) >= 100-s.Case.Config.Faults.Sinks {
		s.lost++
		p.done(errors.New("a fault of the simulation"))
		return
	}
	s.done++
	p.done(nil)
}

func (s *sink) check(rec connector.Record) (want *record, err error) {
	text, err := engine.String.Decode(rec.Value)
	if err != nil {
		return nil, err
	}
	want = s.model.records[serialOfRecord(text)]
	if want == nil || text != want.text() {
		return nil, fmt.Errorf("atomicity: record %s of %q was never emitted", rec.IdempotencyKey(), rec.Sender.String())
	}
	l := lane{want.from, want.egress}
	switch queue := s.model.emitted[l]; {
	case len(queue) == 0 || queue[0] != want:
		return nil, fmt.Errorf("order: record %s of %q is lost, doubled or overtaken", rec.IdempotencyKey(), rec.Sender.String())
	case rec.Sender != want.from.address() || want.egress != s.number:
		return nil, fmt.Errorf("isolation: record %s seems to come from %q", rec.IdempotencyKey(), rec.Sender.String())
	}
	s.model.emitted[l] = s.model.emitted[l][1:]
	if rec.Epoch < s.epoch || rec.Epoch == s.epoch && int64(rec.Index) <= s.index {
		return nil, fmt.Errorf("release: record %s comes after (%d, %d)", rec.IdempotencyKey(), s.epoch, s.index)
	}
	s.epoch, s.index = rec.Epoch, int64(rec.Index)
	if err := s.checkName(rec, want); err != nil {
		return nil, err
	}
	return want, s.checkChain(want)
}

// recordName is the name of a record for ever.
type recordName struct {
	epoch statefun.Epoch
	index uint64
}

// checkName demands that a record has one name, that no other has it, and that its epoch is durable (I5).
func (s *sink) checkName(rec connector.Record, want *record) error {
	if other := s.left[recordName{rec.Epoch, rec.Index}]; other != nil && other != want {
		return fmt.Errorf("release: record %s shares its name with another", rec.IdempotencyKey())
	}
	if want.named && want.index != rec.Index {
		return fmt.Errorf("release: record %s had the index %d", rec.IdempotencyKey(), want.index)
	}
	want.named, want.index = true, rec.Index
	if !s.Case.Config.epochs() {
		return nil
	}
	if rec.Epoch != want.epoch {
		return fmt.Errorf("release: record %s was emitted in epoch %d", rec.IdempotencyKey(), want.epoch)
	}
	if rec.Epoch > s.newest() {
		return fmt.Errorf("release: record %s leaves, but epoch %d is the last that is committed", rec.IdempotencyKey(), s.newest())
	}
	return nil
}

// checkChain demands that whoever counts had one history, as far as it can be seen outside: for each number of
// messages there is one hash of them. Two are a record of an invocation that was undone.
func (s *sink) checkChain(rec *record) error {
	if rec.chain.n == 0 {
		return nil
	}
	key := chained{rec.from, rec.chain.n}
	if h, ok := s.chains[key]; ok && h != rec.chain.h {
		return fmt.Errorf("release: two histories of %v, of %d messages each, have been seen outside", rec.from, rec.chain.n)
	}
	s.chains[key] = rec.chain.h
	return nil
}

type chained struct {
	from address
	n    uint64
}

// text is the value of the record.
func (rec *record) text() string {
	return fmt.Sprintf("%d/%d/%x%s", rec.serial, rec.chain.n, rec.chain.h, strings.Repeat(".", int(rec.serial%5*rec.serial%200)))
}

func serialOfRecord(text string) (serial uint64) {
	_, _ = fmt.Sscanf(text, "%d/", &serial)
	return serial
}

// checkOutbox demands that the checkpoint has the records of its epoch, and takes no record out before its sink
// has said what became of it.
func (r *run) checkOutbox(c *cut) error {
	for key := range c.records {
		epoch, index, err := checkpoint.ParseRecordKey([]byte(key))
		if err != nil {
			return err
		}
		value, there := r.ledger.entries[key]
		if !there {
			if rec := r.left[recordName{epoch, index}]; rec == nil || !rec.confirmed {
				return fmt.Errorf("release: record (%d, %d) is taken out and has not been confirmed", epoch, index)
			}
			continue
		}
		stored, err := checkpoint.ParseRecord([]byte(value))
		if err != nil {
			return err
		}
		text, err := engine.String.Decode(stored.Value)
		if err != nil {
			return err
		}
		rec := r.model.records[serialOfRecord(text)]
		if rec == nil || rec.epoch != epoch || epoch != c.cp.Epoch || text != rec.text() ||
			string(stored.Egress) != fmt.Sprint("sim/out-", rec.egress) || string(stored.SenderID) != ids[rec.from.id] || rec.named {
			return fmt.Errorf("cuts: record (%d, %d) is not one of epoch %d", epoch, index, c.cp.Epoch)
		}
		rec.named, rec.index = true, index
	}
	last := map[lane]*record{}
	for _, rec := range r.model.in(c.cp.Epoch).records {
		l := lane{rec.from, rec.egress}
		if !rec.named || last[l] != nil && last[l].index >= rec.index {
			return fmt.Errorf("cuts: a record of %v, emitted in epoch %d, is not in the checkpoint, or not in its order (P35)", rec.from, rec.epoch)
		}
		last[l] = rec
	}
	return nil
}

// rollbackRecords has those records wait for their sinks that the checkpoint has, and no others: in their order
// (P35), and under the names that they had.
func (r *run) rollbackRecords() {
	m, epoch := r.model, r.ledger.cp.Epoch
	for serial, rec := range m.records {
		if rec.epoch > epoch {
			delete(m.records, serial)
		}
	}
	clear(m.emitted)
	for _, key := range slices.Sorted(maps.Keys(r.ledger.entries)) {
		if key[0] != checkpoint.KindRecord {
			continue
		}
		rec, err := r.ledger.record(key)
		if err != nil {
			continue // It has been read before.
		}
		want := m.records[rec]
		want.confirmed = false
		l := lane{want.from, want.egress}
		m.emitted[l] = append(m.emitted[l], want)
	}
}

// record reads an entry of the outbox.
func (l *ledger) record(key string) (serial uint64, err error) {
	stored, err := checkpoint.ParseRecord([]byte(l.entries[key]))
	if err != nil {
		return 0, err
	}
	text, err := engine.String.Decode(stored.Value)
	return serialOfRecord(text), err
}
