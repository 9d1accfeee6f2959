// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"fmt"
	"math"

	"github.com/millrace-io/millrace/engine/internal/clock"
	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/internal/invariant"
	"github.com/millrace-io/millrace/engine/internal/planted"
	"github.com/millrace-io/millrace/engine/internal/table"
	"github.com/millrace-io/millrace/engine/internal/timerwheel"
)

// A timer's payload says what it is for, in the upper bits, and for whom.
const (
	timerDelayed = uint64(iota) << 60 // A delayed message: its record in the store.
	timerRetry                        // An address whose message failed: function<<32 | slot.
	timerExpiry                       // An instance with state that expires: function<<32 | slot.
	timerKey                          // An idempotency key: its place in the ring.
	timerKind    = uint64(15) << 60
)

// timerPlace is the instance that a timer is for.
func timerPlace(payload uint64) place {
	payload &^= timerKind
	return place{envelope.Function(payload >> 32), table.Slot(uint32(payload))}
}

// timerMoves is how many timers the wheel sorts at a time: some ten microseconds.
const timerMoves = 1024

// staged is a delayed message or a cancellation that takes effect with its invocation.
type staged struct {
	due     clock.Instant
	token   Token
	message int  // Index in scratch; -1 for a cancellation.
	undone  bool // Cancelled by the same invocation.
	name    string
}

// scratchMax bounds the delayed messages of one invocation, which lie in one batch until it takes effect.
const scratchMax = 1 << 30

// pending is a delayed message that can be cancelled.
type pending struct {
	timer  timerwheel.Handle
	record uint32
}

// PostAfter appends a delayed message from the running instance, like Post. delay is in milliseconds.
// It stays with the sender's shard until it is due (P12).
func (inv *Invocation) PostAfter(delay int64, fn envelope.Function, input envelope.Input, hash uint64, id string) (*envelope.Batch, *envelope.Envelope, Token) {
	s := inv.shard
	if delay < 0 {
		inv.Fail(ErrBadDelay)
		delay = 0
	}
	large := len(inv.scratch.Arena) > scratchMax
	if large {
		inv.Fail(fmt.Errorf("more than %d bytes of delayed messages in one invocation: %w", scratchMax, ErrLimit))
	}
	if large || !inv.countSend() {
		b, e := inv.discard(fn, input, hash, id)
		return b, e, 0
	}
	token := s.token()
	inv.outLocal++ // It stays here until it is due.
	due := s.now + clock.Instant(delay)
	if due < s.now { // Some hundred million years from now.
		due = math.MaxInt64
	}
	b := inv.scratch
	inv.staged = append(inv.staged, staged{due: due, token: token, message: len(b.Envelopes)})
	e := b.Append(fn, input, hash, id)
	e.SetCaller(b.AppendCaller(inv.fn.number, inv.fn.table.ID(inv.Row)))
	return b, e, token
}

// Cancel takes back a delayed message that an address with this id has sent. It reports whether there was
// one that had not come due.
func (inv *Invocation) Cancel(token Token) bool {
	for i := range inv.staged {
		if t := &inv.staged[i]; t.token == token {
			if t.undone || t.message < 0 {
				return false // Cancelled by this invocation already.
			}
			t.undone = true
			return true
		}
	}
	s := inv.shard
	p, ok := s.tokens[token]
	if !ok {
		return false
	}
	e := s.stored.open(s.heap, p.record, &s.view)
	if _, sender, _ := s.view.Caller(e); string(sender) != string(inv.fn.table.ID(inv.Row)) {
		return false // Tokens belong to the sender's id, as in StateFun.
	}
	inv.staged = append(inv.staged, staged{token: token, message: -1})
	return true
}

// applyStaged lets take effect what could not be undone.
func (s *Shard) applyStaged() {
	inv := s.inv
	for i := range inv.staged {
		t := &inv.staged[i]
		switch {
		case t.undone:
		case t.message < 0:
			s.cancel(t.token)
		default:
			record := s.stored.put(s.heap, inv.scratch, &inv.scratch.Envelopes[t.message])
			if !planted.TimersNotInCut {
				s.freshen(record)
			}
			r := s.stored.at(record)
			r.number, r.due = uint64(t.token), t.due
			s.tokens[t.token] = pending{s.wheel.Add(int64(t.due), timerDelayed|uint64(record)), record}
			if t.name != "" {
				s.keepName(t)
			}
			if inv.fn.IdleAfter > 0 {
				s.countDelayed(record)
			}
			s.delayed++
		}
	}
	for _, ref := range inv.removed {
		s.heap.Free(ref)
	}
	inv.reset()
}

func (s *Shard) cancel(token Token) {
	p := s.tokens[token]
	if _, ok := s.wheel.Cancel(p.timer); !ok {
		invariant.Failf("shard %d: token %d without a timer", s.id, token)
	}
	s.dropDelayed(token, p.record)
}

// dropDelayed forgets a delayed message that has come due or has been cancelled.
func (s *Shard) dropDelayed(token Token, record uint32) {
	s.uncountDelayed(record)
	s.forget(record) // P15. First: it is encoded with its name.
	delete(s.tokens, token)
	s.dropName(token)
	s.delayed--
}

// Advance fires up to most timers that are due and reports whether there are more. Messages go out in
// due order, and those due in the same millisecond in the order in which they were sent.
func (s *Shard) Advance(now clock.Instant, most int) (more bool) {
	s.setNow(now)
	more = s.fire(now, most)
	s.dispatch()
	s.releaseEmpties()
	return more
}

func (s *Shard) fire(now clock.Instant, most int) (more bool) {
	for ; most > 0; most-- {
		if !s.wheel.Advance(int64(now), timerMoves) {
			return true // Still sorting.
		}
		_, payload, ok := s.wheel.Pop(int64(now))
		if !ok {
			return false
		}
		switch payload & timerKind {
		case timerDelayed:
			record := uint32(payload)
			e := s.stored.open(s.heap, record, &s.view)
			s.forward(&s.outlets[s.destination(e.Function, e.Hash, alias(s.view.ID(e)))], &s.view, e)
			s.dropDelayed(Token(s.stored.at(record).number), record)
			s.Counts.Fired++
		case timerRetry:
			s.retry(timerPlace(payload))
		case timerExpiry:
			s.expire(timerPlace(payload))
		case timerKey:
			s.dropKey(uint32(payload))
		}
	}
	return true
}
