// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"math"
	"testing"
	"unsafe"

	"github.com/millrace-io/millrace/engine/internal/clock"
	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/statefun"
)

// Delayed messages leave when they are due, not before, in the order of their times and then of sending,
// on behalf of those who sent them.
func TestDelayed(t *testing.T) {
	r := newRig(t, rigConfig{})
	r.step("a @20,z:late;@10,z:one;>z:now", "an-id-of-more-than-16-bytes @10,z:two;@0,z:at-once", "a @10,z:three")
	want(t, "out", r.out(), "0: a→z:now")
	if n := len(r.inv.scratch.Envelopes); r.s.Delayed() != 5 || n != 0 {
		t.Errorf("%d messages are delayed, %d are left to be; want 5, 0", r.s.Delayed(), n)
	}
	r.advance(0)
	want(t, "out at once", r.out(), "0: an-id-of-more-than-16-bytes→z:at-once")
	r.advance(9)
	want(t, "out a millisecond early", r.out(), "")
	r.advance(1)
	want(t, "out in time", r.out(), "0: a→z:one an-id-of-more-than-16-bytes→z:two a→z:three")
	r.advance(1000)
	want(t, "out late", r.out(), "0: a→z:late")
	if r.s.Delayed() != 0 || len(r.s.tokens) != 0 || r.s.heap.Bytes() != 0 || r.s.Counts.Fired != 5 {
		t.Errorf("%d are delayed, with %d tokens, %d bytes; %d have fired", r.s.Delayed(), len(r.s.tokens), r.s.heap.Bytes(), r.s.Counts.Fired)
	}
}

// A cancellation takes effect with its invocation, or not at all; so does the message itself.
func TestDelayedCancel(t *testing.T) {
	tests := []struct {
		name     string
		messages []string
		then     []string // When 5 ms have passed.
		cancel   map[string]bool
		out      string
	}{
		{name: "later", messages: []string{"a @5,z:m;@9,z:n", "a xn"}, cancel: map[string]bool{"n": true}, out: "0: a→z:m"},
		{name: "by the same invocation", messages: []string{"a @5,z:m;xm;@5,z:n"}, cancel: map[string]bool{"m": true}, out: "0: a→z:n"},
		{name: "twice", messages: []string{"a @5,z:m", "a xm;xm"}, cancel: map[string]bool{"m": false}},
		{name: "twice by the same invocation", messages: []string{"a @5,z:m;xm;xm"}, cancel: map[string]bool{"m": false}},
		{name: "again", messages: []string{"a @5,z:m", "a xm", "a xm"}, cancel: map[string]bool{"m": false}},
		{name: "of another id", messages: []string{"a @5,z:m", "b xm"}, cancel: map[string]bool{"m": false}, out: "0: a→z:m"},
		{name: "of what was never sent", messages: []string{"a xm"}, cancel: map[string]bool{"m": false}},
		{name: "of what has fired", messages: []string{"a @5,z:m"}, then: []string{"a xm"}, cancel: map[string]bool{"m": false}, out: "0: a→z:m"},
		{name: "by an invocation that fails", messages: []string{"a @5,z:m", "a xm;fail"}, cancel: map[string]bool{"m": true}, out: "0: a→z:m"},
		{name: "of what an invocation that fails has sent", messages: []string{"a @5,z:m;fail", "b @5,z:n;panic", "c @5,z:o"}, out: "0: c→z:o"},
		{name: "of one among others", messages: []string{"a @5,z:1;@5,z:2;@5,z:3", "a x2;@5,z:4"}, cancel: map[string]bool{"2": true}, out: "0: a→z:1 a→z:3 a→z:4"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, rigConfig{})
			r.step(tt.messages...)
			r.advance(5)
			r.step(tt.then...)
			want(t, "out", r.out(), tt.out)
			r.advance(1000)
			want(t, "out in the end", r.out(), "")
			for name, want := range tt.cancel {
				if r.cancel[name] != want {
					t.Errorf("Cancel(%s) = %v; want %v", name, r.cancel[name], want)
				}
			}
			if r.s.Delayed() != 0 || len(r.s.tokens) != 0 {
				t.Errorf("%d are delayed, with %d tokens", r.s.Delayed(), len(r.s.tokens))
			}
		})
	}
}

// A record that is free is used for the next message that waits.
func TestDelayedReusesRecords(t *testing.T) {
	r := newRig(t, rigConfig{})
	for range 3 * storeChunk {
		r.step("a @5,z:m;@5,z:n", "a xm")
		r.advance(5)
		r.out()
	}
	if r.s.stored.next > 2 {
		t.Errorf("%d records for two messages at a time", r.s.stored.next)
	}
}

// A delay that leads past the end of time ends there, instead of in the past.
func TestDelayedForEver(t *testing.T) {
	r := newRig(t, rigConfig{})
	r.s.fns[fnProbe].Inputs[0].Wire = func(_ unsafe.Pointer, inv *Invocation, _ []byte) error {
		inv.PostAfter(math.MaxInt64, fnProbe, 0, statefun.KeyHash("z"), "z")
		return nil
	}
	r.step("a x")
	r.advance(1 << 50)
	want(t, "out", r.out(), "")
	if r.s.Delayed() != 1 {
		t.Errorf("%d messages are delayed; want 1", r.s.Delayed())
	}
}

// Timers fire a few at a time, so that batches get their turn in between.
func TestAdvancePortions(t *testing.T) {
	r := newRig(t, rigConfig{})
	r.step("a @1,z:1;@1,z:2;@1,z:3;@1,z:4;@1,z:5")
	r.now++
	for _, wanted := range []string{"0: a→z:1 a→z:2", "0: a→z:3 a→z:4"} {
		if !r.s.Advance(r.now, 2) {
			t.Error("Advance says that no more is due")
		}
		want(t, "out", r.out(), wanted)
	}
	if r.s.Advance(r.now, 2) {
		t.Error("Advance says that more is due")
	}
	want(t, "out", r.out(), "0: a→z:5")
}

// A message that has waited is handed over as it was sent: as a memory image, to callers outside, with or
// without a caller of its own.
func TestDelayedKinds(t *testing.T) {
	r := newRig(t, rigConfig{})
	r.s.fns[fnProbe].Inputs[0].Wire = func(_ unsafe.Pointer, inv *Invocation, _ []byte) error {
		b, e, _ := inv.PostAfter(1, fnProbe, 1, statefun.KeyHash("z"), "z")
		*(*[5]int64)(b.Memory(e, 40)) = [5]int64{7, 8, 9, 10, 11}
		b, e, _ = inv.PostAfter(1, fnCaller, envelope.Untyped, statefun.KeyHash("caller"), "caller")
		b.SetNamed(e, "test/answer", []byte("yes"))
		return nil
	}
	r.step("a x")
	r.advance(1)
	memory := r.s.Drain(0)
	if len(memory) != 1 || len(memory[0].Envelopes) != 1 {
		t.Fatalf("%d batches for the shard; want 1 with 1 message", len(memory))
	}
	e := &memory[0].Envelopes[0]
	if got := *(*[5]int64)(memory[0].Payload(e)); !e.IsMemory() || got != [5]int64{7, 8, 9, 10, 11} {
		t.Errorf("memory image %v: %v", e.IsMemory(), got)
	}
	want(t, "out", r.out(), "replies: a→caller:yes")
}

// The time of a step is what its invocations see.
func TestNow(t *testing.T) {
	r := newRig(t, rigConfig{})
	var seen []clock.Instant
	r.s.fns[fnProbe].Inputs[0].Wire = func(_ unsafe.Pointer, inv *Invocation, _ []byte) error {
		seen = append(seen, inv.Now())
		return nil
	}
	r.step("a x")
	r.now += 5
	r.step("a x", "b x")
	if len(seen) != 3 || seen[0] != rigStart || seen[1] != rigStart+5 || seen[2] != rigStart+5 {
		t.Errorf("the invocations saw %v", seen)
	}
}
