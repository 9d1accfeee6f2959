// SPDX-License-Identifier: Apache-2.0

package sdktest

import (
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/statefun"
	"github.com/millrace-io/millrace/protocols/internal/protocol"
)

func callers(t *testing.T) {
	s := scripted(t, func(_ *http.Request, b *batch) []byte {
		var e effects
		for _, m := range b.GetInvocations() {
			switch text := string(m.GetArgument().GetValue()); {
			case text == "forward":
				e.OutgoingMessages = append(e.OutgoingMessages, &outgoing{Target: target(address("second", "b")), Argument: m.GetArgument()})
			case text == "later":
				e.DelayedInvocations = append(e.DelayedInvocations, &delayed{DelayInMs: 1, Target: target(address("second", "b")), Argument: m.GetArgument()})
			case text == "answer":
				e.OutgoingMessages = append(e.OutgoingMessages, &outgoing{Target: m.GetCaller(), Argument: m.GetArgument()})
			}
		}
		if b.GetTarget().GetType() == "second" {
			return nil
		}
		return result(&e)
	})
	r := start(t, at(t, "test/*", s.URL, impatient()))
	for _, text := range []string{"stay", "forward", "later"} {
		r.mustSend(address("first", "a"), say(text))
	}
	r.until("five messages", func() bool { return r.in("first")+r.in("second") == 5 })
	for _, b := range s.seen() {
		for _, m := range b.GetInvocations() {
			switch caller := m.Caller; {
			case b.GetTarget().GetType() == "first" && caller != nil:
				t.Errorf("a message from an ingress has the caller %v", caller)
			case b.GetTarget().GetType() == "second" && !proto.Equal(caller, target(address("first", "a"))):
				t.Errorf("a message from test/first has the caller %v", caller)
			}
		}
	}

	answer, err := r.door.Call(t.Context(), asker, address("first", "a"), say("answer"), connector.Delivery{})
	if err != nil || string(answer.Value) != "answer" || answer.Typename != "test/text" {
		t.Errorf("the caller has heard %v, %v", answer, err)
	}
}

// Messages, then delayed ones and cancellations as they come, then records, then state: in that order, whatever
// the order in the function's code was.
func effectsInOrder(t *testing.T) {
	peer, hour := target(address("peer", "p")), time.Hour.Milliseconds()
	s := scripted(t, stateful(func(b *batch) *effects {
		if texts(b)[0] != "go" {
			return nil
		}
		return &effects{
			StateMutations:   []*mutation{modify("n", "test/text", []byte("1")), {StateName: "n"}, modify("n", "test/text", []byte("2"))},
			OutgoingEgresses: []*emitted{emit("e1"), emit("e2"), emit("e3")},
			DelayedInvocations: []*delayed{
				{Target: peer, Argument: text("d1")},
				{Target: peer, Argument: text("never"), DelayInMs: hour, CancellationToken: "t"},
				{IsCancellationRequest: true, CancellationToken: "t"},
				{Target: peer, Argument: text("never"), DelayInMs: hour, CancellationToken: "t"}, // Free again.
				{IsCancellationRequest: true, CancellationToken: "t"},
				{Target: peer, Argument: text("d2"), CancellationToken: "t"},
			},
			OutgoingMessages: []*outgoing{{Target: peer, Argument: text("m1")}, {Target: peer, Argument: text("m2")}},
		}
	}, spec("n", "test/text")))
	listener := scripted(t, func(*http.Request, *batch) []byte { return nil })
	r := start(t, at(t, "test/fn", s.URL, impatient()), at(t, "test/peer", listener.URL, impatient()))
	r.mustSend(address("fn", "a"), say("go"))
	r.until("all effects", func() bool { return r.in("peer") == 4 && len(r.kept()) == 3 })
	if got := listener.heard(address("peer", "p")); !slices.Equal(got, []string{"m1", "m2", "d1", "d2"}) {
		t.Errorf("heard %q", got)
	}
	if got := r.told(); !slices.Equal(got, []string{"e1", "e2", "e3"}) {
		t.Errorf("told %q", got)
	}
	if n := r.pending(); n != 0 {
		t.Errorf("%d delayed messages are pending", n)
	}
	r.mustSend(address("fn", "a"), say("look"))
	r.until("the look", func() bool { return r.in("fn") == 2 })
	seen := s.seen()
	if v, _ := state(seen[len(seen)-1], "n"); string(v.GetValue()) != "2" {
		t.Errorf("the state is %v", v)
	}
}

// pending returns how many delayed messages there are.
func (r *rig) pending() (n int64) {
	for _, shard := range r.engine.Stats().Shards {
		n += shard.Delayed
	}
	return n
}

func tokens(t *testing.T) {
	hour := time.Hour.Milliseconds()
	var corrected atomic.Bool
	s := scripted(t, func(_ *http.Request, b *batch) []byte {
		self := b.GetTarget()
		send := &delayed{DelayInMs: hour, Target: self, Argument: text("late"), CancellationToken: "t"}
		switch what := texts(b)[0]; {
		case what == "send", what == "twice" && corrected.Load():
			return result(&effects{DelayedInvocations: []*delayed{send}})
		case what == "twice":
			return result(&effects{DelayedInvocations: []*delayed{send, send}})
		case what == "soon":
			send.DelayInMs = 0
			return result(&effects{DelayedInvocations: []*delayed{send}})
		case what == "cancel":
			return result(&effects{DelayedInvocations: []*delayed{{IsCancellationRequest: true, CancellationToken: "t"}}})
		}
		return nil
	})
	r := start(t, at(t, "test/*", s.URL, impatient()))
	done := map[string]int64{}
	do := func(a statefun.Address, what string, pending int64) {
		t.Helper()
		r.mustSend(a, say(what))
		done[a.Type.Name]++
		r.until(what, func() bool { return r.in(a.Type.Name) == done[a.Type.Name] })
		r.until("the number of pending messages", func() bool { return r.pending() == pending })
	}
	do(address("x", "1"), "send", 1)
	do(address("x", "2"), "cancel", 1) // Another id's.
	do(address("x", "2"), "send", 2)   // The same token for another id is another one.
	do(address("y", "1"), "cancel", 1) // The id counts, not the type.
	do(address("y", "1"), "cancel", 1) // There is none any more.
	do(address("x", "1"), "send", 2)   // The token is free again.
	do(address("x", "1"), "cancel", 1)
	do(address("x", "2"), "cancel", 0)

	done["x"]++ // What comes soon is one message more, and sets its token free.
	do(address("x", "1"), "soon", 0)
	do(address("x", "1"), "send", 1)

	// A second live message with the same token fails the whole invocation.
	r.mustSend(address("x", "1"), say("send"))
	r.mustSend(address("x", "3"), say("twice"))
	r.until("two suspended addresses", func() bool { return r.stats("x").Suspended == 2 })
	if n := r.pending(); n != 1 {
		t.Errorf("%d delayed messages are pending", n)
	}
	corrected.Store(true)
	do(address("y", "1"), "cancel", 0)
	for _, id := range []string{"1", "3"} {
		if err := r.engine.Resume(t.Context(), address("x", id)); err != nil {
			t.Fatal(err)
		}
	}
	r.until("both messages", func() bool { return r.pending() == 2 && r.stats("x").Suspended == 0 })
	do(address("y", "1"), "cancel", 1)
	do(address("y", "3"), "cancel", 0)
}

// In StateFun these fail the job. Here the address that has sent them is suspended, with an error that says why,
// and everybody else goes on.
func undeliverable(t *testing.T) {
	token := "t"
	for name, e := range map[string]*effects{
		"an unknown function type":          {OutgoingMessages: []*outgoing{{Target: target(statefun.Address{Type: engine.FunctionType{Namespace: "nobody", Name: "nothing"}, ID: "x"}), Argument: text("x")}}},
		"an unknown function type, later":   {DelayedInvocations: []*delayed{{Target: target(statefun.Address{Type: engine.FunctionType{Namespace: "nobody", Name: "nothing"}, ID: "x"}), Argument: text("x")}}},
		"a message without a target":        {OutgoingMessages: []*outgoing{{Argument: text("x")}}},
		"a message for nobody's id":         {OutgoingMessages: []*outgoing{{Target: target(address("fn", "")), Argument: text("x")}}},
		"an unknown egress":                 {OutgoingEgresses: []*emitted{{EgressNamespace: "test", EgressType: "nowhere", Argument: text("x")}}},
		"a negative delay":                  {DelayedInvocations: []*delayed{{DelayInMs: -1, Target: target(address("fn", "x")), Argument: text("x")}}},
		"a cancellation without a token":    {DelayedInvocations: []*delayed{{IsCancellationRequest: true}}},
		"the same token twice in a reply":   {DelayedInvocations: []*delayed{{DelayInMs: 1 << 40, Target: target(address("fn", "x")), Argument: text("x"), CancellationToken: token}, {DelayInMs: 1, Target: target(address("fn", "x")), Argument: text("x"), CancellationToken: token}}},
		"one wrong message among good ones": {OutgoingMessages: []*outgoing{{Target: target(address("fn", "good")), Argument: text("x")}, {Target: &protocol.Address{}, Argument: text("x")}}},
	} {
		t.Run(name, func(t *testing.T) {
			s := scripted(t, func(_ *http.Request, b *batch) []byte {
				if b.GetTarget().GetId() != "bad" {
					return result(&effects{OutgoingEgresses: []*emitted{emit("fine")}})
				}
				wrong := proto.CloneOf(e)
				wrong.OutgoingEgresses = append(wrong.OutgoingEgresses, emit("must not leave"))
				return result(wrong)
			})
			r := start(t, at(t, "test/fn", s.URL, impatient()))
			r.mustSend(address("fn", "bad"), say("x"))
			r.until("a suspended address", func() bool { return r.stats("fn").Suspended == 1 })
			const others = 20
			for n := range others {
				r.mustSend(address("fn", id(n)), say("x"))
			}
			r.until("the others", func() bool { return r.in("fn") == others && len(r.kept()) >= others })
			if slices.Contains(r.told(), "must not leave") || r.pending() != 0 || len(s.heard(address("fn", "good"))) != 0 {
				t.Errorf("half a reply took effect: told %q, %d delayed, %v", r.told(), r.pending(), s.heard(address("fn", "good")))
			}
			r.give(address("fn", "bad"))
		})
	}
}

// give has a suspended address give its message up, so that nothing is left at the end of a test.
func (r *rig) give(a statefun.Address) {
	r.t.Helper()
	if err := r.engine.Skip(r.t.Context(), a); err != nil {
		r.t.Fatal(err)
	}
	r.until("nobody is suspended", func() bool { return r.stats(a.Type.Name).Suspended == 0 })
}
