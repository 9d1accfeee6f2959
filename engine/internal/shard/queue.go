// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"errors"

	"github.com/millrace-io/millrace/engine/internal/checkpoint"
	"github.com/millrace-io/millrace/engine/internal/clock"
	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/internal/invariant"
	"github.com/millrace-io/millrace/engine/internal/table"
	"github.com/millrace-io/millrace/engine/statefun"
)

// queue holds the messages that wait at one address, because the first of them failed, or because the
// function runs elsewhere (request.go): order is kept (I2), so the others wait behind it.
//
//	invoked ──fails──► retrying ──takes effect, none waits──► invoked
//	                   │    ▲
//	       too often   ▼    │ Resume
//	                  suspended
type queue struct {
	head, tail uint32 // Records in the store, plus one.
	attempts   int    // Of the message at the head.
	bytes      int64
	suspended  bool
	held       bool // Since the message at the head would emit, and the outbox is full.

	// Of a suspended address that checkpoints know as such.
	noted   bool
	notedIn statefun.Epoch // By the part of this epoch; 0: since before the start.
	reason  string

	// Of a function that runs elsewhere.
	begun   bool          // A delivery has begun,
	since   clock.Instant // then.
	called  int           // How many messages the request has that is under way; 0: none is.
	attempt uint64        // Names that request.
	most    int           // Messages in the next one, after a failure; 0: as many as the policy says.
	rounds  int           // How often in a row state was missing,
	broken  int           // or the reply of a single message was broken.
}

func (s *Shard) newQueue() *queue {
	if n := len(s.spareQueues) - 1; n >= 0 {
		q := s.spareQueues[n]
		s.spareQueues = s.spareQueues[:n]
		return q
	}
	return &queue{}
}

// Back-off between attempts, in milliseconds.
const (
	retryFirst = 50
	retryMost  = 30_000
	// retryRun is how many waiting messages run before others get their turn.
	retryRun = 256
)

// Permanent is implemented by errors that another attempt cannot mend.
type Permanent interface{ Permanent() bool }

// isPermanent asks a handler's error. That is the user's code too, so it is asked where a panic is caught.
func isPermanent(err error) bool {
	var permanent Permanent
	return errors.As(err, &permanent) && permanent.Permanent()
}

// hopeless is an error of the shard itself that no attempt can mend.
type hopeless struct{ error }

func (hopeless) Permanent() bool { return true }

func (h hopeless) Unwrap() error { return h.error }

// fail undoes the running invocation, keeps its message as the first that waits at the address, and
// decides when it is tried again.
func (s *Shard) fail(b *envelope.Batch, e *envelope.Envelope, err error) {
	inv := s.inv
	s.rollback()
	p := place{inv.fn.number, inv.slot}
	q := s.newQueue()
	s.queues[p] = q
	inv.Row.Flags |= flagQueued
	s.enqueue(inv.fn, q, b, e)
	s.attemptFailed(inv.fn, inv.Row, p, q, err)
}

func (s *Shard) attemptFailed(fn *Function, row *table.Row, p place, q *queue, err error) {
	if errors.Is(err, errHeld) {
		s.hold(p, q)
		return
	}
	s.Counts.Failures++
	fn.Counts.Failures++
	q.attempts++
	if q.attempts > fn.Retries || s.inv.hopeless {
		s.suspend(fn, row, q, err)
	} else {
		s.retryAfter(p, s.backOff(q.attempts))
	}
	s.failed = append(s.failed, Failure{
		Address:   statefun.Address{Type: fn.Type, ID: string(fn.table.ID(row))},
		Err:       err,
		Attempt:   q.attempts,
		Suspended: q.suspended,
	})
}

// suspend has an address wait until somebody resumes it, also after a recovery.
func (s *Shard) suspend(fn *Function, row *table.Row, q *queue, why error) {
	const most = 256
	q.reason = why.Error()
	q.reason = q.reason[:min(len(q.reason), most)]
	q.noted, q.notedIn = true, s.epoch.now
	s.putSuspended(fn, row, q, s.epoch.parity())
	s.park(fn, q)
}

// putSuspended puts that an address is suspended, and why.
func (s *Shard) putSuspended(fn *Function, row *table.Row, q *queue, parity int) {
	s.epoch.key = checkpoint.AppendSuspendedKey(s.epoch.key[:0], fn.number, fn.table.ID(row))
	s.put(parity, s.groupOf(row.Hash), s.epoch.key, bytesOf(q.reason))
}

func (s *Shard) park(fn *Function, q *queue) {
	q.suspended = true
	s.Counts.Suspended++
	fn.Counts.Suspended++
	fn.Counts.Changes++
	s.suspended += q.bytes
}

func (s *Shard) reportSuspended(fn *Function, row *table.Row, why error) {
	s.failed = append(s.failed, Failure{
		Address: statefun.Address{Type: fn.Type, ID: string(fn.table.ID(row))}, Err: why, Remote: fn.Endpoint != nil, Suspended: true,
	})
}

// backOff doubles from retryFirst to retryMost, less up to half of it by chance: addresses that failed
// together do not come back together.
func (s *Shard) backOff(attempt int) int64 {
	d := int64(retryMost)
	if shift := attempt - 1; shift < 20 {
		d = min(d, retryFirst<<shift)
	}
	return d - s.rand.Int64N(d/2+1)
}

// hold has an address wait for room in the outbox.
func (s *Shard) hold(p place, q *queue) {
	q.held = true
	s.retryAfter(p, heldRetry)
}

func (s *Shard) retryAfter(p place, delay int64) {
	s.wheel.Add(int64(s.now)+delay, timerRetry|uint64(p.fn)<<32|uint64(p.slot))
}

func (s *Shard) enqueue(fn *Function, q *queue, b *envelope.Batch, e *envelope.Envelope) {
	s.enqueueRecord(fn, q, s.keep(b, e))
}

func (s *Shard) enqueueRecord(fn *Function, q *queue, record uint32) {
	if q.head == 0 {
		q.head = record + 1
	} else {
		s.stored.at(q.tail - 1).next = record + 1
	}
	q.tail = record + 1
	bytes := s.stored.bytes(record)
	q.bytes += bytes
	s.waiting += bytes
	fn.count(1, bytes)
	if q.suspended {
		s.suspended += bytes
	}
}

// count takes note of messages that begin or cease to wait.
func (fn *Function) count(messages, bytes int64) {
	fn.Counts.Backlog += messages
	fn.Counts.BacklogBytes += bytes
	fn.Counts.Changes++
}

// dequeue forgets the message at the head.
func (s *Shard) dequeue(fn *Function, q *queue) {
	record := q.head - 1
	bytes := s.stored.bytes(record)
	q.attempts, q.head = 0, s.stored.at(record).next
	q.bytes -= bytes
	s.waiting -= bytes
	fn.count(-1, -bytes)
	s.forget(record)
}

// unqueue lets an address at which nothing waits any more be invoked directly again.
func (s *Shard) unqueue(p place, row *table.Row) {
	q := s.queues[p]
	delete(s.queues, p)
	*q = queue{}
	if len(s.spareQueues) < spareMax { // After an outage, what is over goes to the garbage collector.
		s.spareQueues = append(s.spareQueues, q)
	}
	row.Flags &^= flagQueued
	switch fn := s.fns[p.fn]; {
	case row.Present == 0:
		s.leave(fn, p.slot, row)
	case fn.leased:
		s.messaged(fn, p.slot, row)
		s.watch(fn, p.slot, row)
	}
}

// deliverQueued takes what arrives for an address at which messages wait, and what resumes one.
func (s *Shard) deliverQueued(fn *Function, slot table.Slot, row *table.Row, b *envelope.Batch, e *envelope.Envelope) {
	p := place{fn.number, slot}
	q := s.queues[p]
	switch {
	case !e.IsControl():
		s.enqueue(fn, q, b, e)
	case q == nil: // Nothing to resume.
		if row.Present == 0 {
			s.leave(fn, slot, row)
		}
	case q.suspended:
		s.resume(p, q, row, e.IsSkip())
	}
}

// resume has a suspended address go on, without its first message if that is to be skipped.
func (s *Shard) resume(p place, q *queue, row *table.Row, skip bool) {
	fn := s.fns[p.fn]
	s.Counts.Suspended--
	s.suspended -= q.bytes
	fn.Counts.Suspended--
	fn.Counts.Changes++
	s.failed = append(s.failed, Failure{Address: statefun.Address{Type: fn.Type, ID: string(fn.table.ID(row))}, Resumed: true})
	s.epoch.key = checkpoint.AppendSuspendedKey(s.epoch.key[:0], fn.number, fn.table.ID(row))
	s.delete(s.epoch.parity(), s.groupOf(row.Hash), s.epoch.key)
	q.suspended, q.noted, q.reason, q.attempts = false, false, "", 0
	q.begun, q.rounds, q.broken = false, 0, 0
	if skip {
		s.dequeue(fn, q)
		s.Counts.Skipped++
	}
	if q.head == 0 {
		s.unqueue(p, row)
		return
	}
	s.retryAfter(p, 0)
}

// retry runs the messages that wait at an address, until one fails or none is left.
func (s *Shard) retry(p place) {
	q := s.queues[p]
	if q == nil || q.suspended {
		invariant.Failf("shard %d: retry of function %d, slot %d, where nothing waits", s.id, p.fn, p.slot)
	}
	fn := s.fns[p.fn]
	row := fn.table.Row(p.slot)
	switch {
	case q.held && s.egressHeld: // Another attempt would only do its work in vain, elsewhere too.
		s.hold(p, q)
		return
	case fn.Endpoint != nil:
		q.held = false
		fn.Endpoint.line.push(p)
		return
	case fn.Absent:
		s.park(fn, q) // Without an entry: it goes on when there is somebody again.
		s.reportSuspended(fn, row, errAbsent)
		return
	}
	q.held = false
	for range retryRun {
		if err := s.invokeQueued(fn, p.slot, row, q); err != nil {
			s.rollback()
			s.attemptFailed(fn, row, p, q, err)
			return
		}
		s.dequeue(fn, q)
		if q.head == 0 {
			s.unqueue(p, row)
			return
		}
	}
	s.retryAfter(p, 0)
}

func (s *Shard) invokeQueued(fn *Function, slot table.Slot, row *table.Row, q *queue) (err error) {
	returned := false
	defer func() {
		if p := s.recovered(recover(), returned); p != nil {
			err = p
		}
	}()
	e := s.stored.open(s.heap, q.head-1, &s.running)
	err = s.invoke(fn, slot, row, &s.running, e)
	returned = true
	return err
}
