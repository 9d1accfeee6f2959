// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"fmt"
	"math"
	"testing"

	"github.com/millrace-io/millrace/engine/internal/clock"
	"github.com/millrace-io/millrace/engine/remote"
)

// A value expires in the very millisecond: its time counts from when it was written, or also from when it
// was last sent with a request. What is there is looked at again later, so an invocation costs no timer.
func TestExpiry(t *testing.T) {
	type turn struct {
		at      clock.Instant // Since the first.
		request string        // What it shows.
		words   []string      // Of the reply.
	}
	tests := []struct {
		name  string
		turns []turn
		gone  clock.Instant // When the instance goes, to the millisecond.
	}{
		{"a millisecond early", []turn{{0, "[w- i- n-]", []string{"=w:1"}}, {9, "[w=1 i- n-]", nil}}, 10},
		{"in time", []turn{{0, "[w- i- n-]", []string{"=w:1"}}, {10, "[w- i- n-]", nil}}, 10},
		{"sending is no write", []turn{{0, "[w- i- n-]", []string{"=w:1"}}, {5, "[w=1 i- n-]", nil}, {10, "[w- i- n-]", nil}}, 10},
		{"written again", []turn{{0, "[w- i- n-]", []string{"=w:1"}}, {5, "[w=1 i- n-]", []string{"=w:2"}}, {14, "[w=2 i- n-]", nil}}, 15},
		{"invoked", []turn{{0, "[w- i- n-]", []string{"=i:1"}}, {9, "[w- i=1 n-]", nil}, {18, "[w- i=1 n-]", nil}}, 28},
		{"not invoked", []turn{{0, "[w- i- n-]", []string{"=i:1"}}, {10, "[w- i- n-]", nil}}, 10},
		{"written again in vain", []turn{{0, "[w- i- n-]", []string{"=w:1"}}, {5, "[w=1 i- n-]", []string{"=w:2", "!nobody:x"}}}, 10},
		{"an empty value", []turn{{0, "[w- i- n-]", []string{"=w:"}}, {9, "[w= i- n-]", nil}}, 10},
		{"one after the other", []turn{{0, "[w- i- n-]", []string{"=w:1", "=i:1"}}, {5, "[w=1 i=1 n-]", nil}, {12, "[w- i=1 n-]", nil}}, 22},
		{"removed before", []turn{{0, "[w- i- n-]", []string{"=w:1"}}, {5, "[w=1 i- n-]", []string{"~w"}}}, 5},
		{"set when it has expired", []turn{{0, "[w- i- n-]", []string{"=w:1", "=i:1"}}, {10, "[w- i- n-]", []string{"=w:2"}}, {19, "[w=2 i- n-]", nil}}, 20},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRemoteRig(t, remoteConfig{near: remote.Policy{BrokenMax: 1}})
			r.declare("w,w10", "i,i10", "n")
			began := r.now
			for _, turn := range tt.turns {
				r.pass(turn.at - (r.now - began))
				r.post(fnCart, "a x")
				want(t, fmt.Sprint("request at ", turn.at), r.requests(), "cart/a try 1 "+turn.request+": x")
				r.reply("a", turn.words...)
				if len(r.s.Failures()) > 0 {
					r.goOn("a", true)
				}
			}
			for ; r.kept("a") != "gone"; r.pass(1) {
				if r.now-began >= tt.gone {
					t.Fatalf("%s is there at %d", r.kept("a"), r.now-began)
				}
			}
			if r.now-began != tt.gone {
				t.Errorf("gone at %d; want %d", r.now-began, tt.gone)
			}
			r.idle()
			if r.s.wheel.Len() != 0 || r.s.heap.Bytes() != 0 {
				t.Errorf("%d timers, %d bytes", r.s.wheel.Len(), r.s.heap.Bytes())
			}
		})
	}
}

// A value that expires while a request is on its way is not touched until the reply is there, which may set
// it again. The time of what is sent counts from when the request was made.
func TestExpiryInFlight(t *testing.T) {
	for _, words := range [][]string{nil, {"=w:2"}} {
		r := newRemoteRig(t, remoteConfig{})
		r.declare("w,w10", "i,i100")
		r.post(fnCart, "a x")
		r.reply("a", "=w:1", "=i:1")
		r.pass(5)
		r.post(fnCart, "a x")
		r.pass(50)
		want(t, "kept in flight", r.kept("a"), "w=1@0 i=1@5")
		want(t, "the request", r.requests(), "cart/a try 1 [w=1 i=1]: x")
		r.post(fnCart, "a y")
		r.reply("a", words...)
		if words == nil {
			want(t, "the next request", r.requests(), "cart/a try 1 [w- i=1]: y")
		} else {
			want(t, "the next request", r.requests(), "cart/a try 1 [w=2 i=1]: y")
		}
		r.reply("a")
		r.pass(100)
		want(t, "in the end", r.kept("a"), "gone")
		r.idle()
	}
}

// Each attempt at a request is one: it moves the time on.
func TestExpiryRetries(t *testing.T) {
	r := newRemoteRig(t, remoteConfig{})
	r.declare("i,i100")
	r.post(fnCart, "a x")
	r.reply("a", "=i:1")
	r.pass(90)
	r.post(fnCart, "a x")
	r.fail("a", remote.Refused)
	r.pass(50)
	want(t, "the second attempt", r.requests(), "cart/a try 2 [i=1]: x")
	r.pass(150)
	r.reply("a")
	want(t, "when it is answered late", r.kept("a"), "i=1@140")
	r.pass(0) // It was looked at, and is over.
	want(t, "then", r.kept("a"), "gone")
	r.idle()
}

// An instance has one timer, which is armed when it becomes idle and not again before it has fired.
func TestExpiryTimer(t *testing.T) {
	r := newRemoteRig(t, remoteConfig{})
	r.declare("w,w1000", "i,i1000", "n")
	r.post(fnCart, "a x")
	r.reply("a", "=w:1", "=i:1", "=n:1")
	first := r.s.fns[fnCart].lease(r.row(fnCart, "a")).timer
	for range 99 {
		r.pass(10)
		r.post(fnCart, "a x")
		r.reply("a", "=w:2")
		if now := r.s.fns[fnCart].lease(r.row(fnCart, "a")).timer; now != first || r.s.wheel.Len() != 1 {
			t.Fatalf("another timer: %v, then %v; %d in all", first, now, r.s.wheel.Len())
		}
	}
	r.pass(10) // It fires, and nothing has expired: both were moved on.
	if now := r.s.fns[fnCart].lease(r.row(fnCart, "a")).timer; now == first || r.s.wheel.Len() != 1 {
		t.Errorf("after %v comes %v; %d in all", first, now, r.s.wheel.Len())
	}
	r.pass(989)
	want(t, "a millisecond early", r.kept("a"), "w=2@990 i=1@990 n=1")
	r.pass(1)
	want(t, "in the end", r.kept("a"), "n=1")
	if r.s.wheel.Len() != 0 {
		t.Errorf("%d timers for what does not expire", r.s.wheel.Len())
	}
	r.post(fnCart, "b x")
	r.reply("b", "=n:1")
	if r.s.wheel.Len() != 0 {
		t.Errorf("%d timers for what does not expire", r.s.wheel.Len())
	}
}

// An instance that goes takes its timer along: whoever is next in its place is not touched by it.
func TestExpiryAndReuse(t *testing.T) {
	r := newRemoteRig(t, remoteConfig{})
	r.declare("w,w10", "n")
	r.post(fnCart, "a x")
	r.reply("a", "=w:1")
	r.post(fnCart, "a x")
	r.reply("a", "~w")
	want(t, "a", r.kept("a"), "gone")
	if r.s.wheel.Len() != 0 {
		t.Errorf("%d timers are left", r.s.wheel.Len())
	}
	r.pass(5)
	r.post(fnCart, "b x")
	r.reply("b", "=w:2")
	if slots := r.s.fns[fnCart].table.Slots(); slots > 1 {
		t.Fatalf("%d slots: b has not taken the place of a", slots)
	}
	r.pass(5)
	want(t, "b", r.kept("b"), "w=2@5")
	r.pass(5)
	want(t, "b", r.kept("b"), "gone")
	r.idle()
}

// What expires while its address is suspended is dropped when that has nothing to do any more, however it
// comes to that.
func TestExpiryWhileSuspended(t *testing.T) {
	r := newRemoteRig(t, remoteConfig{near: remote.Policy{BrokenMax: 1}})
	r.declare("w,w10")
	for _, skip := range []bool{false, true} {
		r.post(fnCart, "a x")
		r.reply("a", "=w:1")
		r.post(fnCart, "a x")
		r.fail("a", remote.Broken)
		r.pass(100)
		if r.kept("a") == "gone" {
			t.Fatal("an instance with messages is gone")
		}
		r.goOn("a", skip)
		if !skip {
			want(t, "request", r.requests(), "cart/a try 1 [w-]: x")
			r.reply("a")
		}
		r.pass(0)
		want(t, "in the end", r.kept("a"), "gone")
		r.idle()
	}
}

// The longest time there is does not overflow.
func TestExpiryFarAway(t *testing.T) {
	r := newRemoteRig(t, remoteConfig{})
	r.declare(fmt.Sprintf("w,w%d", int64(math.MaxInt64)))
	r.post(fnCart, "a x")
	r.reply("a", "=w:1")
	r.pass(1 << 40)
	r.post(fnCart, "a x")
	want(t, "request", r.requests(), "cart/a try 1 [w=1]: x")
	r.reply("a")
}
