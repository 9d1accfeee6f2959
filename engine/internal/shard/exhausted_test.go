// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/internal/clock"
	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/remote"
)

// exhaust has all attempts at a delivery fail, and returns when it was over, what the last failure says, and
// what was left for each attempt.
func exhaust(r *remoteRig, id string) (after clock.Instant, last Failure, left []time.Duration) {
	r.t.Helper()
	began := r.now
	for range 1000 {
		left = append(left, r.on(id).Timeout)
		r.fail(id, remote.Refused)
		if last = r.s.Failures()[0]; last.Exhausted {
			return r.now - began, last, left
		}
		for len(r.under) == 0 {
			r.pass(1)
		}
	}
	r.t.Fatal("it never ends")
	return 0, last, nil
}

// While the outbox is full an address waits as long as it takes: that is no failure of the endpoint, and takes
// nothing of the time for its delivery (P36).
func TestHeldIsNotExhausted(t *testing.T) {
	r := newRemoteRig(t, remoteConfig{near: remote.Policy{Call: 10 * time.Second, Exhausted: remote.Suspend}})
	r.post(fnCart, "a one")
	r.s.HoldEgress(true)
	r.reply("a", "!out:record")
	for r.now < rigStart+9_980 {
		if r.pass(heldRetry); len(r.under) != 0 {
			t.Fatalf("request %s, whose records have nowhere to go", r.requests())
		}
	}
	r.s.HoldEgress(false)
	r.pass(heldRetry)
	if c := r.on("a"); c.Timeout != 10*time.Second || c.Attempt != 1 {
		t.Errorf("attempt %d has %v; want the first, with all of its time", c.Attempt, c.Timeout)
	}
	r.fail("a", remote.Unreachable) // For once.
	if f := r.s.Failures(); len(f) != 1 || f[0].Suspended || f[0].Exhausted {
		t.Errorf("%+v", f)
	}
}

// A delivery takes no longer than the policy says: each attempt has what is left, and there is none without
// any time. Then another delivery begins, with all of it.
func TestExhaustedRetries(t *testing.T) {
	r := newRemoteRig(t, remoteConfig{near: remote.Policy{Call: 10 * time.Second, RetryMost: time.Second}})
	r.post(fnCart, "a one")
	for range 3 {
		after, last, left := exhaust(r, "a")
		if after > 10_000 || after < 9000 || last.Suspended || last.DeadLetter {
			t.Errorf("%+v, after %d ms", last, after)
		}
		if left[0] != 10*time.Second || left[len(left)-1] < time.Millisecond || left[len(left)-1] > 2*time.Second {
			t.Errorf("left are %v", left)
		}
		for len(r.under) == 0 {
			r.pass(1)
		}
	}
	r.reply("a")
	r.idle()
	if r.s.fns[fnCart].Counts.DeadLetters != 0 {
		t.Errorf("%+v", r.s.fns[fnCart].Counts)
	}
}

func TestExhaustedSuspends(t *testing.T) {
	r := newRemoteRig(t, remoteConfig{near: remote.Policy{Call: time.Second, Exhausted: remote.Suspend}})
	for _, skip := range []bool{false, true} {
		r.post(fnCart, "a one", "a two")
		if _, last, _ := exhaust(r, "a"); !last.Suspended {
			t.Fatalf("%+v", last)
		}
		r.pass(100_000)
		r.post(fnCart, "b x")
		r.reply("b")
		want(t, "requests", r.requests(), "")
		r.goOn("a", skip)
		if c := r.on("a"); c.Timeout != time.Second || c.Attempt != 1 {
			t.Errorf("when resumed it is attempt %d with a timeout of %v", c.Attempt, c.Timeout)
		}
		want(t, "first", string(r.on("a").Messages[0].Value), map[bool]string{false: "one", true: "two"}[skip])
		for len(r.under) > 0 {
			r.reply("a")
		}
		r.idle()
	}
	if c := r.s.Counts; c.Skipped != 1 || c.Suspended != 0 {
		t.Errorf("%+v", c)
	}
}

// Dead letters are the messages of the request, from its address, in order; those behind them go on, with
// time of their own. The state stays as it is.
func TestExhaustedDeadLetters(t *testing.T) {
	r := newRemoteRig(t, remoteConfig{near: remote.Policy{
		Call: time.Second, Exhausted: remote.DeadLetter, DeadLetter: "test/dead", MessagesMax: 3,
	}})
	r.declare("n")
	r.post(fnCart, "a zero")
	r.reply("a", "=n:5")
	long := strings.Repeat("x", 5000)
	r.post(fnCart, "a one", "a "+long, "a three", "a four")
	var dead string
	for n := 0; r.s.fns[fnCart].Counts.DeadLetters < 4; n++ {
		if _, last, left := exhaust(r, "a"); !last.DeadLetter || last.Suspended || left[0] != time.Second {
			t.Fatalf("%+v, with %v", last, left)
		}
		for _, b := range r.s.DrainEgress() {
			for i := range b.Envelopes {
				if b.Envelopes[i].Function != egressDead {
					t.Errorf("a record for egress %d", b.Envelopes[i].Function)
				}
			}
			dead += strings.Join(r.messages(b), " ") + " "
		}
	}
	want(t, "dead letters", dead, "a→:one a→:"+long+" a→:three a→:four ")
	want(t, "state", r.kept("a"), "n=5")
	r.idle()
	if c := r.s.fns[fnCart].Counts; c.OutEgress != 4 || c.In != 2 {
		t.Errorf("%+v", c)
	}
	r.post(fnCart, "b one") // Without state nothing is left of the instance.
	exhaust(r, "b")
	r.idle()
	want(t, "without state", r.kept("b"), "gone")
}

// More messages than an invocation may send leave as dead letters all the same.
func TestExhaustedDeadLettersAreMany(t *testing.T) {
	r := newRemoteRig(t, remoteConfig{
		near: remote.Policy{Call: time.Second, Exhausted: remote.DeadLetter, DeadLetter: "test/dead", MessagesMax: -1},
		rig:  rigConfig{limits: Limits{SendsMax: 4, PayloadBytesMax: 1000}},
	})
	for n := range 10 {
		r.post(fnCart, fmt.Sprint("a ", n))
	}
	for len(r.under) > 0 {
		r.fail("a", remote.Unreachable)
		for len(r.under) == 0 && len(r.s.queues) > 0 {
			r.pass(1)
		}
	}
	want(t, "out", r.out(), "egress: a→:0 a→:1 a→:2 a→:3 a→:4 a→:5 a→:6 a→:7 a→:8 a→:9")
	r.idle()
}

// What the other end asks to be left alone for may be longer than a delivery: then it is over at once.
func TestExhaustedByRetryAfter(t *testing.T) {
	r := newRemoteRig(t, remoteConfig{near: remote.Policy{Call: time.Second, Exhausted: remote.Suspend}})
	r.post(fnCart, "a one")
	r.failUntil("a", time.Minute)
	if f := r.s.Failures(); len(f) != 1 || !f[0].Suspended || !f[0].Exhausted {
		t.Errorf("%+v", f)
	}
	if got := r.s.SuspendedBytes(); got != envelope.Size {
		t.Errorf("%d bytes are suspended", got)
	}
}

// What has waited in line for longer than a delivery may take has all of the time when its turn comes.
func TestExhaustedInLine(t *testing.T) {
	r := newRemoteRig(t, remoteConfig{near: remote.Policy{InFlightMax: 1, Call: 10 * time.Second}})
	r.post(fnCart, "a one", "b one", "c one")
	for _, id := range []string{"a", "b"} { // They hang, and then wait behind the others.
		r.pass(10_000)
		r.fail(id, remote.TimedOut)
	}
	r.pass(10_000)
	r.reply("c")
	r.pass(0)
	if c := r.on("a"); c.Timeout != 10*time.Second {
		t.Errorf("%s has %v", r.request(c), c.Timeout)
	}
}
