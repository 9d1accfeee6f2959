// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"fmt"

	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/internal/planted"
	"github.com/millrace-io/millrace/engine/internal/table"
	"github.com/millrace-io/millrace/engine/remote"
)

// A function that runs elsewhere is invoked by a request, one at a time for an address (I2). Its messages
// wait at the address until the reply is there, and longer if there is none:
//
//	a message comes ──► in line ──credit──► called ──reply──► none waits, or in line again
//	                      ▲                   │
//	                      └──── back-off ◄────┴──too often broken──► suspended ──Resume──► in line
//
// So what is under way is always among what waits, and a request that is lost is made again.

// await has a message wait at an address where none does.
func (s *Shard) await(fn *Function, slot table.Slot, row *table.Row, b *envelope.Batch, e *envelope.Envelope) {
	if fn.IdleAfter > 0 {
		s.look(fn, slot, row)
	}
	p := place{fn.number, slot}
	q := s.newQueue()
	s.queues[p] = q
	row.Flags |= flagQueued
	s.enqueue(fn, q, b, e)
	fn.Endpoint.line.push(p)
}

// dispatch makes requests for the addresses in line, as far as there is credit. It runs at the end of a
// step, when all messages of a batch have come together.
func (s *Shard) dispatch() {
	for _, ep := range s.endpoints {
		for ep.Credit > 0 && !ep.line.empty() {
			s.call(ep, ep.line.pop())
		}
	}
}

// Calls hands over the requests that are to be made. The slice is valid until the next step.
func (s *Shard) Calls() []*Call {
	c := s.calls
	s.calls = s.calls[:0]
	return c
}

// call makes the request for what waits at an address.
func (s *Shard) call(ep *Endpoint, p place) {
	fn, q := s.fns[p.fn], s.queues[p]
	row := fn.table.Row(p.slot)
	// What waits in line for longer than a delivery may take would only get to try what cannot succeed.
	late := int64(s.now-q.since) >= ep.Policy.Call.Milliseconds()
	if !q.begun || late {
		q.begun, q.since = true, s.now
	}
	s.attempt++
	c := ep.take()
	c.place, c.attempt, c.specs = p, s.attempt, fn.specs
	c.Target, c.ID = fn.Type, fn.table.ID(row)
	c.Attempt = q.attempts + 1
	c.SetTimeout(max(ep.Policy.Call.Milliseconds()-int64(s.now-q.since), 1))

	bytes := s.appendState(c, fn, p.slot, row)
	messages, bytes := s.appendMessages(c, fn, q, bytes)
	if bytes > ep.Policy.BytesMax {
		ep.recycle(c)
		s.callFailed(fn, row, p, q, messages, fmt.Errorf(
			"a request of about %d bytes, for one message and the state of its address: %w, because at most %d are allowed",
			bytes, errHopeless, ep.Policy.BytesMax))
		return
	}
	q.called, q.attempt = messages, s.attempt
	fn.Counts.InFlight++
	fn.Counts.Changes++
	ep.Credit--
	s.calls = append(s.calls, c)
}

// messageBytes is what a message takes in a request beside its bytes: lengths, field numbers and names.
const messageBytes = 64

// appendMessages puts into a request, which takes bytes without them, as many of the messages at an address
// as it can take: at least one.
func (s *Shard) appendMessages(c *Call, fn *Function, q *queue, bytes int) (count, total int) {
	most := requestMost(fn, q)
	c.Messages = c.Messages[:0]
	for record := q.head; record != 0 && count < most; count++ {
		r := s.stored.at(record - 1)
		if planted.CallNotInCut {
			s.fresh[s.epoch.parity()].clear(record - 1)
		}
		more := messageBytes + int(r.arenaLen)
		if count > 0 && bytes+more > fn.Endpoint.Policy.BytesMax {
			break
		}
		bytes += more
		c.Messages = append(c.Messages, remote.Message{})
		s.show(r, &c.Messages[count])
		record = r.next
	}
	return count, bytes
}

// requestMost is how many messages may go in one request: as the policy says, as large as the reply may
// become, and fewer after a failure.
func requestMost(fn *Function, q *queue) int {
	most := messagesMax(&fn.Endpoint.Policy)
	if fn.replyBytes > 0 {
		most = min(most, fn.Endpoint.Policy.BytesMax/fn.replyBytes)
	}
	if q.most > 0 {
		most = min(most, q.most)
	}
	return max(most, 1)
}

func messagesMax(policy *remote.Policy) int {
	const unbounded = 1 << 30
	if policy.MessagesMax <= 0 {
		return unbounded
	}
	return policy.MessagesMax
}

// show fills in a message of a request. Its bytes are those of the record, which stays until the reply is
// there.
func (s *Shard) show(r *stored, m *remote.Message) {
	b := envelope.Batch{Arena: s.heap.Get(r.arena, int(r.arenaLen))}
	m.Typename, m.Value = b.Named(&r.envelope)
	m.Absent = r.envelope.IsAbsent()
	if fn, id, ok := b.Caller(&r.envelope); ok {
		m.Caller, m.CallerID = s.function(fn).Type, id
	}
}

// expectReply remembers how large replies are, for the size of requests: the largest of late.
func (fn *Function) expectReply(c *Call, messages int) {
	fn.replyBytes = max(c.Reply.Bytes/messages, fn.replyBytes-fn.replyBytes/8)
}
