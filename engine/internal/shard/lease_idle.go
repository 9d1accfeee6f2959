// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"unsafe"

	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/internal/table"
	"github.com/millrace-io/millrace/engine/statefun"
)

// An instance of a type with IdleAfter is dropped when it has not been messaged for that long, with all that
// belongs to it: its idempotency keys too.

// messagedAt returns where the stamp of an instance lies, of a type with IdleAfter.
func (fn *Function) messagedAt(row *table.Row) *int64 {
	return (*int64)(unsafe.Add(row.State(), fn.leaseAt+leaseBytes))
}

// isForgotten reports whether an instance, at which no message waits, has not been messaged for too long. It is
// spared while delayed messages that it has sent are pending, and while a call waits for its answer (P37).
func (s *Shard) isForgotten(fn *Function, row *table.Row) bool {
	if fn.IdleAfter == 0 || int64(s.now) < expiresAt(*fn.messagedAt(row), fn.IdleAfter) {
		return false
	}
	id := alias(fn.table.ID(row))
	return s.delayedBy[sender{fn.number, id}] == nil && !s.owes(fn.number, id)
}

// lookBefore looks at the instance that a message with a key is for, before the key is judged: what has been
// forgotten knows no keys.
func (s *Shard) lookBefore(b *envelope.Batch, e *envelope.Envelope) {
	fn := s.function(e.Function)
	if fn.IdleAfter == 0 {
		return
	}
	slot, ok := s.find(fn, e.Hash, b.ID(e))
	if !ok {
		return
	}
	row := fn.table.Row(slot)
	if s.look(fn, slot, row); row.Present == 0 {
		s.leave(fn, slot, row)
	}
}

func (s *Shard) find(fn *Function, hash uint64, id []byte) (table.Slot, bool) {
	return fn.table.Find(&table.Key{Hash: hash, Tag: s.seed.Tag(id), ID: id})
}

// messaged moves on the time of an instance.
func (s *Shard) messaged(fn *Function, slot table.Slot, row *table.Row) {
	if fn.IdleAfter == 0 || row.Present == 0 {
		return // Nothing is kept of it, or for ever.
	}
	if at := fn.messagedAt(row); *at < int64(s.now) {
		s.touch(fn, slot, row)
		*at = s.refreshed(fn.IdleAfter)
	}
}

// dropState removes all state of an instance that is not being invoked.
func (s *Shard) dropState(fn *Function, slot table.Slot, row *table.Row) {
	s.touch(fn, slot, row)
	if fn.Endpoint != nil {
		s.heap.Free(elsewhereOf(row).values.ref)
	}
	for i := range fn.Values {
		if v := &fn.Values[i]; v.Encode == nil && row.Present&(1<<i) != 0 {
			s.heap.Free((*Cell)(unsafe.Add(row.State(), v.Offset)).ref)
		}
	}
	if fn.Undeclared && row.Present&undeclaredBit != 0 {
		s.heap.Free(fn.undeclared(row).ref)
		*fn.undeclared(row) = Cell{}
	}
	clear(unsafe.Slice((*byte)(row.State()), fn.leaseAt))
	row.Present = 0
	s.dropKeys(fn.number, alias(fn.table.ID(row)))
}

// sender is an address that has sent delayed messages which are pending. It is no place: an address without
// state has none to itself.
type sender struct {
	fn envelope.Function
	id string
}

// countDelayed notes that a delayed message is pending, if it spares its sender.
func (s *Shard) countDelayed(record uint32) {
	e := s.stored.open(s.heap, record, &s.view)
	fn, id, _ := s.view.Caller(e)
	if s.function(fn).IdleAfter == 0 {
		return
	}
	key := sender{fn, alias(id)}
	count := s.delayedBy[key]
	if count == nil {
		key.id, count = string(id), new(int)
		s.delayedBy[key] = count
	}
	*count++
}

// uncountDelayed notes that a delayed message is pending no more. The last of them moves its sender's time on:
// often it is for the sender itself, and on its way.
func (s *Shard) uncountDelayed(record uint32) {
	if len(s.delayedBy) == 0 {
		return
	}
	e := s.stored.open(s.heap, record, &s.view)
	number, id, _ := s.view.Caller(e)
	key := sender{number, alias(id)}
	count := s.delayedBy[key]
	if count == nil {
		return
	}
	if *count--; *count > 0 {
		return
	}
	delete(s.delayedBy, key)
	fn := s.fns[number]
	if slot, ok := s.find(fn, statefun.KeyHash(key.id), id); ok {
		s.messaged(fn, slot, fn.table.Row(slot))
	}
}

// loadLease takes over, or begins, the times of an instance that has been loaded: messaged is when it was last,
// if the checkpoint knows.
func (s *Shard) loadLease(fn *Function, slot table.Slot, row *table.Row, messaged int64, known bool) {
	if !fn.leased {
		return
	}
	for _, i := range fn.expiring {
		if at := fn.Values[i].stamp(row.State()); row.Present&(1<<i) != 0 && *at == unstamped {
			s.touch(fn, slot, row)
			*at = int64(s.now)
		}
	}
	switch {
	case fn.IdleAfter == 0:
	case known:
		*fn.messagedAt(row) = messaged
	default:
		s.messaged(fn, slot, row)
	}
	s.watch(fn, slot, row)
}
