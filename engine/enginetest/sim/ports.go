// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/statefun"
)

var ingress = engine.NewIngress("sim/in", engine.Flat[uint64]("sim/event"))

// sources are all of them.
type sources []*source

// source hands out the numbers of its events, a few at a time, and never waits.
type source struct {
	*run
	number int
	roots  []int // In the program.
	next   int
	// opened says that this life's engine has said where to go on, broken that the source has failed since, placed
	// that a checkpoint has a position of it.
	opened, broken, placed bool
	// newest is the newest event that took effect, by epoch.
	newest    map[statefun.Epoch]int
	committed int        // The position in the last checkpoint.
	made      []*message // Of the events from there on.
}

// Open is where the engine goes on: at the last checkpoint (I6). Without one the source begins somewhere, and not
// always at the same event.
func (s *source) Open(_ context.Context, position []byte) error {
	if got := positionOf(position); got != s.committed || (position == nil) == s.placed || s.opened {
		s.violate(fmt.Errorf("recovery: source %d is opened at %d; the checkpoint has it at %d", s.number, got, s.committed))
	}
	if s.opened = true; position == nil && !s.Case.Config.Steady {
		s.next = s.schedule.IntN(min(len(s.roots), 1) + 1)
	}
	return nil
}

func (s *source) Poll(_ context.Context, into *connector.Events) error {
	if s.dead {
		return nil
	}
	if !s.app.Gate.Open() {
		s.violate(fmt.Errorf("accounts: source %d is polled without credit", s.number))
	}
	if s.recorder != nil && s.Case.Config.epochs() && !s.placed {
		s.violate(fmt.Errorf("recovery: source %d is polled, and no checkpoint has the position where it began (P39)", s.number))
	}
	if s.polls < s.Case.Config.Faults.Polls && s.survives() && one(s.schedule, 10) {
		s.stats.SourceFailures++
		s.polls++
		s.broken = true
		return errFault
	}
	for n := into.Room() - s.schedule.IntN(into.Room()+1); n > 0 && s.next < len(s.roots); n-- {
		into.Append(nil, "", binary.LittleEndian.AppendUint64(nil, uint64(s.roots[s.next])))
		s.next++
	}
	if s.struck(inPoll, "in a poll") {
		return nil
	}
	if s.next == len(s.roots) {
		return io.EOF
	}
	return nil
}

func (s *source) Position() []byte { return binary.AppendUvarint(nil, uint64(s.next)) }

// positionOf reads a position. Before the first event it is empty.
func positionOf(position []byte) int {
	p, _ := binary.Uvarint(position)
	return int(p)
}

func (s *source) Close() error { return nil }

// ran takes note of a message that took effect.
func (all sources) ran(m *message, epoch statefun.Epoch) {
	if i := m.from.outside - 1; i >= 0 && i < len(all) {
		all[i].newest[epoch] = max(all[i].newest[epoch], m.event)
	}
}

// checkPositions compares the positions in a checkpoint with what took effect in its epoch.
func (r *run) checkPositions(c *cut) error {
	want := 0
	for i, s := range r.sources {
		if s.placed || i < len(r.sources)-r.layout.Absent {
			want++ // One that is not connected is carried on (P38).
		}
	}
	if len(c.cp.Sources) != want {
		return fmt.Errorf("cuts: positions of %d sources, not %d (P38)", len(c.cp.Sources), want)
	}
	for _, p := range c.cp.Sources {
		s, err := r.sources.named(p)
		if err != nil {
			return err
		}
		s.placed = s.placed || p.Position != nil
		if err := s.checkPosition(c.cp.Epoch, positionOf(p.Position)); err != nil {
			return err
		}
	}
	return nil
}

func (all sources) named(p backend.SourcePosition) (*source, error) {
	for i, s := range all {
		if p.Source == fmt.Sprintf("sim/in#%d", i) {
			return s, nil
		}
	}
	return nil, fmt.Errorf("cuts: the position of a source %q", p.Source)
}

func (s *source) checkPosition(epoch statefun.Epoch, p int) error {
	if p < s.committed || p > s.next {
		return fmt.Errorf("cuts: source %d stands at %d of %d after %d", s.number, p, s.next, s.committed)
	}
	if newest, ok := s.newest[epoch]; ok && newest >= p {
		return fmt.Errorf("cuts: event %d of source %d took effect in epoch %d, the position is %d", newest, s.number, epoch, p)
	}
	delete(s.newest, epoch)
	s.committed = p
	return nil
}

// sentBefore returns the messages that a checkpoint's positions are behind, and those of the last one were not.
func (all sources) sentBefore(epoch statefun.Epoch) (sent []*message) {
	for _, s := range all {
		n := 0
		for n < len(s.made) && s.made[n].event < s.committed {
			s.made[n].epoch = epoch
			n++
		}
		sent = append(sent, s.made[:n]...)
		s.made = s.made[n:]
	}
	return sent
}

// route forwards all messages of an event. The program decides what they are and where they go.
func (r *run) route(d *engine.Downstream, number uint64) error {
	root := r.Case.Program.roots[number]
	for i, p := range root.messages {
		var m *message
		if r.routing != nil {
			r.routed(r.routing.parts[i])
			m = r.routing.parts[i].message
		} else {
			m = r.outside(root, p)
		}
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
		s.made = append(s.made, m)
	}
	r.model.sent(m)
	return m
}
