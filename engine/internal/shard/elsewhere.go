// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"fmt"
	"math"
	"unsafe"

	"github.com/millrace-io/millrace/engine/internal/checkpoint"
	"github.com/millrace-io/millrace/engine/internal/table"
	"github.com/millrace-io/millrace/engine/internal/timerwheel"
	"github.com/millrace-io/millrace/engine/remote"
)

// elsewhere is the state of an instance whose function runs elsewhere: its values as the bytes that came
// off the wire, in the form in which a checkpoint keeps them (docs/formats/entries.md). So they are copied
// from one place to the next, and which values there are need not be known beforehand.
type elsewhere struct {
	values Cell
	// expiry is the timer for the first value that will expire; 0 when none will. It is no part of the
	// state: an instance that comes back from a checkpoint gets another.
	expiry timerwheel.Handle
}

const elsewhereBytes = unsafe.Sizeof(elsewhere{})

func elsewhereOf(row *table.Row) *elsewhere { return (*elsewhere)(row.State()) }

// entry returns the values of a row. The bytes alias the heap.
func (s *Shard) entry(row *table.Row) []byte {
	c := &elsewhereOf(row).values
	return s.heap.Get(c.ref, int(c.len))
}

// appendState puts all known state values into a request, and returns about how many bytes they take. The
// request is what StateFun counts as a read: it moves the time of those values on that expire after it.
func (s *Shard) appendState(c *Call, fn *Function, slot table.Slot, row *table.Row) (bytes int) {
	c.State = c.State[:0]
	for i := range c.specs.List {
		spec := &c.specs.List[i]
		c.State = append(c.State, remote.State{Name: spec.Name, Typename: spec.Typename})
		bytes += len(spec.Name) + len(spec.Typename) + messageBytes
	}
	entry := s.entry(row)
	for v := range checkpoint.Values(entry) {
		if v.Number >= len(c.State) {
			continue // Never declared in this run.
		}
		spec := &c.specs.List[v.Number]
		if s.isOver(spec, &v) {
			continue
		}
		if spec.Expiry == remote.AfterInvoke && v.Stamped && v.Stamp != int64(s.now) {
			s.touch(fn, slot, row) // P13: what is frozen is encoded as it was.
			v.SetStamp(entry, int64(s.now))
		}
		c.State[v.Number].Present, c.State[v.Number].Value = true, v.Bytes
		bytes += len(v.Bytes)
	}
	return bytes
}

// isOver reports whether a value has expired: as in StateFun, in the very millisecond.
func (s *Shard) isOver(spec *remote.Spec, v *checkpoint.Value) bool {
	return v.Stamped && spec.Expiry != remote.Never && int64(s.now) >= expiresAt(spec, v.Stamp)
}

func expiresAt(spec *remote.Spec, stamp int64) int64 {
	if at := stamp + spec.TTL; at >= stamp {
		return at
	}
	return math.MaxInt64
}

// change is what becomes of one state value.
type change struct {
	value   checkpoint.Value
	present bool
}

// mutate changes state values of the running instance, in the order of the list: the last word counts.
func (inv *Invocation) mutate(specs *Specs, mutations []remote.Mutation) error {
	s := inv.shard
	changes := s.gather(inv.Row, specs)
	for i := range mutations {
		m := &mutations[i]
		number, ok := specs.Number(alias(m.Name))
		if !ok {
			return fmt.Errorf("state %q: it has not been declared", clip(m.Name))
		}
		if m.Delete {
			changes[number] = change{}
			continue
		}
		spec := &specs.List[number]
		if spec.Typename != alias(m.Typename) {
			return fmt.Errorf("state %q is a %s, not a %s: to change its type, rename it", spec.Name, spec.Typename, clip(m.Typename))
		}
		if err := inv.fits(&m.Payload); err != nil {
			return fmt.Errorf("state %q: %w", spec.Name, err)
		}
		changes[number] = change{present: true, value: checkpoint.Value{
			Bytes: m.Value, Stamped: spec.Expiry != remote.Never, Stamp: int64(s.now),
		}}
	}
	s.encoded = appendChanges(s.encoded[:0], changes)
	// No request could be made with it any more, not even one that makes it smaller.
	if most := inv.fn.Endpoint.Policy.BytesMax; len(s.encoded) > most {
		return fmt.Errorf("state of %d bytes, all values together: %w of %d for a request", len(s.encoded), ErrLimit, most)
	}
	inv.Touch()
	inv.setCell(&elsewhereOf(inv.Row).values, s.encoded)
	inv.Row.Present = 0
	if len(s.encoded) > 0 {
		inv.Row.Present = 1
	}
	return nil
}

// gather lists the values of a row that have not expired, by number.
func (s *Shard) gather(row *table.Row, specs *Specs) []change {
	if cap(s.changes) < len(specs.List) {
		s.changes = make([]change, len(specs.List))
	}
	changes := s.changes[:len(specs.List)]
	clear(changes)
	for v := range checkpoint.Values(s.entry(row)) {
		for v.Number >= len(changes) { // Never declared in this run; kept.
			changes = append(changes, change{})
			s.changes = changes
		}
		if v.Number >= len(specs.List) || !s.isOver(&specs.List[v.Number], &v) {
			changes[v.Number] = change{value: v, present: true}
		}
	}
	return changes
}

func appendChanges(dst []byte, changes []change) []byte {
	for number := range changes {
		c := &changes[number]
		if !c.present {
			continue
		}
		if c.value.Stamped {
			dst = checkpoint.AppendStampedNumber(dst, number, c.value.Stamp)
		} else {
			dst = checkpoint.AppendValueNumber(dst, number)
		}
		var start int
		dst, start = checkpoint.BeginLength(dst)
		dst = checkpoint.EndLength(append(dst, c.value.Bytes...), start)
	}
	return dst
}

// watchExpiry sets a timer for the first value of an idle instance that will expire, unless there is one:
// values that live longer than was thought are looked at again when it fires, so that an invocation costs
// no timer.
func (s *Shard) watchExpiry(fn *Function, slot table.Slot, row *table.Row) {
	if !fn.specs.expire() || elsewhereOf(row).expiry != 0 {
		return
	}
	first := int64(math.MaxInt64)
	for v := range checkpoint.Values(s.entry(row)) {
		if v.Stamped && v.Number < len(fn.specs.List) && fn.specs.List[v.Number].Expiry != remote.Never {
			first = min(first, expiresAt(&fn.specs.List[v.Number], v.Stamp))
		}
	}
	if first < math.MaxInt64 {
		elsewhereOf(row).expiry = s.wheel.Add(first, timerExpiry|uint64(fn.number)<<32|uint64(slot))
	}
}

// expire reports whether any value does.
func (s *Specs) expire() bool {
	for i := range s.List {
		if s.List[i].Expiry != remote.Never {
			return true
		}
	}
	return false
}

// dropExpired removes the values of an instance that have expired. One that is being invoked is left alone:
// its bytes are borrowed, and it is looked at when it is idle again.
func (s *Shard) dropExpired(p place) {
	fn := s.fns[p.fn]
	row := fn.table.Row(p.slot)
	elsewhereOf(row).expiry = 0
	if row.Flags&flagQueued != 0 {
		return
	}
	s.encoded = appendChanges(s.encoded[:0], s.gather(row, fn.specs))
	cell := &elsewhereOf(row).values
	if len(s.encoded) < int(cell.len) {
		s.touch(fn, p.slot, row)
		old := cell.ref
		cell.ref, cell.len = s.heap.Put(s.encoded), uint32(len(s.encoded))
		s.heap.Free(old)
		if len(s.encoded) == 0 {
			row.Present = 0
			s.leave(fn, p.slot, row)
			return
		}
	}
	s.watchExpiry(fn, p.slot, row)
}

// forgetExpiry cancels the timer of an instance that goes.
func (s *Shard) forgetExpiry(row *table.Row) {
	if h := elsewhereOf(row).expiry; h != 0 {
		s.wheel.Cancel(h)
		elsewhereOf(row).expiry = 0
	}
}
