// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/internal/clock"
	"github.com/millrace-io/millrace/engine/remote"
)

// A function that has not been sent all of its state has run nothing: it gets the same messages again, at
// once, with what it has asked for. What is known is known of the whole function type.
func TestIncomplete(t *testing.T) {
	r := newRemoteRig(t, remoteConfig{})
	r.post(fnCart, "a one", "a two", "b one")
	r.post(fnCart, "a three")
	r.reply("a", "?n", "=n:1", "!out:never")
	want(t, "requests", r.requests(), "cart/b try 1: one | cart/a try 1 [n-]: one two three")
	r.reply("a", "?m")
	r.reply("b", "?n", "?m") // Known by now, but it has not been sent them.
	want(t, "requests", r.requests(), "cart/a try 1 [n- m-]: one two three | cart/b try 1 [n- m-]: one")
	want(t, "out", r.out(), "")
	r.reply("a", "=m:x")
	r.reply("b")
	r.post(fnCart, "a four", "c one")
	r.post(fnDesk, "a one")
	want(t, "requests", r.requests(), "cart/a try 1 [n- m=x]: four | cart/c try 1 [n- m-]: one | desk/a try 1: one")
	r.reply("a", "?later") // A new version of the function.
	r.reply("c")
	r.under[0].Reply.Missing = append(r.under[0].Reply.Missing, specOf("not-counted"))
	r.reply("a")
	want(t, "requests", r.requests(), "cart/a try 1 [n- m=x later-]: four")
	r.reply("a")
	if r.s.Counts.Failures != 0 {
		t.Errorf("%d failures", r.s.Counts.Failures)
	}
	r.idle()
}

// Who asks for nothing that could be sent, or on and on, breaks the protocol.
func TestIncompleteForEver(t *testing.T) {
	tests := []struct {
		name string
		ask  func(round int) string
		good int // Rounds that are no failure.
		err  string
	}{
		{"nothing new", func(int) string { return "?n" }, 1, "it asks for state, and for none that it has not been sent"},
		{"more and more", func(round int) string { return fmt.Sprint("?n", round) }, roundsMax, "it asks for further state for the 5th time in a row"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRemoteRig(t, remoteConfig{near: remote.Policy{BrokenMax: 1}})
			r.post(fnCart, "a one")
			for round := range tt.good {
				r.reply("a", tt.ask(round))
				want(t, "failures", r.failures(), "")
			}
			r.reply("a", tt.ask(tt.good))
			want(t, "failures", r.failures(), "a 1 suspended "+tt.err)
			r.goOn("a", false) // From the beginning, with what is known.
			r.reply("a", "?other")
			r.reply("a")
			r.idle()
		})
	}
}

// Replies that break the protocol suspend an address after BrokenMax of them, and only that address; what is
// merely not there is tried again for ever.
func TestBroken(t *testing.T) {
	reasons := []remote.Reason{remote.Unreachable, remote.TimedOut, remote.Refused, remote.Broken, remote.TooLarge}
	for _, reason := range reasons {
		t.Run(reason.String(), func(t *testing.T) {
			r := newRemoteRig(t, remoteConfig{near: remote.Policy{BrokenMax: 3, RetryMost: time.Second}})
			r.post(fnCart, "a one", "b one")
			for attempt := 1; attempt <= 10; attempt++ {
				r.fail("a", reason)
				if reason >= remote.Broken && attempt == 3 {
					want(t, "failures", r.failures(), fmt.Sprintf("a 3 suspended : %v", reason))
					break
				}
				want(t, "failures", r.failures(), fmt.Sprintf("a %d : %v", attempt, reason))
				r.post(fnCart, fmt.Sprint("b ", attempt))
				r.reply("b")
				r.pass(1000)
			}
			if reason < remote.Broken {
				r.reply("a")
			} else {
				r.post(fnCart, "a two")
				r.pass(clock.Instant(time.Hour / time.Millisecond))
				want(t, "requests", r.requests(), "cart/b try 1: 2")
				r.goOn("a", false)
				want(t, "requests", r.requests(), "cart/b try 1: 2 | cart/a try 1: one two")
				r.reply("a")
			}
			for len(r.under) > 0 {
				r.reply("b")
			}
			r.idle()
		})
	}
}

// Only failures in a row count.
func TestBrokenIsForgotten(t *testing.T) {
	r := newRemoteRig(t, remoteConfig{near: remote.Policy{BrokenMax: 2}})
	for range 5 {
		r.post(fnCart, "a one")
		r.fail("a", remote.Broken)
		r.pass(1000)
		r.reply("a")
	}
	want(t, "failures", r.failures(), strings.Join(repeat("a 1 : broken", 5), ", "))
	r.idle()
}

// The wait before another attempt doubles up to the policy's longest, less up to half of it by chance, and
// is at least what the other end asks for, within reason.
func TestRemoteBackOff(t *testing.T) {
	r := newRemoteRig(t, remoteConfig{near: remote.Policy{RetryFirst: 100 * time.Millisecond, RetryMost: time.Second, Call: time.Hour}})
	wait := func(least, most clock.Instant) {
		t.Helper()
		r.pass(least - 1)
		if len(r.under) != 0 {
			t.Fatalf("tried again before %d ms: %q", least, r.requests())
		}
		if r.pass(most - least + 1); len(r.under) != 1 {
			t.Fatalf("not tried again within %d ms", most)
		}
	}
	r.post(fnCart, "a one")
	for _, most := range []clock.Instant{100, 200, 400, 800, 1000, 1000} {
		r.fail("a", remote.Unreachable)
		wait(most/2, most)
	}
	r.failUntil("a", 5*time.Second)
	wait(5000, 5000)
	r.failUntil("a", 24*time.Hour)
	wait(retryAfterMost, retryAfterMost)
	r.failUntil("a", -time.Hour)
	wait(500, 1000)
	for range 100 { // However often: the shift does not overflow.
		r.failUntil("a", 0)
		wait(500, 1000)
	}
	r.reply("a")
	r.post(fnCart, "a two")
	r.fail("a", remote.TimedOut)
	wait(50, 100)
	r.reply("a")
	r.idle()

	waits := map[clock.Instant]bool{}
	for range 50 {
		r.post(fnCart, "a one")
		r.fail("a", remote.Unreachable)
		n := clock.Instant(0)
		for ; len(r.under) == 0; n++ {
			r.pass(1)
		}
		waits[n] = true
		r.reply("a")
	}
	if len(waits) < 15 {
		t.Errorf("only %d different waits: addresses that fail together come back together", len(waits))
	}
}

// One bad message among many is found out by halving: those before it and behind it get through, in order,
// and requests grow again. What cannot be reached does not make requests smaller.
func TestPoison(t *testing.T) {
	for _, most := range []int{1000, -1} {
		for _, poison := range []int{0, 1, 499, 998, 999} {
			t.Run(fmt.Sprintf("%d of %d", poison, most), func(t *testing.T) {
				r := newRemoteRig(t, remoteConfig{near: remote.Policy{MessagesMax: most, BrokenMax: 2}})
				messages := make([]string, 1000)
				for i := range messages {
					messages[i] = fmt.Sprint("a ", i)
				}
				r.post(fnCart, messages...)
				next, requests, sizes := 0, 0, []int(nil)
				for ; len(r.s.failed) == 0 || !r.s.failed[len(r.s.failed)-1].Suspended; requests++ {
					r.pass(30_000)
					c := r.on("a")
					if first := string(c.Messages[0].Value); first != fmt.Sprint(next) {
						t.Fatalf("a request begins with %s; want %d", first, next)
					}
					sizes = append(sizes, len(c.Messages))
					if next+len(c.Messages) > poison {
						r.fail("a", remote.Broken)
					} else {
						next += len(c.Messages)
						r.reply("a")
					}
				}
				if next != poison || requests > 25 {
					t.Errorf("after %d requests, of %v messages, the address is suspended at %d", requests, sizes, next)
				}
				before := requests
				for r.goOn("a", true); len(r.under) > 0; requests++ {
					if first := string(r.on("a").Messages[0].Value); first != fmt.Sprint(next+1) {
						t.Fatalf("a request begins with %s; want %d", first, next+1)
					}
					next += len(r.on("a").Messages)
					r.reply("a")
				}
				if next != 999 || requests-before > 11 {
					t.Errorf("%d requests take all behind it to %d", requests-before, next)
				}
				r.idle()
			})
		}
	}
	r := newRemoteRig(t, remoteConfig{})
	r.post(fnCart, "a 1", "a 2", "a 3", "a 4")
	for _, reason := range []remote.Reason{remote.Unreachable, remote.Refused, remote.TimedOut} {
		r.fail("a", reason)
		r.pass(1000)
	}
	want(t, "requests", r.requests(), "cart/a try 4: 1")
}

// Resuming or skipping does nothing at an address that is not suspended, whatever it is doing.
func TestResumeOthers(t *testing.T) {
	r := newRemoteRig(t, remoteConfig{})
	r.goOn("nobody", true)
	r.post(fnCart, "a one", "a two")
	r.goOn("a", true)
	r.post(fnCart, "a three")
	r.reply("a")
	r.fail("a", remote.Refused)
	r.goOn("a", true)
	want(t, "requests", r.requests(), "")
	r.pass(50)
	want(t, "requests", r.requests(), "cart/a try 2: three")
	r.reply("a")
	r.idle()
	if c := r.s.Counts; c.Skipped != 0 || r.s.Instances() != 0 {
		t.Errorf("%+v, %d instances", c, r.s.Instances())
	}
}

// An error of an unknown kind counts as broken.
func TestUnknownError(t *testing.T) {
	r := newRemoteRig(t, remoteConfig{near: remote.Policy{BrokenMax: 1}})
	r.post(fnCart, "a one")
	r.end(r.on("a"), errors.New("strange"))
	want(t, "failures", r.failures(), "a 1 suspended strange")
}
