// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"fmt"
	"testing"

	"github.com/millrace-io/millrace/engine/internal/clock"
	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/statefun"
)

// An address at which messages wait is spared, for however long; then the time counts anew.
func TestIdleSparesQueues(t *testing.T) {
	r := newLeaseRig(t, terms{n: 50, idle: 10})
	r.post("a px", "a n1;permanent", "a n2")
	r.advance(40)
	want(t, "while it is suspended", r.row(r.instances()["a"]), "p=x @0")
	r.resume("a", true)
	r.advance(0)
	want(t, "resumed", r.row(r.instances()["a"]), "n=2@40 p=x @40")
	r.advance(9)
	if r.instances()["a"] == nil {
		t.Error("gone early")
	}
	r.advance(1)
	if r.s.Instances() != 0 || r.s.wheel.Len() != 0 {
		t.Errorf("%d instances, %d timers", r.s.Instances(), r.s.wheel.Len())
	}
}

// What is dropped knows no idempotency keys any more, in the very millisecond: the message that comes then is a
// first one, and its key is kept. Who owes a call its answer is spared.
func TestIdleAndKeys(t *testing.T) {
	const window = 1000
	group := statefun.KeyGroupOf(statefun.KeyHash("a"), 16)
	send := func(r *leaseRig, key string, call bool) envelope.Verdict {
		b := envelope.New(1)
		e := b.Append(fnLease, 0, statefun.KeyHash("a"), "a")
		b.SetWire(e, []byte("px"))
		if call {
			e.SetCaller(b.AppendCaller(fnCaller, fmt.Appendf(nil, "%04x-1-1k", group)))
		}
		b.Ticket = &envelope.Ticket{Key: []byte(key), Window: window}
		r.s.Step(r.now, b)
		return b.Ticket.Verdict
	}
	r := newLeaseRig(t, terms{idle: 10})
	for i, turn := range []struct {
		after  clock.Instant
		key    string
		wanted envelope.Verdict
	}{
		{0, "k", envelope.Taken},
		{0, "l", envelope.Taken},
		{9, "k", envelope.Known}, // Not run: it is no message to the address.
		{1, "k", envelope.Taken},
		{0, "k", envelope.Known},
		{0, "l", envelope.Taken},
	} {
		r.now += turn.after // No timer fires.
		if got := send(r, turn.key, false); got != turn.wanted {
			t.Errorf("message %d, under %s: verdict %d; want %d", i, turn.key, got, turn.wanted)
		}
	}
	r.cutAll()
	if n := len(r.store); n != 3 {
		t.Errorf("the store has %d entries: %v", n, r.store)
	}
	r.advance(10)
	r.cutAll()
	if s := r.s; s.keys.count != 0 || len(s.keys.byKey)+len(s.keys.byAddress) != 0 || s.wheel.Len() != 0 || len(r.store) != 0 {
		t.Errorf("%d keys, %d timers, and the store has %v", s.keys.count, s.wheel.Len(), r.store)
	}

	if send(r, "call", true) != envelope.Taken {
		t.Error("the call is not taken")
	}
	r.advance(500)
	if send(r, "call", true) != envelope.Known || r.s.Instances() != 1 {
		t.Error("a call that waits for its answer is forgotten")
	}
	answer := envelope.New(1)
	id := fmt.Sprintf("%04x-1-1k", group)
	answer.SetNamed(answer.Append(fnCaller, envelope.Untyped, statefun.KeyHash(id), id), "test/word", nil)
	r.s.Step(r.now, answer)
	r.advance(10)
	if r.s.Instances() != 0 || r.s.keys.count != 0 || r.s.wheel.Len() != 0 {
		t.Errorf("%d instances, %d keys, %d timers when it is answered", r.s.Instances(), r.s.keys.count, r.s.wheel.Len())
	}
}
