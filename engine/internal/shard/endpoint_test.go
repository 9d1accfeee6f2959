// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/internal/table"
	"github.com/millrace-io/millrace/engine/remote"
	"github.com/millrace-io/millrace/engine/statefun"
)

// An address has one request under way. What comes meanwhile waits, and leaves together.
func TestEndpointOneAtATime(t *testing.T) {
	r := newRemoteRig(t, remoteConfig{})
	r.post(fnCart, "a one", "a two")
	want(t, "requests", r.requests(), "cart/a try 1: one two")
	r.post(fnCart, "a three", "b one")
	r.post(fnDesk, "a other")
	want(t, "requests", r.requests(), "cart/a try 1: one two | cart/b try 1: one | desk/a try 1: other")
	r.post(fnCart, "a four")
	r.reply("a")
	want(t, "requests", r.requests(), "cart/b try 1: one | desk/a try 1: other | cart/a try 1: three four")
	if c := r.s.fns[fnCart].Counts; c.In != 2 || c.Backlog != 3 || c.InFlight != 2 || c.BacklogBytes != 3*envelope.Size {
		t.Errorf("%+v", c)
	}
	r.reply("b")
	r.reply("a")
	r.reply("a")
	want(t, "requests", r.requests(), "")
	r.idle()
	if r.s.Counts.Invocations != 6 || r.s.Instances() != 0 {
		t.Errorf("%d invocations, %d instances; want 6, 0", r.s.Counts.Invocations, r.s.Instances())
	}
}

// Addresses stand in line for credit. A reply sends its address to the end of the line, so that one with
// many messages does not keep the others waiting.
func TestEndpointLineIsFair(t *testing.T) {
	r := newRemoteRig(t, remoteConfig{near: remote.Policy{InFlightMax: 1, MessagesMax: 1}})
	r.post(fnCart, "a 1", "a 2", "a 3", "b 1", "c 1", "b 2")
	r.post(fnDesk, "d 1")
	var order []string
	for len(r.under) > 0 {
		c := r.under[0]
		order = append(order, string(c.ID)+string(c.Messages[0].Value))
		if len(order) == 3 {
			r.post(fnCart, "e 1")
		}
		r.reply(string(c.ID))
	}
	want(t, "order", strings.Join(order, " "), "a1 b1 c1 d1 a2 b2 e1 a3")
	r.idle()
}

// While an endpoint hangs, requests do not become more; its backlog leaves in few of them afterwards. Another
// endpoint goes on.
func TestEndpointHangs(t *testing.T) {
	r := newRemoteRig(t, remoteConfig{near: remote.Policy{InFlightMax: 2}})
	for n := range 50 {
		for _, id := range []string{"a", "b", "c", "d"} {
			r.post(fnCart, fmt.Sprintf("%s %d", id, n))
		}
		r.post(fnSlow, fmt.Sprintf("z%d x", n))
		r.reply(fmt.Sprintf("z%d", n))
	}
	if len(r.under) != 2 || r.near.Credit != 0 || r.s.fns[fnSlow].Counts.In != 50 {
		t.Fatalf("%q", r.requests())
	}
	requests := 0
	for ; len(r.under) > 0; requests++ {
		r.reply(string(r.under[0].ID))
	}
	if requests != 6 { // Of a and b those that hung and one each behind them, of c and d one each.
		t.Errorf("%d requests; want 6", requests)
	}
	r.idle()
}

// Credit comes back with every request, whatever it ends with.
func TestEndpointCredit(t *testing.T) {
	spoil := func(words ...string) func(r *remoteRig) { return func(r *remoteRig) { r.reply("a", words...) } }
	ends := map[string]func(r *remoteRig){
		"effects":          spoil("!out:x"),
		"effects refused":  spoil("!out:x", "!nobody:x"),
		"state is missing": spoil("?n"),
		"nothing missing": func(r *remoteRig) {
			r.on("a").Reply.Incomplete = true
			r.reply("a")
		},
		"an error":         func(r *remoteRig) { r.fail("a", remote.TimedOut) },
		"a broken reply":   func(r *remoteRig) { r.fail("a", remote.Broken) },
		"another error":    func(r *remoteRig) { r.end(r.on("a"), errors.New("of another type")) },
		"nobody waits now": func(r *remoteRig) { r.s.queues[r.on("a").place].attempt++; r.reply("a") },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			// The rig compares credit and requests whenever it looks.
			r := newRemoteRig(t, remoteConfig{near: remote.Policy{InFlightMax: 1, BrokenMax: 2}})
			r.post(fnCart, "a one", "b one")
			end(r)
			if len(r.under) != 1 || string(r.under[0].ID) != "b" {
				t.Errorf("then %q; want the next in line", r.requests())
			}
			if stale := r.s.Counts.Stale; stale != 0 != strings.HasPrefix(name, "nobody") {
				t.Errorf("%d replies for which nothing waits", stale)
			}
		})
	}
}

// Places come out of the line in the order in which they went in, and what has come out is used again.
func TestEndpointLine(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var l line
	var model []place
	for n := range table.Slot(20_000) {
		if len(model) > 0 && random.IntN(2000) < 900+int(n/10)%200 {
			if got := l.pop(); got != model[0] {
				t.Fatalf("%v; want %v", got, model[0])
			}
			model = model[1:]
		} else {
			l.push(place{fnCart, n})
			model = append(model, place{fnCart, n})
			if len(l.places) > 2*len(model)+66 {
				t.Fatalf("the line takes %d for %d", len(l.places), len(model))
			}
		}
		if l.empty() != (len(model) == 0) {
			t.Fatalf("empty: %v, with %d", l.empty(), len(model))
		}
	}
}

// Function types turn up when somebody first sends to them, on every shard with the same number, whatever
// the shard meets first: the name, or the number of a later one.
func TestEndpointTypesTurnUp(t *testing.T) {
	r := newRemoteRig(t, remoteConfig{})
	first := envelope.Function(len(r.s.fns))
	r.post(fnCart, "a x")
	r.reply("a", ">wild/one/x:w", ">wild/two/y:w", ">wild/one/x:w")
	if _, ok := r.s.lookup(statefun.FunctionType{Namespace: "tame", Name: "one"}); ok {
		t.Error("a type turns up in a namespace that nobody serves")
	}
	batches := slices.Clone(r.s.Drain(0))
	var numbers []envelope.Function
	for _, b := range batches {
		for i := range b.Envelopes {
			numbers = append(numbers, b.Envelopes[i].Function-first)
		}
	}
	if !slices.Equal(numbers, []envelope.Function{0, 1, 0}) {
		t.Errorf("the types have the numbers %v", numbers)
	}
	for _, b := range batches {
		r.s.Step(r.now, b)
	}
	r.collect()
	want(t, "requests", r.requests(), "one/x try 1: w w | two/y try 1: w")

	other := newRemoteRig(t, remoteConfig{})
	for _, name := range []string{"one", "two", "three"} { // As another shard has it.
		other.s.resolver(statefun.FunctionType{Namespace: "wild", Name: name})
	}
	other.post(first+2, "x w")
	want(t, "requests of another shard", other.requests(), "three/x try 1: w")
	if n, ok := other.s.lookup(statefun.FunctionType{Namespace: "wild", Name: "two"}); !ok || n != first+1 {
		t.Errorf("another shard knows wild/two as %d, %v", n, ok)
	}
	other.reply("x", "?n")
	other.reply("x", "=n:1")
	other.cut() // They are encoded like the others.
	want(t, "part", other.part(), "put three/x n=1")
}
