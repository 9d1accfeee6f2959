// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/statefun"
)

var (
	ingress  = engine.NewIngress("sim/in", engine.Flat[uint64]("sim/event"))
	egresses = [...]engine.Egress[string]{
		engine.NewEgress("sim/out-0", engine.String), engine.NewEgress("sim/out-1", engine.String),
	}
)

// sources are all of them.
type sources []*source

// source hands out the numbers of its events, a few at a time, and never waits.
type source struct {
	*run
	number int
	roots  []int // In the program.
	next   int
	// newest is the newest event that took effect, by epoch.
	newest    map[statefun.Epoch]int
	committed int // The position in the last checkpoint.
}

func (s *source) Open(context.Context, []byte) error { return nil }

func (s *source) Poll(_ context.Context, into *connector.Events) error {
	if !s.app.Gate.Open() {
		s.violate(fmt.Errorf("accounts: source %d is polled without credit", s.number))
	}
	for n := into.Room() - s.schedule.IntN(into.Room()+1); n > 0 && s.next < len(s.roots); n-- {
		into.Append(nil, "", binary.LittleEndian.AppendUint64(nil, uint64(s.roots[s.next])))
		s.next++
	}
	if s.next == len(s.roots) {
		return io.EOF
	}
	return nil
}

func (s *source) Position() []byte { return binary.AppendUvarint(nil, uint64(s.next)) }

func (s *source) Close() error { return nil }

// ran takes note of a message that took effect.
func (all sources) ran(m *message, epoch statefun.Epoch) {
	if i := m.from.outside - 1; i >= 0 && i < len(all) {
		all[i].newest[epoch] = max(all[i].newest[epoch], m.event)
	}
}

// checkPosition compares a position in a checkpoint with what took effect in its epoch.
func (s *source) checkPosition(epoch statefun.Epoch, position []byte) error {
	p, _ := binary.Uvarint(position) // Before the first event the position is empty.
	if int(p) < s.committed || int(p) > s.next {
		return fmt.Errorf("cuts: source %d stands at %d of %d after %d", s.number, p, s.next, s.committed)
	}
	if newest, ok := s.newest[epoch]; ok && newest >= int(p) {
		return fmt.Errorf("cuts: event %d of source %d took effect in epoch %d, the position is %d", newest, s.number, epoch, p)
	}
	delete(s.newest, epoch)
	s.committed = int(p)
	return nil
}

// route forwards all messages of an event. The program decides what they are and where they go.
func (r *run) route(d *engine.Downstream, number uint64) error {
	root := r.Case.Program.roots[number]
	for _, p := range root.messages {
		m := r.outside(root, p)
		k, id := &kinds[p.to.kind], ids[p.to.id]
		var err error
		switch p.form {
		case formSmall:
			err = engine.Forward(d, k.small.To(id), smallOf(m.serial))
		case formLarge:
			err = engine.Forward(d, k.large.To(id), largeOf(m.serial))
		case formQuery:
			err = engine.Forward(d, k.query.To(id), query{m.serial})
		default:
			err = engine.Forward(d, k.text.To(id), textOf(m.serial))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// outside makes a message that no instance has sent.
func (r *run) outside(from *root, p *plan) *message {
	m := &message{plan: p, serial: r.model.serial(), from: origin{outside: from.from + 1}}
	if from.from < len(r.sources) {
		s := r.sources[from.from]
		m.event = slices.Index(s.roots, slices.Index(r.Case.Program.roots, from))
	}
	r.model.sent(m)
	return m
}

// sink checks records and confirms them at once, later, or never.
type sink struct {
	*run
	number int
	open   []func(error)
	epoch  statefun.Epoch
	index  int64
	lost   int64
	done   int64
}

func (s *sink) Open(context.Context) error { return nil }

func (s *sink) Publish(rec connector.Record, done func(error)) {
	if err := s.check(rec); err != nil {
		s.violate(err)
	}
	s.trace.add(uint64(rec.Epoch), rec.Index)
	s.logf("publish %s of %q", rec.IdempotencyKey(), rec.Sender.String())
	s.open = append(s.open, done)
	if s.schedule.IntN(2) == 0 {
		s.confirm(len(s.open) - 1)
	}
}

func (s *sink) Close(context.Context) error { return nil }

func (s *sink) confirm(i int) {
	done := s.open[i]
	s.open = slices.Delete(s.open, i, i+1)
	if s.schedule.IntN(100) >= 100-s.Case.Config.SinkFaults {
		s.lost++
		done(errors.New("a fault of the simulation"))
		return
	}
	s.done++
	done(nil)
}

func (s *sink) check(rec connector.Record) error {
	text, err := engine.String.Decode(rec.Value)
	if err != nil {
		return err
	}
	want := s.model.records[serialOfText(text)]
	if want == nil {
		return fmt.Errorf("atomicity: record %s of %q was never emitted", rec.IdempotencyKey(), rec.Sender.String())
	}
	l := lane{want.from, want.egress}
	switch queue := s.model.emitted[l]; {
	case len(queue) == 0 || queue[0] != want:
		return fmt.Errorf("order: record %s of %q is lost, doubled or overtaken", rec.IdempotencyKey(), rec.Sender.String())
	case rec.Sender != want.from.address() || want.egress != s.number:
		return fmt.Errorf("isolation: record %s seems to come from %q", rec.IdempotencyKey(), rec.Sender.String())
	}
	s.model.emitted[l] = s.model.emitted[l][1:]
	if rec.Epoch < s.epoch || rec.Epoch == s.epoch && int64(rec.Index) <= s.index {
		return fmt.Errorf("release: record %s comes after (%d, %d)", rec.IdempotencyKey(), s.epoch, s.index)
	}
	s.epoch, s.index = rec.Epoch, int64(rec.Index)
	name := [2]uint64{uint64(rec.Epoch), rec.Index}
	if s.named[name] {
		return fmt.Errorf("release: record %s shares its name with another", rec.IdempotencyKey())
	}
	s.named[name] = true
	if !s.Case.Config.Early && rec.Epoch != want.epoch {
		return fmt.Errorf("release: record %s was emitted in epoch %d", rec.IdempotencyKey(), want.epoch)
	}
	if !s.Case.Config.Early && rec.Epoch > s.committed() {
		return fmt.Errorf("release: record %s leaves, but only %d epochs are committed", rec.IdempotencyKey(), s.committed())
	}
	return nil
}
