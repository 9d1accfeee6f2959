// SPDX-License-Identifier: Apache-2.0

package driver

import "fmt"

// shards is what shards can do next.
func (s *successors) shards() {
	w := s.nodes[s.at].world
	for i := range w.shards {
		m := &w.shards[i]
		if w.epochs.announced > m.epoch && !m.closing {
			s.any = true
			s.do(fmt.Sprint("shard ", i, " cuts"), func(w *world, _ *event) error { return w.cut(i, w.epochs.announced, s.bug) })
		}
		if m.now.inFlight != 0 && s.bug != ringsBeforeQueue {
			s.any = true
			for k := range uint8(marker) {
				if m.now.inFlight.has(k) {
					s.do(fmt.Sprint("shard ", i, " runs ", k, " of its queue"), func(w *world, _ *event) error {
						w.shards[i].now.inFlight &^= 1 << k
						return w.run(i, k)
					})
				}
			}
		} else {
			for from := range m.in {
				if m.in[from].n > 0 {
					s.any = true
					s.do(fmt.Sprint("shard ", i, " takes from ", from), func(w *world, _ *event) error { return w.take(i, from, s.bug) })
				}
			}
			if i == askTo && !w.sent && !w.acked {
				s.any = true
				s.do("the client asks", s.ask)
			}
		}
	}
}

// ask has the client's message taken.
func (s *successors) ask(w *world, e *event) error {
	m := &w.shards[askTo]
	w.sent = true
	epoch := m.epoch // P18: that of the step that takes it.
	switch s.bug {
	case ackAtOnce:
		w.acked = true
		return w.run(askTo, ask)
	case ticketOfCutEpoch:
		if m.closing {
			epoch--
		}
	}
	m.waits[epoch&1] = true
	if s.bug != wantForgotten {
		w.epochs.wanted = epoch
		*e = event{kind: want, epoch: epoch}
	}
	return w.run(askTo, ask)
}

// takeMarkers has shards take the markers of the epoch that they are in, and hand in the parts that are complete
// then. Nothing else that happens depends on when they do that, so that they do it at once: there are fewer states.
func (w *world) takeMarkers(bug mutant) (events []event) {
	for i := range w.shards {
		m := &w.shards[i]
		for from := range m.in {
			for r := &m.in[from]; r.n > 0 && r.items[0].message == marker && r.items[0].epoch <= m.epoch; {
				r.pop()
				m.markers++
			}
		}
		if m.closing && (m.markers == shardsMax+1 || bug == markersNotAwaited && m.markers > 0) { // P7.
			events = append(events, w.handIn(i))
		}
	}
	return events
}

func (w *world) handIn(i int) event {
	m := &w.shards[i]
	closing := m.epoch - 1
	e := event{kind: part, who: uint8(i), epoch: closing, image: m.cut, emitted: m.sealed, waits: m.waits[closing&1]}
	w.epochs.waiter = w.epochs.waiter || e.waits
	w.epochs.parts |= 1 << i
	m.waits[closing&1] = false
	m.closing, m.cut, m.sealed, m.markers = false, shardImage{}, 0, 0
	return e
}

// pump is what the pump can do next.
func (s *successors) pump() {
	w := s.nodes[s.at].world
	if w.epochs.announced > w.pump.epoch {
		s.any = true
		s.do("the pump cuts", func(w *world, e *event) error {
			w.pump.epoch = w.epochs.announced
			for i := range w.shards {
				w.shards[i].in[shardsMax].push(item{w.pump.epoch, marker})
			}
			*e = event{kind: position, epoch: w.pump.epoch - 1, position: w.pump.read}
			if s.bug == positionTooLate && w.pump.read < recordsMax {
				e.position++
				w.pump.read++
				w.shards[recordTo(w.pump.read-1)].in[shardsMax].push(item{w.pump.epoch, w.pump.read - 1})
			}
			w.epochs.parts |= 1 << shardsMax
			return nil
		})
	}
	if w.pump.read < recordsMax {
		s.any = true
		s.do("the pump reads", func(w *world, _ *event) error {
			w.shards[recordTo(w.pump.read)].in[shardsMax].push(item{w.pump.epoch, w.pump.read})
			w.pump.read++
			return nil
		})
	}
}

// epochs is what the store, the sink and the interval can do next.
func (s *successors) epochs() {
	e := s.nodes[s.at].world.epochs
	switch {
	case e.committing && !e.landed:
		s.any = true
		s.do("the commit lands", func(w *world, _ *event) error { w.land(); return nil })
		if s.bug == commitTooEarly {
			s.do("the commit returns too early", func(_ *world, e *event) error { *e = event{kind: returned}; return nil })
		}
	case e.committing:
		s.any = true
		s.do("the commit returns", func(_ *world, e *event) error { *e = event{kind: returned}; return nil })
	}
	if e.queued != 0 {
		s.any = true
		s.do("the sink takes", func(_ *world, e *event) error { *e = event{kind: drain}; return nil })
	}
}

// land has the commit that is under way be in the store.
func (w *world) land() {
	e := &w.epochs
	e.landed = true
	w.durable = e.announced - 1
	w.stored = e.offered
	for r := range uint8(recordsMax) {
		if e.deletes.has(r) {
			w.outbox[r] = name{}
		}
		if e.puts[r] != (name{}) {
			w.outbox[r] = e.puts[r]
		}
	}
}

// faults is what can happen besides: time passes, a commit fails, the process dies.
func (s *successors) faults() {
	w := s.nodes[s.at].world
	if w.ticks > 0 && !w.epochs.tick {
		s.do("the interval passes", func(w *world, e *event) error {
			w.ticks--
			w.epochs.tick = w.epochs.committing
			*e = event{kind: tick}
			return nil
		})
	}
	if w.failures > 0 && w.epochs.committing && !w.epochs.landed {
		s.do("the commit fails", func(w *world, e *event) error {
			w.failures--
			*e = event{kind: failed}
			return nil
		})
	}
	if w.crashes > 0 {
		s.do("crash", func(w *world, _ *event) error {
			w.crashes--
			if s.bug == olderRestored {
				w.stored = image{}
			}
			if s.bug == outboxForgotten {
				w.outbox = [recordsMax]name{}
			}
			w.begin()
			if s.bug == ringsBeforeQueue {
				for i := range w.shards {
					w.shards[i].now.inFlight = 0
				}
			}
			return nil
		})
	}
}

// hear takes note of what Epochs has done after an event, and reports what it must not do.
func (w *world) hear(told event, h heard, bug mutant) error {
	e := &w.epochs
	if told.kind == returned {
		for r, n := range e.puts {
			if n != (name{}) {
				e.queued |= 1 << r
			}
		}
		e.committing, e.landed, e.tick = false, false, false
		e.offered, e.puts, e.deletes = image{}, [recordsMax]name{}, 0
	}
	if h.halted != nil {
		return fmt.Errorf("halted: %w", h.halted)
	}
	if h.acked {
		if told.kind != returned || !e.waiter {
			return fmt.Errorf("the client is told by %v (P18)", told.kind)
		}
		w.acked, e.waiter = true, false
	}
	if told.kind == returned && e.waiter {
		return fmt.Errorf("epoch %d is committed, and the client, which waits for it, is not told (P20)", w.durable)
	}
	if err := w.hearRecords(told, h); err != nil {
		return err
	}
	if h.announced != e.announced {
		if h.announced != e.announced+1 || w.durable+1 != e.announced && bug != commitTooEarly || e.committing {
			return fmt.Errorf("epoch %d is announced after epoch %d, when %d is durable (P5)", h.announced, e.announced, w.durable)
		}
		e.announced, e.parts = h.announced, 0
	}
	if h.commit != nil && !e.committing {
		return w.hearCommit(h.commit)
	}
	if (h.commit != nil) != e.committing {
		return fmt.Errorf("after %v it commits: %v; want %v", told.kind, h.commit != nil, e.committing)
	}
	return nil
}

// hearRecords takes note of the records that have gone out: all that were released, under their names.
func (w *world) hearRecords(told event, h heard) error {
	e := &w.epochs
	if told.kind != drain {
		if len(h.published) > 0 {
			return fmt.Errorf("%v has %v published (I5)", told.kind, h.published)
		}
		return nil
	}
	want := w.queuedNames()
	for r, n := range want {
		if h.published[r] != n {
			return fmt.Errorf("record %d goes out as %v; want %v", r, h.published[r], n)
		}
		if before := w.published[r]; before != (name{}) && before != n {
			return fmt.Errorf("record %d was called %v, and now %v", r, before, n)
		}
		w.published[r] = n
	}
	if len(h.published) != len(want) {
		return fmt.Errorf("%v goes out; want %v", h.published, want)
	}
	e.confirmed, e.queued = e.confirmed|e.queued, 0
	return nil
}

// queuedNames are the records that are released and not taken by the sink.
func (w *world) queuedNames() map[uint8]name {
	names := map[uint8]name{}
	for r := range uint8(recordsMax) {
		if w.epochs.queued.has(r) {
			names[r] = w.outbox[r]
		}
	}
	return names
}

// hearCommit takes note of what is to be committed.
func (w *world) hearCommit(o *offer) error {
	e := &w.epochs
	switch {
	case o.epoch != w.durable+1 || o.epoch != e.announced-1:
		return fmt.Errorf("epoch %d is to be committed after %d, %d is announced", o.epoch, w.durable, e.announced)
	case e.parts != everybody:
		return fmt.Errorf("epoch %d is to be committed with the parts %b (P7)", o.epoch, e.parts)
	}
	if err := o.image.consistent(); err != nil {
		return fmt.Errorf("epoch %d: %w (I4)", o.epoch, err)
	}
	for _, n := range o.deletes {
		r := uint8(0)
		for ; r < recordsMax && (w.outbox[r] != n || !e.confirmed.has(r)); r++ {
		}
		if r == recordsMax {
			return fmt.Errorf("epoch %d deletes record %v, which is not done", o.epoch, n)
		}
		e.deletes |= 1 << r
	}
	e.confirmed &^= e.deletes
	for r, n := range o.puts {
		counted := o.image.shards[hopTo].counted.has(hop + uint8(r))
		if fresh := counted && !w.stored.shards[hopTo].counted.has(hop+uint8(r)); fresh != (n != name{}) || fresh && n.epoch != o.epoch {
			return fmt.Errorf("epoch %d, in which record %d was counted: %v, has it in the outbox as %v", o.epoch, r, fresh, n)
		}
	}
	e.committing, e.offered, e.puts = true, o.image, o.puts
	return nil
}
