// SPDX-License-Identifier: Apache-2.0

package sdktest

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/remote"
)

// Whatever the server does wrong in between, every message takes effect once, in order, and no address is
// suspended: none sees more wrong answers in a row than it has attempts.
func TestFaults(t *testing.T) {
	addresses, messages := 100, 200
	if short() {
		addresses, messages = 20, 50
	}
	for _, kind := range kinds(transient, breaking) {
		plan := sabotage{Kinds: []string{kind}, Share: 0.3, Streak: 3, Seed: 1}
		if kind == "too large, in chunks" {
			plan.Share = 0.05 // They cost a lot.
		}
		t.Run(kind, func(t *testing.T) { faulty(t, "tcp", addresses, messages, plan, impatient()) })
	}
	t.Run("all of them", func(t *testing.T) {
		policy := impatient()
		policy.MessagesMax = 2 // Many requests, so that each fault gets its turn.
		faulty(t, "tcp", addresses, messages, sabotage{Kinds: kinds(transient, breaking), Share: 0.3, Streak: 3, Seed: 1}, policy)
	})
}

// A thousand counters are sent a thousand messages each while all faults take turns, over TCP and over a unix
// socket.
func TestThousandTimesThousandThroughFaults(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			addresses, messages := thousands()
			policy := impatient()
			policy.MessagesMax = 50
			if short() {
				policy.MessagesMax = 5
			}
			faulty(t, network, addresses, messages, sabotage{Kinds: kinds(transient, breaking), Share: 0.05, Streak: 3, Seed: 1}, policy)
		})
	}
}

func faulty(t *testing.T, network string, addresses, messages int, plan sabotage, policy remote.Policy) {
	if slices.Contains(plan.Kinds, "hang") || slices.Contains(plan.Kinds, "two answers") {
		policy.Call = 500 * time.Millisecond // What gets no answer is waited for that long.
	}
	s := startServer(t, network, plain)
	r := start(t, at(t, "test/*", s.url(), policy))
	s.sabotage(plan)
	begun := time.Now()
	r.completed(addresses, messages, r.count(addresses, messages))
	if n := r.stats("counter").Suspended; n != 0 {
		t.Errorf("%d addresses are suspended", n)
	}
	stats := s.stats()
	t.Logf("%d x %d in %v, %d requests", addresses, messages, time.Since(begun).Round(time.Millisecond), stats.Requests)
	for _, kind := range plan.Kinds {
		if stats.Faults[kind] == 0 {
			t.Errorf("%q was never shown in %d requests", kind, stats.Requests)
		}
	}
	if stats.Strays != 0 {
		t.Errorf("%d redirects were followed", stats.Strays)
	}
	s.sabotage(sabotage{})
	r.counted(addresses, messages)
}

// An address whose function keeps breaking the protocol is suspended, alone and visibly, and goes on where it
// stopped once it is resumed. Its messages are kept meanwhile.
func TestBrokenRepliesSuspendOneAddress(t *testing.T) {
	for _, kind := range kinds(breaking) {
		t.Run(kind, func(t *testing.T) {
			const addresses, messages, broken = 10, 20, 7
			s := startServer(t, "tcp", plain)
			r := start(t, at(t, "test/*", s.url(), impatient()))
			s.sabotage(sabotage{Kinds: []string{kind}, Share: 1, ID: id(broken)})
			sent := r.count(addresses, messages)
			r.until("the others, and a suspended address", func() bool {
				f := r.stats("counter")
				return f.In == (addresses-1)*messages && f.Suspended == 1
			})
			if f := r.stats("counter"); f.Backlog != messages {
				t.Errorf("%d messages wait, of %d", f.Backlog, messages)
			}
			s.sabotage(sabotage{})
			if err := r.engine.Resume(t.Context(), address("counter", id(broken))); err != nil {
				t.Fatal(err)
			}
			r.completed(addresses, messages, sent)
			if f := r.stats("counter"); f.Suspended != 0 || f.Backlog != 0 {
				t.Errorf("%d addresses are suspended and %d messages wait", f.Suspended, f.Backlog)
			}
			r.counted(addresses, messages)
		})
	}
}

// A server that fails for ever is asked for ever, whatever it says; other addresses are served, and nobody is
// suspended.
func TestFailuresAreRetriedForEver(t *testing.T) {
	for _, kind := range slices.DeleteFunc(kinds(transient), func(kind string) bool { return kind == "hang" || kind == "two answers" }) {
		t.Run(kind, func(t *testing.T) {
			const addresses, messages, failing, failures = 10, 20, 7, 12 // Twice what would suspend it.
			s := startServer(t, "tcp", plain)
			r := start(t, at(t, "test/*", s.url(), impatient()))
			s.sabotage(sabotage{Kinds: []string{kind}, Share: 1, ID: id(failing)})
			sent := r.count(addresses, messages)
			r.until("the others, and many attempts", func() bool {
				return r.in("counter") == (addresses-1)*messages && r.stats("counter").Failures > failures
			})
			if f := r.stats("counter"); f.Suspended != 0 {
				t.Errorf("after %d failures, %d addresses are suspended", f.Failures, f.Suspended)
			}
			s.sabotage(sabotage{})
			r.completed(addresses, messages, sent)
			r.counted(addresses, messages)
		})
	}
}

// What the courier does, the SDK can: to send, delay, take back and emit.
func TestErrands(t *testing.T) {
	s := startServer(t, "tcp", plain)
	r := start(t, at(t, "test/*", s.url(), impatient()))
	r.mustSend(address("courier", "c"), errands(
		errand{Do: "send", ID: "a", Value: 1},
		errand{Do: "send", ID: "a", Value: 2},
		errand{Do: "send", ID: "a", Value: 3, After: time.Millisecond},
		errand{Do: "send", ID: "a", Value: 99, After: time.Hour, Token: "t"},
		errand{Do: "cancel", Token: "t"},
		errand{Do: "emit", Value: 7},
		errand{Do: "kafka", ID: "key"},
	))
	r.until("three messages and two records", func() bool { return r.in("counter") == 3 && len(r.kept()) == 2 })
	if got, err := r.read("a"); err != nil || fmt.Sprint(got) != fmt.Sprint(total{Count: 3, Sum: 6}) {
		t.Errorf("counter: %+v, %v", got, err)
	}
	records := r.kept()
	if got := records[0]; got.Typename != "io.statefun.types/long" || got.Sender != address("courier", "c") {
		t.Errorf("first record: %s from %v", got.Typename, got.Sender)
	}
	if got := records[1]; got.Typename != "type.googleapis.com/io.statefun.sdk.egress.KafkaProducerRecord" {
		t.Errorf("second record: %s", got.Typename)
	}
	if n := r.pending(); n != 0 {
		t.Errorf("%d delayed messages are pending", n)
	}

	// Without a caller to answer, a counter tells its total to the egress.
	r.mustSend(address("counter", "a"), engine.TypedValue{Typename: "io.statefun.types/int", Value: []byte{0x0d, 4, 0, 0, 0}})
	r.mustSend(address("counter", "a"), engine.TypedValue{Typename: "test/read", Value: []byte("{}")})
	r.until("the total", func() bool { return len(r.kept()) == 3 })
	var got total
	if err := json.Unmarshal(r.kept()[2].Value, &got); err != nil || fmt.Sprint(got) != fmt.Sprint(total{Count: 4, Sum: 10}) {
		t.Errorf("told %+v, %v", got, err)
	}
}
