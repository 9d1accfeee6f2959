// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/millrace-io/millrace/engine/internal/clock"
	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/internal/table"
	"github.com/millrace-io/millrace/engine/statefun"
)

// Invocation is the one that is running: one per shard, reused. Handlers see it through the public
// context, of which it is the first field.
type Invocation struct {
	// Row and State are the instance's. State may be read at any time and written after Touch.
	Row   *table.Row
	State unsafe.Pointer

	shard   *Shard
	fn      *Function
	slot    table.Slot
	batch   *envelope.Batch
	env     *envelope.Envelope
	touched bool
	present uint32 // Row.Present before the invocation.
	sends   int
	err     error // The first failure of a call that cannot return one.

	unanswered uint64
	hopeless   bool           // It failed in a way that another attempt cannot mend.
	discarded  envelope.Batch // What it sends once it has failed.

	// What it sends, by where it goes.
	outLocal, outEgress int

	seq     uint64
	scratch *envelope.Batch // Delayed messages, until the invocation takes effect.
	staged  []staged
	names   map[string]int // Those in staged that functions elsewhere have named.
	edits   []Edit
	added   []table.Ref // Blocks to free when the invocation fails,
	removed []table.Ref // and when it takes effect.
}

// Rows' marks. Whether a row is dirty is kept twice, for the open epoch and for the closing one.
const (
	flagDirty0  table.Flags = 1 << iota // By the parity of the epoch, 0
	flagDirty1                          // and 1.
	flagStored                          // Backends may know the instance: its removal must be recorded.
	flagQueued                          // Messages wait at the address.
	flagLeaving                         // Listed in empties.
)

// What a running invocation can do wrong. The engine's public errors wrap them.
var (
	ErrNoFunction = errors.New("no module provides the function type")
	ErrNoInput    = errors.New("the function type accepts no such message")
	ErrNoEgress   = errors.New("no sink is bound to the egress")
	ErrLimit      = errors.New("over the limit")
	ErrNoCaller   = errors.New("the message came from an ingress, there is nobody to answer")
	ErrBadDelay   = errors.New("negative delay")
)

// invoke runs one message. All its effects happen, or none (I1): state is written in place and its old
// content kept, everything else is appended to where it can be cut off again.
func (s *Shard) invoke(fn *Function, slot table.Slot, row *table.Row, b *envelope.Batch, e *envelope.Envelope) error {
	if fn.renewed {
		s.look(fn, slot, row)
	}
	inv := s.enter(fn, slot, row)
	inv.batch, inv.env = b, e

	var err error
	switch {
	case e.IsMemory():
		err = fn.Inputs[e.Input].Memory(fn.Impl, inv, b.Payload(e))
	case e.Input == envelope.Untyped:
		err = s.runNamed(fn, b, e)
	default:
		err = fn.Inputs[e.Input].Wire(fn.Impl, inv, b.Wire(e))
	}
	if err == nil {
		if len(inv.edits) != 0 {
			inv.flushEdits()
		}
		err = inv.err
	}
	if err != nil {
		inv.hopeless = isPermanent(err)
		return err
	}
	s.Counts.Invocations++
	fn.Counts.In++
	if inv.sends == 0 && row.Present != 0 && !fn.renewed && len(inv.staged)|len(inv.removed)|len(inv.added) == 0 && inv.unanswered == 0 {
		fn.Counts.Changes++ // What most come to.
		return nil
	}
	s.settle(fn, slot, row)
	return nil
}

// enter begins an invocation.
func (s *Shard) enter(fn *Function, slot table.Slot, row *table.Row) *Invocation {
	inv := s.inv
	inv.seq++
	inv.fn, inv.slot, inv.Row, inv.State = fn, slot, row, row.State()
	inv.touched, inv.hopeless, inv.sends, inv.unanswered = false, false, 0, 0
	inv.outLocal, inv.outEgress = 0, 0
	return inv
}

// settle lets the running invocation take effect.
func (s *Shard) settle(fn *Function, slot table.Slot, row *table.Row) {
	inv := s.inv
	if len(inv.staged) != 0 || len(inv.removed) != 0 || len(inv.added) != 0 {
		s.applyStaged()
	}
	s.Counts.Unanswered += inv.unanswered
	c := &fn.Counts
	c.Changes++
	if inv.sends != 0 {
		c.OutLocal += uint64(inv.outLocal)
		c.OutEgress += uint64(inv.outEgress)
		c.OutRemote += uint64(inv.sends - inv.outLocal - inv.outEgress)
	}
	if row.Present == 0 {
		s.leave(fn, slot, row)
	} else if fn.renewed {
		s.renew(fn, slot, row)
	}
}

// Edit is a state value that has been decoded for change in place; Flush encodes it again.
type Edit struct {
	Offset uintptr
	Value  any
	Flush  func()
}

// flushEdits encodes what was edited in place.
func (inv *Invocation) flushEdits() {
	for i := range inv.edits {
		inv.edits[i].Flush()
	}
	clear(inv.edits)
	inv.edits = inv.edits[:0]
}

// AddEdit has a value encoded when the handler has returned.
func (inv *Invocation) AddEdit(e Edit) { inv.edits = append(inv.edits, e) }

// Edited returns the value at offset as it is being edited, or nil.
func (inv *Invocation) Edited(offset uintptr) any {
	for i := range inv.edits {
		if inv.edits[i].Offset == offset {
			return inv.edits[i].Value
		}
	}
	return nil
}

// DropEdit forgets an edit: the value has been set or cleared since.
func (inv *Invocation) DropEdit(offset uintptr) {
	for i := range inv.edits {
		if inv.edits[i].Offset == offset {
			inv.edits = append(inv.edits[:i], inv.edits[i+1:]...)
			return
		}
	}
}

func (s *Shard) runNamed(fn *Function, b *envelope.Batch, e *envelope.Envelope) error {
	typename, value := b.Named(e)
	if input, ok := fn.ByTypename[string(typename)]; ok {
		return fn.Inputs[input].Wire(fn.Impl, s.inv, value)
	}
	if fn.Any == nil {
		return hopeless{fmt.Errorf("%s to %s: %w", typename, fn.Type, ErrNoInput)}
	}
	return fn.Any(fn.Impl, s.inv, string(typename), value)
}

// leave lists an instance for removal at the end of the step: its slot may be known to the rest of the
// batch, so it cannot go at once.
func (s *Shard) leave(fn *Function, slot table.Slot, row *table.Row) {
	if row.Flags&flagLeaving == 0 {
		row.Flags |= flagLeaving
		s.empties = append(s.empties, place{fn.number, slot})
	}
}

// Touch makes the running instance's state writable: what it was is kept for the case that the
// invocation fails, and it is marked as dirty. It may be called more than once.
func (inv *Invocation) Touch() {
	if !inv.touched {
		inv.touch()
	}
}

func (inv *Invocation) touch() {
	inv.touched = true
	inv.present = inv.Row.Present
	s, n := inv.shard, inv.fn.StateBytes
	if n <= undoBytesMin { // Every row has that much: one or two moves instead of a call.
		*(*[undoBytesMin]byte)(s.undo) = *(*[undoBytesMin]byte)(inv.State)
	} else {
		copy(s.undo[:n], unsafe.Slice((*byte)(inv.State), n))
	}
	s.touch(inv.fn, inv.slot, inv.Row)
}

// undoBytesMin is the state that fits beside the head of a row in one cache line.
const undoBytesMin = 32

// rollback undoes what the running invocation has done so far.
func (s *Shard) rollback() {
	inv := s.inv
	if inv.touched {
		inv.Row.Present = inv.present
		n := inv.fn.StateBytes
		copy(unsafe.Slice((*byte)(inv.State), n), s.undo[:n])
	}
	for _, ref := range inv.added {
		s.heap.Free(ref)
	}
	for i := range s.outlets {
		if o := &s.outlets[i]; o.seq == inv.seq {
			s.cutOff(o)
		}
	}
	inv.reset()
}

func (inv *Invocation) reset() {
	inv.added, inv.removed, inv.staged = inv.added[:0], inv.removed[:0], inv.staged[:0]
	clear(inv.edits)
	inv.edits = inv.edits[:0]
	if len(inv.names) > namesKept {
		inv.names = nil // Its memory, and the time to clear it, would stay what one huge reply has needed.
	}
	clear(inv.names)
	inv.scratch.Reset()
	inv.err = nil
}

// Fail makes the running invocation fail when its handler returns, whatever that returns.
func (inv *Invocation) Fail(err error) {
	if inv.err == nil {
		inv.err = err
	}
}

// Now returns the time of the step.
func (inv *Invocation) Now() clock.Instant { return inv.shard.now }

// Shard returns the number of the shard.
func (inv *Invocation) Shard() int { return inv.shard.id }

// Owner returns the owner of the running function's state values.
func (inv *Invocation) Owner() unsafe.Pointer { return inv.fn.Owner }

// Self returns the running instance's address.
func (inv *Invocation) Self() statefun.Address {
	return statefun.Address{Type: inv.fn.Type, ID: string(inv.fn.table.ID(inv.Row))}
}

// SelfID returns the running instance's id and its hash. The bytes alias the table.
func (inv *Invocation) SelfID() (id []byte, hash uint64) {
	return inv.fn.table.ID(inv.Row), inv.Row.Hash
}

// Caller returns the number and the id of the address that sent the message; ok is false when it came
// from an ingress. The id aliases the message.
func (inv *Invocation) Caller() (fn envelope.Function, id []byte, ok bool) {
	return inv.batch.Caller(inv.env)
}

// DropAnswer counts an answer that nobody can take.
func (inv *Invocation) DropAnswer() { inv.unanswered++ }

// Function returns what the engine knows of a function type, by number.
func (inv *Invocation) Function(fn envelope.Function) *Function { return inv.shard.function(fn) }

// Lookup returns the number of a function type.
func (inv *Invocation) Lookup(t statefun.FunctionType) (fn envelope.Function, ok bool) {
	return inv.shard.lookup(t)
}

// Bytes returns the encoding in a cell. It aliases the heap and is valid until the cell is written.
func (inv *Invocation) Bytes(c *Cell) []byte { return inv.shard.heap.Get(c.ref, int(c.len)) }

// SetBytes writes a cell of the running instance, which has been touched. Its old content stays until
// the invocation takes effect.
func (inv *Invocation) SetBytes(c *Cell, value []byte) {
	if len(value) > inv.shard.limits.PayloadBytesMax {
		inv.Fail(fmt.Errorf("state value of %d bytes: %w of %d", len(value), ErrLimit, inv.shard.limits.PayloadBytesMax))
		return
	}
	inv.setCell(c, value)
}

func (inv *Invocation) setCell(c *Cell, value []byte) {
	if c.ref != 0 {
		inv.removed = append(inv.removed, c.ref)
	}
	ref := inv.shard.heap.Put(value)
	if ref != 0 {
		inv.added = append(inv.added, ref)
	}
	c.ref, c.len = ref, uint32(len(value))
}
