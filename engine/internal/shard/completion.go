// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"errors"
	"fmt"

	"github.com/millrace-io/millrace/engine/internal/clock"
	"github.com/millrace-io/millrace/engine/internal/table"
	"github.com/millrace-io/millrace/engine/remote"
	"github.com/millrace-io/millrace/engine/statefun"
)

// roundsMax is how often in a row a function may say that it has not been sent all of its state: two for
// two versions of it behind one endpoint, and two to spare.
const roundsMax = 4

// retryAfterMost bounds how long an endpoint can ask to be left alone, in milliseconds.
const retryAfterMost = 10 * 60 * 1000

// errHopeless is wrapped by failures that no attempt can mend.
var errHopeless = errors.New("not tried again")

// Complete takes a call back that Calls has handed over: its reply takes effect, or it is tried again. The
// effects belong to the epoch that is open, like those of a message from a door (P18).
func (s *Shard) Complete(now clock.Instant, c *Call) {
	s.setNow(now)
	c.Endpoint.Credit++
	p := c.place
	fn, q := s.fns[p.fn], s.queues[p]
	if q == nil || q.called == 0 || q.attempt != c.attempt {
		s.Counts.Stale++ // Of an attempt that the address no longer waits for.
		c.Endpoint.recycle(c)
		s.dispatch()
		return
	}
	messages := q.called
	q.called = 0
	fn.Counts.InFlight--
	fn.Counts.Changes++
	row := fn.table.Row(p.slot)

	err := c.Err
	switch {
	case err != nil:
	case c.Reply.Incomplete:
		err = s.learn(fn, q, c)
	default:
		if err = s.apply(fn, p.slot, row, c, messages); err == nil {
			fn.expectReply(c, messages)
			s.delivered(fn, row, p, q, messages)
		}
	}
	switch {
	case err != nil:
		s.callFailed(fn, row, p, q, messages, err)
	case q.head != 0:
		c.Endpoint.line.push(p)
	}
	c.Endpoint.recycle(c)
	s.dispatch()
	s.releaseEmpties()
}

// learn takes note of state values that the function wants to be sent.
func (s *Shard) learn(fn *Function, q *queue, c *Call) error {
	if c.Known.Declared > fn.specs.Declared {
		fn.specs = c.Known
	}
	switch q.rounds++; {
	case c.Known.Declared == c.specs.Declared:
		return errors.New("it asks for state, and for none that it has not been sent")
	case q.rounds > roundsMax:
		return fmt.Errorf("it asks for further state for the %dth time in a row", q.rounds)
	}
	return nil
}

// delivered forgets the messages that a reply has answered.
func (s *Shard) delivered(fn *Function, row *table.Row, p place, q *queue, messages int) {
	for range messages {
		s.dequeue(fn, q)
	}
	q.begun, q.rounds, q.broken = false, 0, 0
	if q.most > 0 { // It went well with fewer: more, carefully.
		if q.most *= 2; q.most > messagesMax(&fn.Endpoint.Policy) {
			q.most = 0
		}
	}
	if q.head == 0 {
		s.unqueue(p, row)
	}
}

// callFailed decides what comes after an attempt that left no trace.
func (s *Shard) callFailed(fn *Function, row *table.Row, p place, q *queue, messages int, err error) {
	reason, retryAfter := remote.Broken, int64(0)
	if e := (*remote.Error)(nil); errors.As(err, &e) {
		reason, retryAfter = e.Reason, e.RetryAfter.Milliseconds()
	}
	if errors.Is(err, errHeld) {
		q.begun = false // The endpoint has done its part: what waits for the outbox takes none of its time (P36).
		s.hold(p, q)
		return
	}
	policy := &fn.Endpoint.Policy
	s.Counts.Failures++
	fn.Counts.Failures++
	q.attempts++
	f := Failure{
		Address: statefun.Address{Type: fn.Type, ID: string(fn.table.ID(row))},
		Err:     err, Attempt: q.attempts, Remote: true,
	}
	if messages > 1 && reason != remote.Unreachable {
		q.most = messages / 2 // One of them may be the cause: the others are not to wait for it.
	}
	if messages == 1 && reason >= remote.Broken {
		q.broken++
		f.Suspended = q.broken >= policy.BrokenMax || errors.Is(err, errHopeless)
	}
	delay := max(s.remoteBackOff(policy, q.attempts), min(retryAfter, retryAfterMost))
	if q.broken > 0 { // The attempts are few: they should not all meet the same short disturbance.
		delay = max(delay, s.backOff(q.broken))
	}
	if !f.Suspended && int64(s.now-q.since)+delay >= policy.Call.Milliseconds() { // There is no time for another.
		q.begun, f.Exhausted = false, true
		switch policy.Exhausted {
		case remote.Suspend:
			f.Suspended = true
		case remote.DeadLetter:
			if s.egressHeld { // P36: a dead letter is a record like any other.
				q.begun = false
				s.hold(p, q)
				return
			}
			f.DeadLetter = true
			s.deadLetter(fn, row, p, q, messages)
		case remote.Retry:
			q.begun, q.since = true, s.now+clock.Instant(delay)
		}
	}
	switch {
	case f.Suspended:
		s.suspend(fn, row, q, err)
	case f.DeadLetter && q.head == 0:
		s.unqueue(p, row)
	case f.DeadLetter:
		fn.Endpoint.line.push(p)
	default:
		s.retryAfter(p, delay)
	}
	s.failed = append(s.failed, f)
}

// remoteBackOff doubles from the policy's first wait to its longest, less up to half of it by chance.
func (s *Shard) remoteBackOff(policy *remote.Policy, attempt int) int64 {
	first, most := policy.RetryFirst.Milliseconds(), policy.RetryMost.Milliseconds()
	d := most
	if shift := attempt - 1; shift < 20 {
		d = min(d, first<<shift)
	}
	return d - s.rand.Int64N(d/2+1)
}

// deadLetter emits the messages of a request to the egress for those that cannot be delivered: as many as
// an invocation may send.
func (s *Shard) deadLetter(fn *Function, row *table.Row, p place, q *queue, messages int) {
	messages = min(messages, s.limits.SendsMax)
	inv := s.enter(fn, p.slot, row)
	for range messages {
		var m remote.Message
		s.show(s.stored.at(q.head-1), &m)
		b, e := inv.postEgress(fn.DeadLetter)
		b.SetNamed(e, alias(m.Typename), m.Value)
		s.dequeue(fn, q)
	}
	s.settle(fn, p.slot, row)
	q.rounds, q.broken, q.most = 0, 0, 0
	fn.Counts.DeadLetters += uint64(messages)
}
