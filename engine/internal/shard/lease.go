// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"math"
	"unsafe"

	"github.com/millrace-io/millrace/engine/internal/table"
	"github.com/millrace-io/millrace/engine/internal/timerwheel"
)

// What is kept for some time only is a state value, with a stamp beside it from which its time counts, or an
// instance as a whole, whose stamp says when it was last messaged. Both are over when the step's time says so
// (P37), not when somebody removes them: what an invocation is shown has been looked at before it. A timer is
// there for those that nobody looks at any more, one for an instance, so that an invocation costs none.
//
//	kept ──written, read, invoked, messaged──► kept, stamped
//	kept ──now ≥ stamp + time──► over ──next invocation, or timer──► removed

// Expiry says what moves the time of a state value on.
type Expiry uint8

// What does: to write it always does.
const (
	Never            Expiry = iota // It does not expire.
	AfterWrite                     // Nothing else.
	AfterInvoke                    // Every invocation of the instance that takes effect.
	AfterReadOrWrite               // To read it.
)

// StampBytes is the size of the stamp that lies in front of a state value that expires.
const StampBytes = 8

// grainsMost is the share of a time, one in so many, by which stamps are ahead that only reading, invoking or
// messaging moves: then that is a change of the instance, to be written to a checkpoint, once in so long, and
// not each time. Stamps are rounded up, so that nothing is over early.
const grainsMost = 64

// lease is what an instance has of which something expires, behind its values.
type lease struct {
	timer timerwheel.Handle // 0: none.
	due   int64             // Of the timer. What is over first is not over before it.
}

// unstamped stands for the stamp of a value that has been loaded without one: it did not expire before.
const unstamped = math.MinInt64

const leaseBytes = unsafe.Sizeof(lease{})

// layLease makes room for a lease in the rows of a function type that needs one. Its instances' stamps lie
// behind that.
func (fn *Function) layLease() {
	for i := range fn.Values {
		if fn.Values[i].Expiry != Never {
			fn.expiring = append(fn.expiring, i)
		}
	}
	if fn.Endpoint != nil {
		if d := fn.Endpoint.Policy.IdleAfter; d > 0 {
			fn.IdleAfter = (d.Nanoseconds()-1)/1_000_000 + 1 // Rounded up.
		}
	}
	fn.renewed = fn.Endpoint == nil && (len(fn.expiring) > 0 || fn.IdleAfter > 0)
	// What runs elsewhere declares what expires while the engine runs.
	if fn.leased = fn.renewed || fn.Endpoint != nil; !fn.leased {
		return
	}
	fn.leaseAt = (uintptr(fn.StateBytes) + 7) &^ 7
	fn.StateBytes = int(fn.leaseAt + leaseBytes)
	if fn.IdleAfter > 0 {
		fn.StateBytes += StampBytes
	}
}

func (fn *Function) lease(row *table.Row) *lease {
	return (*lease)(unsafe.Add(row.State(), fn.leaseAt))
}

// stamp returns where the stamp of a value lies that expires.
func (v *Value) stamp(state unsafe.Pointer) *int64 {
	return (*int64)(unsafe.Add(state, v.Offset-StampBytes))
}

// expiresAt returns when something is over, for ever if that is beyond all time.
func expiresAt(stamp, ttl int64) int64 {
	if at := stamp + ttl; at >= stamp {
		return at
	}
	return math.MaxInt64
}

// refreshed is the stamp of what is moved on now, by other than to write it.
func (s *Shard) refreshed(ttl int64) int64 { return expiresAt(int64(s.now), ttl/grainsMost) }

// look removes what is over of an instance that is about to be invoked. That is no part of the invocation, and
// stays when it fails.
func (s *Shard) look(fn *Function, slot table.Slot, row *table.Row) {
	if row.Present == 0 {
		return
	}
	if row.Flags&flagQueued == 0 && s.isForgotten(fn, row) {
		s.dropState(fn, slot, row)
		return
	}
	for _, i := range fn.expiring {
		if v := &fn.Values[i]; row.Present&(1<<i) != 0 && int64(s.now) >= expiresAt(*v.stamp(row.State()), v.TTL) {
			s.dropValue(fn, slot, row, i)
		}
	}
}

// Wrote stamps a value of the running instance, which has been touched: offset is the value's.
func (inv *Invocation) Wrote(offset uintptr) {
	*(*int64)(unsafe.Add(inv.State, offset-StampBytes)) = int64(inv.shard.now)
}

// Read moves on the time of a value of the running instance, by its index among the values. It is a change of
// the instance like any other, and undone with the invocation.
func (inv *Invocation) Read(index int) {
	v := &inv.fn.Values[index]
	if at := v.stamp(inv.State); inv.Row.Present&(1<<index) != 0 && *at < int64(inv.shard.now) {
		inv.Touch()
		*at = inv.shard.refreshed(v.TTL)
	}
}

// renew moves on what the invocation moves that has just taken effect, and sees to the timer.
func (s *Shard) renew(fn *Function, slot table.Slot, row *table.Row) {
	for _, i := range fn.expiring {
		v := &fn.Values[i]
		if at := v.stamp(row.State()); v.Expiry == AfterInvoke && row.Present&(1<<i) != 0 && *at < int64(s.now) {
			s.touch(fn, slot, row)
			*at = s.refreshed(v.TTL)
		}
	}
	s.messaged(fn, slot, row)
	s.watch(fn, slot, row)
}

// watch sets an instance's timer, unless it fires early enough. What lives longer than was thought is looked at
// again when it fires.
func (s *Shard) watch(fn *Function, slot table.Slot, row *table.Row) {
	l, first := fn.lease(row), s.firstOver(fn, row)
	if first == math.MaxInt64 || l.timer != 0 && l.due <= first {
		return
	}
	s.unwatch(fn, row)
	l.timer, l.due = s.wheel.Add(first, timerExpiry|uint64(fn.number)<<32|uint64(slot)), first
}

// unwatch cancels the timer of an instance.
func (s *Shard) unwatch(fn *Function, row *table.Row) {
	if l := fn.lease(row); l.timer != 0 {
		s.wheel.Cancel(l.timer)
		l.timer = 0
	}
}

// firstOver returns when the first thing of an instance will be over.
func (s *Shard) firstOver(fn *Function, row *table.Row) int64 {
	first := int64(math.MaxInt64)
	if fn.Endpoint != nil {
		first = s.firstOverElsewhere(fn, row)
	}
	for _, i := range fn.expiring {
		if v := &fn.Values[i]; row.Present&(1<<i) != 0 {
			first = min(first, expiresAt(*v.stamp(row.State()), v.TTL))
		}
	}
	if fn.IdleAfter > 0 {
		at := expiresAt(*fn.messagedAt(row), fn.IdleAfter)
		if at <= int64(s.now) && !s.isForgotten(fn, row) { // It is spared, and its time will be moved on.
			at = expiresAt(int64(s.now), fn.IdleAfter)
		}
		first = min(first, at)
	}
	return first
}

// expire is what an instance's timer does. An instance at which messages wait is left alone: what it shows to a
// request is borrowed, and it is watched again when none waits any more.
func (s *Shard) expire(p place) {
	fn := s.fns[p.fn]
	row := fn.table.Row(p.slot)
	fn.lease(row).timer = 0
	if row.Flags&flagQueued != 0 {
		return
	}
	if s.look(fn, p.slot, row); fn.Endpoint != nil {
		s.dropOver(fn, p.slot, row)
	}
	if row.Present == 0 {
		s.leave(fn, p.slot, row)
		return
	}
	s.watch(fn, p.slot, row)
}

// dropValue removes a value of an instance that runs here and is not being invoked.
func (s *Shard) dropValue(fn *Function, slot table.Slot, row *table.Row, index int) {
	s.touch(fn, slot, row) // P13: what is frozen is encoded as it was.
	v := &fn.Values[index]
	at := unsafe.Add(row.State(), v.Offset)
	if v.Encode == nil {
		s.heap.Free((*Cell)(at).ref)
	}
	clear(unsafe.Slice((*byte)(at), v.Bytes))
	row.Present &^= 1 << index
}
