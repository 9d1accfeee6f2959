// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"unsafe"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/internal/checkpoint"
	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/internal/planted"
	"github.com/millrace-io/millrace/engine/internal/table"
	"github.com/millrace-io/millrace/engine/statefun"
)

// loading is what has been read of a checkpoint and waits for the rest.
type loading struct {
	batch     envelope.Batch // Scratch.
	messages  []arrived
	delayed   []delayedEntry
	suspended map[place]string // Why. Looked up, never ranged over.
	entries   int
}

// arrived is a message at its address.
type arrived struct {
	place  place
	record uint32
	number uint64
}

// delayedEntry is a delayed message.
type delayedEntry struct {
	record uint32
	name   string
}

// Load takes an entry of a checkpoint over, of any kind but egress records. It is called before the first step,
// in any order of entries; Loaded comes last. The entry's bytes are only borrowed.
func (s *Shard) Load(e backend.Entry) error {
	if s.loading == nil {
		s.loading = &loading{suspended: make(map[place]string)}
	}
	s.loading.entries++
	switch kind := checkpoint.KindOf(e.Key); kind {
	case checkpoint.KindState:
		return s.loadState(e)
	case checkpoint.KindMessage:
		return s.loadMessage(e)
	case checkpoint.KindSuspended:
		return s.loadSuspended(e)
	case checkpoint.KindDelayed:
		return s.loadDelayed(e)
	case checkpoint.KindKey:
		return s.loadKey(e)
	default:
		return fmt.Errorf("%w: entries of kind %d are unknown", checkpoint.ErrEntry, kind)
	}
}

// locate checks that an id belongs into the key group under which it was found, and that into this shard.
func (s *Shard) locate(e backend.Entry, id []byte) (hash uint64, err error) {
	hash = statefun.KeyHash(alias(id))
	return hash, s.owns(e, s.groupOf(hash), id)
}

func (s *Shard) owns(e backend.Entry, group statefun.KeyGroup, id []byte) error {
	if group != e.Group || int(s.route[group]) != s.id {
		return fmt.Errorf("%w: the id %q belongs to key group %d", checkpoint.ErrEntry, clip(id), group)
	}
	return nil
}

// known returns a function type that the names of the checkpoint have.
func (s *Shard) known(number envelope.Function) (*Function, error) {
	if int(number) >= len(s.fns) {
		return nil, fmt.Errorf("%w: function type %d, of which the names know nothing", checkpoint.ErrEntry, number)
	}
	return s.fns[number], nil
}

// instance finds or makes the row of an id.
func (s *Shard) instance(fn *Function, hash uint64, id []byte) (table.Slot, *table.Row) {
	b := &s.loading.batch
	b.Reset()
	e := b.Append(fn.number, envelope.Untyped, hash, alias(id))
	key := table.Key{Hash: hash, Tag: s.seed.Tag(id), ID: id}
	key.Lo, key.Hi, key.Inline = e.InlineID()
	slot, ok := fn.table.Find(&key)
	if !ok {
		slot = fn.table.Insert(&key)
	}
	return slot, fn.table.Row(slot)
}

func (s *Shard) loadState(e backend.Entry) error {
	number, id, err := checkpoint.ParseStateKey(e.Key)
	if err != nil {
		return err
	}
	fn, err := s.known(number)
	if err != nil {
		return err
	}
	hash, err := s.locate(e, id)
	if err != nil {
		return err
	}
	if err := checkpoint.Validate(e.Value); err != nil {
		return err
	}
	values, messaged, known := checkpoint.CutTouched(e.Value)
	if fn.Absent || fn.External || len(values) == 0 {
		s.alien = true
		return nil // It stays in the store, as it is (P38).
	}
	slot, row := s.instance(fn, hash, id)
	if row.Present != 0 {
		return fmt.Errorf("%w: a second state of %v/%s", checkpoint.ErrEntry, fn.Type, clip(id))
	}
	row.Flags |= flagStored
	if fn.Endpoint != nil {
		c := &elsewhereOf(row).values
		c.ref, c.len = s.heap.Put(values), uint32(len(values))
		row.Present = 1
	} else if err := s.loadValues(fn, row, values); err != nil {
		return err
	}
	s.loadLease(fn, slot, row, messaged, known)
	return nil
}

// loadValues puts the values of an entry into a row.
func (s *Shard) loadValues(fn *Function, row *table.Row, entry []byte) error {
	var undeclared []byte
	for v := range checkpoint.Values(entry) {
		index := fn.index(v.Number)
		if index < 0 {
			undeclared = appendValue(undeclared, &v)
			continue
		}
		if err := s.decodeValue(&fn.Values[index], row, &v); err != nil {
			return fmt.Errorf("%w: state %q of %v/%s: %w", checkpoint.ErrEntry, fn.Values[index].Name, fn.Type, clip(fn.table.ID(row)), err)
		}
		row.Present |= 1 << index
	}
	if len(undeclared) > 0 {
		if !fn.Undeclared {
			return fmt.Errorf("%w: %v/%s has state values that the names do not know", checkpoint.ErrEntry, fn.Type, clip(fn.table.ID(row)))
		}
		c := fn.undeclared(row)
		c.ref, c.len = s.heap.Put(undeclared), uint32(len(undeclared))
		row.Present |= undeclaredBit
	}
	return nil
}

// index returns which of the declared values has a number in checkpoints; -1: none.
func (fn *Function) index(number int) int {
	return slices.IndexFunc(fn.Values, func(v Value) bool { return v.Number == number })
}

// undeclaredBit marks an instance that has values which its function type no longer declares. They are kept as
// they are, in a cell behind the others.
const undeclaredBit = 1 << (checkpoint.ValuesMax - 1)

func (fn *Function) undeclared(row *table.Row) *Cell {
	return (*Cell)(unsafe.Add(row.State(), uintptr(fn.StateBytes)-CellBytes))
}

func (s *Shard) loadMessage(e backend.Entry) error {
	number, id, arrival, err := checkpoint.ParseMessageKey(e.Key)
	if err != nil {
		return err
	}
	fn, err := s.known(number)
	if err != nil {
		return err
	}
	hash := statefun.KeyHash(alias(id))
	if err := s.owns(e, s.home(number, hash, id), id); err != nil {
		return err
	}
	m, err := checkpoint.ParseMessage(e.Value)
	if err != nil {
		return err
	}
	if _, err := s.known(m.Caller); err != nil {
		return err
	}
	slot, _ := s.instance(fn, hash, id)
	record := s.loadRecord(fn.number, hash, id, &m)
	s.stored.at(record).number = arrival
	s.loading.messages = append(s.loading.messages, arrived{place{fn.number, slot}, record, arrival})
	return nil
}

// loadRecord puts a message into the store. The checkpoint has it already.
func (s *Shard) loadRecord(fn envelope.Function, hash uint64, id []byte, m *checkpoint.Message) (record uint32) {
	b := &s.loading.batch
	b.Reset()
	e := b.Append(fn, envelope.Untyped, hash, alias(id))
	b.SetNamed(e, alias(m.Typename), m.Value)
	if m.Absent {
		e.SetAbsent()
	}
	if m.HasCaller {
		e.SetCaller(b.AppendCaller(m.Caller, m.CallerID))
	}
	return s.stored.put(s.heap, b, e)
}

func (s *Shard) loadSuspended(e backend.Entry) error {
	number, id, err := checkpoint.ParseSuspendedKey(e.Key)
	if err != nil {
		return err
	}
	fn, err := s.known(number)
	if err != nil {
		return err
	}
	hash, err := s.locate(e, id)
	if err != nil {
		return err
	}
	slot, _ := s.instance(fn, hash, id)
	s.loading.suspended[place{fn.number, slot}] = string(e.Value)
	return nil
}

func (s *Shard) loadDelayed(e backend.Entry) error {
	token, err := checkpoint.ParseDelayedKey(e.Key)
	if err != nil {
		return err
	}
	d, err := checkpoint.ParseDelayed(e.Value)
	switch {
	case err != nil:
		return err
	case !d.HasCaller:
		return fmt.Errorf("%w: a delayed message without a sender", checkpoint.ErrEntry)
	}
	if _, err := s.locate(e, d.CallerID); err != nil {
		return err
	}
	if _, err := s.known(d.Function); err != nil {
		return err
	}
	if _, err := s.known(d.Caller); err != nil {
		return err
	}
	record := s.loadRecord(d.Function, statefun.KeyHash(alias(d.ID)), d.ID, &d.Message)
	r := s.stored.at(record)
	r.number, r.due = token, d.Due
	s.loading.delayed = append(s.loading.delayed, delayedEntry{record, string(d.Name)})
	return nil
}

// Loaded ends the loading: what waits is put in its order (P10), before anything else can come.
func (s *Shard) Loaded() {
	if s.loading == nil {
		return
	}
	l := s.loading
	s.loading = nil
	s.resumeTimers(l)
	slices.SortFunc(l.messages, func(a, b arrived) int { return cmp.Compare(a.number, b.number) })
	for _, m := range l.messages {
		s.requeue(m, l)
	}
}

// resumeTimers has delayed messages wait again. Those due at the same time go in the order in which they were
// sent: tokens of one sender grow.
func (s *Shard) resumeTimers(l *loading) {
	number := func(d delayedEntry) uint64 { return s.stored.at(d.record).number }
	slices.SortFunc(l.delayed, func(a, b delayedEntry) int { return cmp.Compare(number(a), number(b)) })
	for _, d := range l.delayed {
		r := s.stored.at(d.record)
		token := Token(r.number)
		s.tokens[token] = pending{s.wheel.Add(int64(r.due), timerDelayed|uint64(d.record)), d.record}
		s.delayed++
		s.countDelayed(d.record)
		if d.name != "" {
			s.stored.open(s.heap, d.record, &s.view)
			_, sender, _ := s.view.Caller(&s.view.Envelopes[0])
			key := tokenName{string(sender), d.name}
			s.byName[key], s.names[token] = token, key
		}
	}
}

// requeue has a message wait at its address again.
func (s *Shard) requeue(m arrived, l *loading) {
	fn := s.fns[m.place.fn]
	row := fn.table.Row(m.place.slot)
	if fn.External {
		e := s.stored.open(s.heap, m.record, &s.view)
		s.answer(&s.view, e)
		s.forget(m.record)
		s.leave(fn, m.place.slot, row)
		return
	}
	q := s.queues[m.place]
	if q != nil {
		s.enqueueRecord(fn, q, m.record)
		return
	}
	q = s.newQueue()
	s.queues[m.place] = q
	if !planted.RingsBeforeQueue {
		row.Flags |= flagQueued
	}
	s.enqueueRecord(fn, q, m.record)
	reason, suspended := l.suspended[m.place]
	switch {
	case suspended:
		q.noted, q.reason = true, reason
		s.park(fn, q)
		s.reportSuspended(fn, row, errors.New(reason))
	case fn.Absent:
		s.park(fn, q)
		s.reportSuspended(fn, row, errAbsent)
	case fn.Endpoint != nil:
		fn.Endpoint.line.push(m.place)
	default:
		s.retryAfter(m.place, 0)
	}
}

// errAbsent is why messages of a function type that nobody provides wait.
var errAbsent = errors.New("no module provides the function type")
