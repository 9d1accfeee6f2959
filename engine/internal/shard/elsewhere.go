// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"fmt"
	"math"
	"unsafe"

	"github.com/millrace-io/millrace/engine/internal/checkpoint"
	"github.com/millrace-io/millrace/engine/internal/table"
	"github.com/millrace-io/millrace/engine/remote"
)

// elsewhere is the state of an instance whose function runs elsewhere: its values as the bytes that came
// off the wire, in the form in which a checkpoint keeps them (docs/formats/entries.md). So they are copied
// from one place to the next, and which values there are need not be known beforehand.
type elsewhere struct {
	values Cell // A lease follows.
}

const elsewhereBytes = unsafe.Sizeof(elsewhere{})

func elsewhereOf(row *table.Row) *elsewhere { return (*elsewhere)(row.State()) }

// entry returns the values of a row. The bytes alias the heap.
func (s *Shard) entry(row *table.Row) []byte {
	c := &elsewhereOf(row).values
	return s.heap.Get(c.ref, int(c.len))
}

// appendState puts all declared state values into a request, and returns about how many bytes they take. The
// request is what StateFun counts as a read: it moves the time of those values on that expire after it.
func (s *Shard) appendState(c *Call, fn *Function, slot table.Slot, row *table.Row) (bytes int) {
	c.State = c.State[:0]
	for i := range c.specs.List {
		spec := &c.specs.List[i]
		if !spec.Declared {
			continue
		}
		c.State = append(c.State, remote.State{Name: spec.Name, Typename: spec.Typename})
		bytes += len(spec.Name) + len(spec.Typename) + messageBytes
	}
	entry := s.entry(row)
	for v := range checkpoint.Values(entry) {
		if v.Number >= len(c.specs.List) || c.specs.shown[v.Number] < 0 {
			continue // Not declared, as far as this request knows.
		}
		spec := &c.specs.List[v.Number]
		if s.isOver(spec, &v) {
			continue
		}
		if spec.Expiry == remote.AfterInvoke && v.Stamped && v.Stamp != int64(s.now) {
			s.touch(fn, slot, row) // P13: what is frozen is encoded as it was.
			v.SetStamp(entry, int64(s.now))
		}
		shown := &c.State[c.specs.shown[v.Number]]
		shown.Present, shown.Value = true, v.Bytes
		bytes += len(v.Bytes)
	}
	return bytes
}

// isOver reports whether a value has expired: as in StateFun, in the very millisecond.
func (s *Shard) isOver(spec *Spec, v *checkpoint.Value) bool {
	return v.Stamped && spec.Expiry != remote.Never && int64(s.now) >= expiresAt(v.Stamp, spec.TTL)
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
		if !ok || !specs.List[number].Declared {
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
		c.value.Number = number
		dst = appendValue(dst, &c.value)
	}
	return dst
}

// firstOverElsewhere returns when the first value of an instance will expire.
func (s *Shard) firstOverElsewhere(fn *Function, row *table.Row) int64 {
	first := int64(math.MaxInt64)
	if !fn.specs.expire() {
		return first
	}
	for v := range checkpoint.Values(s.entry(row)) {
		if v.Stamped && v.Number < len(fn.specs.List) && fn.specs.List[v.Number].Expiry != remote.Never {
			first = min(first, expiresAt(v.Stamp, fn.specs.List[v.Number].TTL))
		}
	}
	return first
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

// dropOver removes the values of an instance that have expired, and for which nothing is under way.
func (s *Shard) dropOver(fn *Function, slot table.Slot, row *table.Row) {
	s.encoded = appendChanges(s.encoded[:0], s.gather(row, fn.specs))
	cell := &elsewhereOf(row).values
	if len(s.encoded) == int(cell.len) {
		return
	}
	s.touch(fn, slot, row)
	old := cell.ref
	cell.ref, cell.len = s.heap.Put(s.encoded), uint32(len(s.encoded))
	s.heap.Free(old)
	if len(s.encoded) == 0 {
		row.Present = 0
	}
}
