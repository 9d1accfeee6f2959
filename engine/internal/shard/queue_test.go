// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"fmt"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/internal/clock"
	"github.com/millrace-io/millrace/engine/internal/envelope"
)

// An address whose message fails goes through retries to suspension, and on when it is resumed. Meanwhile
// its messages wait, in their order, and count as queued; those of others run.
func TestQueueLife(t *testing.T) {
	r := newRig(t, rigConfig{retries: 2})
	r.flaky = 4
	r.step("a +1", "a flaky;>z:first", "a >z:second", "b +1")
	want(t, "failures", r.failures(), "a 1 wanted")
	r.step("a >z:third", "b >z:other")
	want(t, "out", r.out(), "0: b→z:other")
	if got := r.s.Waiting(); got < 3*envelope.Size {
		t.Errorf("%d bytes wait; want three messages", got)
	}
	for attempt := 2; attempt <= 3; attempt++ {
		due, ok := r.s.NextTimer()
		base := clock.Instant(retryFirst << (attempt - 2))
		if !ok || due > r.now+base {
			t.Fatalf("attempt %d: a timer at %d, %v; want one until %d", attempt, due, ok, r.now+base)
		}
		r.advance(base/2 - 1)
		want(t, "failures before half of the back-off", r.failures(), "")
		r.advance(base/2 + 1)
		suspended := ""
		if attempt == 3 {
			suspended = "suspended "
		}
		want(t, "failures", r.failures(), fmt.Sprintf("a %d %swanted", attempt, suspended))
	}
	if _, ok := r.s.NextTimer(); ok || r.s.Counts.Suspended != 1 {
		t.Errorf("suspended addresses: %d, and a timer: %v", r.s.Counts.Suspended, ok)
	}
	r.advance(retryMost)
	r.step("a >z:fourth")
	want(t, "out", r.out(), "")

	r.resume("a") // It fails once more, and then again from the first attempt on.
	r.advance(0)
	want(t, "failures", r.failures(), "a 1 wanted")
	if r.s.Counts.Suspended != 0 {
		t.Errorf("%d addresses are suspended; want none", r.s.Counts.Suspended)
	}
	r.step("a >z:fifth")
	r.advance(retryFirst)
	want(t, "out", r.out(), "0: a→z:first a→z:second a→z:third a→z:fourth a→z:fifth")
	want(t, "state", r.state(), "a n=1, b n=1")
	if r.s.Waiting() != 0 || len(r.s.queues) != 0 {
		t.Errorf("%d bytes wait at %d addresses", r.s.Waiting(), len(r.s.queues))
	}
	if c := r.s.Counts; c.Failures != 4 || c.Invocations != 3+5 {
		t.Errorf("%d failures, %d invocations; want 4, 8", c.Failures, c.Invocations)
	}
	r.step("a >z:sixth")
	want(t, "out", r.out(), "0: a→z:sixth")
}

// A later message may fail too: those in front of it have taken effect, and it begins anew.
func TestQueueSecondFailure(t *testing.T) {
	r := newRig(t, rigConfig{retries: 1})
	r.flaky = 1
	r.step("a flaky;+1", "a +2", "a fail", "a +4")
	r.advance(retryFirst)
	want(t, "failures", r.failures(), "a 1 wanted, a 1 wanted")
	want(t, "state", r.state(), "a n=3")
	r.advance(retryFirst)
	want(t, "failures", r.failures(), "a 2 suspended wanted")
}

// An error that says so is not tried again, and a function without retries is suspended at once.
func TestQueueSuspendsAtOnce(t *testing.T) {
	r := newRig(t, rigConfig{retries: 5})
	r.step("a permanent", "b fail")
	want(t, "failures", r.failures(), "a 1 suspended wrapped: wanted, b 1 wanted")
	r = newRig(t, rigConfig{retries: 0})
	r.step("a permanent", "b panic")
	want(t, "failures", r.failures(), "a 1 suspended wrapped: wanted, b 1 suspended panic: as wanted")
}

// A message that no attempt can mend is given up, alone: those behind it run.
func TestQueueSkip(t *testing.T) {
	r := newRig(t, rigConfig{})
	r.step("a +1", "a fail;=poison", "a >z:1", "a panic", "a >z:2", "b fail", "c =x", "c fail")
	r.failures()
	suspended := r.s.suspended
	if suspended != r.s.Waiting() {
		t.Errorf("%d bytes wait at suspended addresses; want all, %d", suspended, r.s.Waiting())
	}
	r.skip("a", "nobody")
	r.advance(0)
	want(t, "out", r.out(), "0: a→z:1")
	want(t, "failures", r.failures(), "a 1 suspended panic: as wanted")
	r.skip("a", "b") // Nothing is left of b.
	r.advance(0)
	want(t, "out", r.out(), "0: a→z:2")
	want(t, "state", r.state(), "a n=1, c text=x")
	if c := r.s.Counts; c.Skipped != 3 || c.Suspended != 1 || r.s.suspended != r.s.Waiting() {
		t.Errorf("%d messages were skipped, %d addresses are suspended, with %d of %d bytes", c.Skipped, c.Suspended, r.s.suspended, r.s.Waiting())
	}
	r.skip("c")
	r.step("c ~")
	want(t, "state", r.state(), "a n=1")
	if r.s.Waiting() != 0 || r.s.suspended != 0 || len(r.s.queues) != 0 {
		t.Errorf("%d bytes wait, %d of them suspended, at %d addresses", r.s.Waiting(), r.s.suspended, len(r.s.queues))
	}
}

// To resume what is not suspended changes nothing, and leaves no instance behind.
func TestQueueResumeNothing(t *testing.T) {
	r := newRig(t, rigConfig{retries: 1})
	r.step("stays +1", "retries flaky", "fails fail")
	r.resume("nobody", "stays", "fails", "nobody")
	r.step("a +1")
	r.resume("a", "b")
	want(t, "state", r.state(), "a n=1, fails none, stays n=1")
	want(t, "failures", r.failures(), "fails 1 wanted")
	r.resume("fails") // It waits for its time already.
	r.advance(0)
	want(t, "failures", r.failures(), "")
}

// An address that has come to rest without state is gone, whatever happened on the way.
func TestQueueLeavesNothing(t *testing.T) {
	r := newRig(t, rigConfig{retries: 3})
	r.flaky = 1
	r.step("a flaky", "b +1", "b fail;=x")
	r.step("a +1", "a ~", "b ?")
	r.advance(retryMost)
	if want(t, "state", r.state(), "b n=1"); r.s.Instances() != 1 {
		t.Errorf("%d instances; want 1", r.s.Instances())
	}
	r.flaky = 1
	r.step("c flaky;+1", "c ~")
	r.advance(retryMost)
	want(t, "state", r.state(), "b n=1")
}

// Many messages that wait run in portions, so that others get their turn in between.
func TestQueuePortions(t *testing.T) {
	r := newRig(t, rigConfig{retries: 3, limits: Limits{SendsMax: 1, PayloadBytesMax: 1}})
	r.flaky = 1
	r.step("a flaky")
	const messages = 2*retryRun + 10
	for i := range messages {
		r.step(fmt.Sprintf("a >z:%d", i))
	}
	r.now += retryFirst
	for portion, ran := 1, uint64(0); r.s.Waiting() > 0; portion++ {
		r.s.Advance(r.now, 1)
		if n := r.s.Counts.Invocations - ran; n == 0 || n > retryRun {
			t.Fatalf("portion %d ran %d messages; want 1 to %d", portion, n, retryRun)
		}
		ran = r.s.Counts.Invocations
	}
	got := strings.Split(strings.TrimPrefix(r.out(), "0: "), " ")
	for i, m := range got {
		if m != fmt.Sprintf("a→z:%d", i) {
			t.Fatalf("message %d is %s", i, m)
		}
	}
	if len(got) != messages {
		t.Errorf("%d messages; want %d", len(got), messages)
	}
}

// The pause between attempts doubles up to a limit, and up to half of it is left to chance.
func TestBackOff(t *testing.T) {
	r := newRig(t, rigConfig{})
	differs := false
	for attempt := 1; attempt <= 100; attempt++ {
		most := int64(retryMost)
		if attempt <= 10 {
			most = min(most, retryFirst<<(attempt-1))
		}
		first := r.s.backOff(attempt)
		for range 50 {
			d := r.s.backOff(attempt)
			if d > most || d < most/2 {
				t.Fatalf("attempt %d: a pause of %d ms; want %d to %d", attempt, d, most/2, most)
			}
			differs = differs || d != first
		}
	}
	if !differs {
		t.Error("the pause is not left to chance")
	}
}
