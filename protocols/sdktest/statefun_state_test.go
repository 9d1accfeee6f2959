// SPDX-License-Identifier: Apache-2.0

package sdktest

import (
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/millrace-io/millrace/protocols/internal/protocol"
)

// A type's states are asked for once, not for each address; a state that comes later is asked for then, and
// those before keep their values.
func handshake(t *testing.T) {
	var incomplete, version atomic.Int64
	versions := [][]*protocol.FromFunction_PersistedValueSpec{
		{spec("first", "test/text")},
		{spec("first", "test/text"), spec("second", "test/text")},
		{spec("second", "test/text")},
	}
	s := scripted(t, func(r *http.Request, b *batch) []byte {
		reply := stateful(func(b *batch) *effects {
			return &effects{StateMutations: []*mutation{modify("first", "test/text", []byte(b.GetTarget().GetId()))}}
		}, versions[version.Load()]...)(r, b)
		var f protocol.FromFunction
		if proto.Unmarshal(reply, &f) == nil && f.GetIncompleteInvocationContext() != nil {
			incomplete.Add(1)
		}
		return reply
	})
	r := start(t, at(t, "test/fn", s.URL, impatient()))
	const addresses = 100
	var sent int64
	everybody := func() {
		for n := range addresses {
			r.mustSend(address("fn", id(n)), say("x"))
		}
		sent += addresses
		r.until("everybody", func() bool { return r.in("fn") == sent })
	}
	r.mustSend(address("fn", "opener"), say("x"))
	sent++
	r.until("the opener", func() bool { return r.in("fn") == sent })
	everybody() // Each shard has been asked by now, perhaps by many at once.
	asked := incomplete.Load()
	if asked < 1 {
		t.Error("nobody was asked for the state")
	}
	everybody()
	if n := incomplete.Load() - asked; n != 0 {
		t.Errorf("%d further handshakes for the same state", n)
	}

	version.Store(1)
	everybody()
	asked = incomplete.Load() - asked
	if asked < 1 {
		t.Error("nobody was asked for the second state")
	}
	version.Store(2) // It declares the first no more, and is still sent it.
	everybody()
	seen := s.seen()
	for _, b := range seen[len(seen)-addresses:] {
		if v, _ := state(b, "first"); string(v.GetValue()) != b.GetTarget().GetId() {
			t.Errorf("%v has lost its first state: %v", b.GetTarget(), v)
		}
		if v, found := state(b, "second"); !found || v != nil {
			t.Errorf("%v: the second state is named %v and is %v", b.GetTarget(), found, v)
		}
	}
}

func absentStates(t *testing.T) {
	s := scripted(t, stateful(func(b *batch) *effects {
		switch texts(b)[0] {
		case "write":
			return &effects{StateMutations: []*mutation{modify("b", "test/text", []byte("v"))}}
		case "delete":
			return &effects{StateMutations: []*mutation{{StateName: "b"}}} // DELETE is what is not said.
		}
		return nil
	}, spec("a", "test/number"), spec("b", "test/text")))
	r := start(t, at(t, "test/fn", s.URL, impatient()))
	var n int64
	for _, step := range []struct {
		send string
		want *protocol.TypedValue
	}{{"look", nil}, {"write", nil}, {"look", text("v")}, {"delete", text("v")}, {"look", nil}} {
		r.mustSend(address("fn", "x"), say(step.send))
		n++
		r.until(step.send, func() bool { return r.in("fn") == n })
		b := s.seen()[len(s.seen())-1]
		a, found := state(b, "a")
		if !found || a != nil || len(b.GetState()) != 2 {
			t.Errorf("%s: states are %v", step.send, b.GetState())
		}
		if v, found := state(b, "b"); !found || !proto.Equal(v, step.want) && (v != nil || step.want != nil) {
			t.Errorf("%s: state b is %v, want %v", step.send, v, step.want)
		}
	}
}

// Zero bytes are what 0, false and "" look like. Whoever writes them need not say that there is a value, and
// whoever reads them is told so. The value of a message is passed on as it is.
func zeroBytes(t *testing.T) {
	s := scripted(t, stateful(func(b *batch) *effects {
		return &effects{
			StateMutations: []*mutation{
				{MutationType: protocol.FromFunction_PersistedValueMutation_MODIFY, StateName: "silent", StateValue: &protocol.TypedValue{Typename: "io.statefun.types/int"}},
				modify("loud", "io.statefun.types/string", nil),
			},
			OutgoingMessages: []*outgoing{
				{Target: target(address("reader", "a")), Argument: &protocol.TypedValue{Typename: "test/text"}},
				{Target: target(address("reader", "a")), Argument: value("test/text", nil)},
				{Target: target(address("reader", "a")), Argument: &protocol.TypedValue{Typename: "test/text", Value: []byte("odd")}},
			},
		}
	}, spec("silent", "io.statefun.types/int"), spec("loud", "io.statefun.types/string")))
	reader := scripted(t, func(*http.Request, *batch) []byte { return nil })
	r := start(t, at(t, "test/fn", s.URL, impatient()), at(t, "test/reader", reader.URL, impatient()))
	r.mustSend(address("fn", "x"), say("write"))
	r.until("the messages", func() bool { return r.in("reader") == 3 })
	r.mustSend(address("fn", "x"), say("look"))
	r.until("the look", func() bool { return r.in("fn") == 2 })
	last := s.seen()[len(s.seen())-1]
	for name, typename := range map[string]string{"silent": "io.statefun.types/int", "loud": "io.statefun.types/string"} {
		if v, _ := state(last, name); !proto.Equal(v, value(typename, nil)) {
			t.Errorf("state %s is %v", name, v)
		}
	}
	var arguments []*protocol.TypedValue
	for _, b := range reader.seen() {
		for _, m := range b.GetInvocations() {
			arguments = append(arguments, m.GetArgument())
		}
	}
	if a := arguments; a[0].GetHasValue() || !a[1].GetHasValue() || len(a[1].GetValue()) != 0 || a[0].GetTypename() != "test/text" {
		t.Errorf("the reader was sent %v", a)
	}
}

func writing(t *testing.T) {
	other := func(kind int32) *mutation {
		m := modify("n", "test/text", nil)
		m.MutationType = protocol.FromFunction_PersistedValueMutation_MutationType(kind)
		return m
	}
	for name, tt := range map[string]struct {
		mutations []*mutation
		want      *protocol.TypedValue
		broken    bool
	}{
		"delete what is absent":       {mutations: []*mutation{{StateName: "n"}}},
		"the last one wins":           {mutations: []*mutation{modify("n", "test/text", []byte("1")), {StateName: "n"}, modify("n", "test/text", []byte("2"))}, want: text("2")},
		"delete after write":          {mutations: []*mutation{modify("n", "test/text", []byte("1")), {StateName: "n"}}},
		"write of an unknown state":   {mutations: []*mutation{modify("n", "test/text", nil), modify("m", "test/text", nil)}, broken: true},
		"delete of an unknown state":  {mutations: []*mutation{{StateName: "m"}}, broken: true},
		"write of another type":       {mutations: []*mutation{modify("n", "test/other", nil)}, broken: true},
		"write of no value":           {mutations: []*mutation{{MutationType: 1, StateName: "n"}}, broken: true},
		"neither write nor delete":    {mutations: []*mutation{other(7)}, broken: true},
		"write by a negative number":  {mutations: []*mutation{other(-1)}, broken: true},
		"a state without a name":      {mutations: []*mutation{{}}, broken: true},
		"write after a broken delete": {mutations: []*mutation{{StateName: "m"}, modify("n", "test/text", nil)}, broken: true},
	} {
		t.Run(name, func(t *testing.T) {
			var corrected atomic.Bool
			s := scripted(t, stateful(func(b *batch) *effects {
				switch {
				case texts(b)[0] == "look":
					return &effects{OutgoingEgresses: []*emitted{emit("looked")}}
				case corrected.Load():
					return nil
				}
				return &effects{StateMutations: tt.mutations, OutgoingEgresses: []*emitted{emit("written")}}
			}, spec("n", "test/text")))
			r := start(t, at(t, "test/fn", s.URL, impatient()))
			r.mustSend(address("fn", "a"), say("write"))
			r.until("an outcome", func() bool { f := r.stats("fn"); return f.In+f.Suspended == 1 })
			if got := r.stats("fn").Suspended == 1; got != tt.broken {
				t.Errorf("suspended: %v", got)
			}
			corrected.Store(true)
			if err := r.engine.Resume(t.Context(), address("fn", "a")); err != nil {
				t.Fatal(err)
			}
			r.until("the first message", func() bool { return r.in("fn") == 1 })
			r.mustSend(address("fn", "a"), say("look"))
			r.until("the look", func() bool { return r.in("fn") == 2 && slices.Contains(r.told(), "looked") })
			last := s.seen()[len(s.seen())-1]
			if v, _ := state(last, "n"); !proto.Equal(v, tt.want) && (v != nil || tt.want != nil) {
				t.Errorf("the state is %v, want %v", v, tt.want)
			}
			if got, want := len(r.told()) == 2, !tt.broken; got != want {
				t.Errorf("told %q", r.told())
			}
		})
	}
}

// A state has one type, as long as it has its name, whichever version of the function declares it.
func typeOfState(t *testing.T) {
	var corrected atomic.Bool
	good := stateful(func(*batch) *effects {
		return &effects{StateMutations: []*mutation{modify("n", "test/text", []byte("v"))}}
	}, spec("n", "test/text"))
	s := scripted(t, func(r *http.Request, b *batch) []byte {
		if b.GetTarget().GetId() == "bad" && !corrected.Load() {
			return missing(spec("n", "test/other"), spec("m", "test/text"))
		}
		return good(r, b)
	})
	r := start(t, at(t, "test/fn", s.URL, impatient()))
	r.mustSend(address("fn", "good"), say("x"))
	r.until("the first message", func() bool { return r.in("fn") == 1 })
	r.mustSend(address("fn", "bad"), say("x"))
	r.until("a suspended address", func() bool { return r.stats("fn").Suspended == 1 })
	r.mustSend(address("fn", "good"), say("x"))
	r.until("the other address", func() bool { return r.in("fn") == 2 })
	corrected.Store(true)
	if err := r.engine.Resume(t.Context(), address("fn", "bad")); err != nil {
		t.Fatal(err)
	}
	r.until("all messages", func() bool { return r.in("fn") == 3 })
}

// The time of a value counts from its last write, or, after invoke, from the last request that has shown it. A
// chain of delayed messages looks at it: each link says when it was served, so that the test is about what was
// to be seen then, however late the link.
func expiry(t *testing.T) {
	const ttl, step = 2000, 200 // Milliseconds.
	specs := []*protocol.FromFunction_PersistedValueSpec{spec("written", "test/text"), spec("used", "test/text"), spec("kept", "test/text")}
	specs[0].ExpirationSpec = &protocol.FromFunction_ExpirationSpec{Mode: protocol.FromFunction_ExpirationSpec_AFTER_WRITE, ExpireAfterMillis: ttl}
	specs[1].ExpirationSpec = &protocol.FromFunction_ExpirationSpec{Mode: protocol.FromFunction_ExpirationSpec_AFTER_INVOKE, ExpireAfterMillis: ttl}
	specs[2].ExpirationSpec = &protocol.FromFunction_ExpirationSpec{}

	type look struct {
		at                    time.Time
		written, used, always bool
	}
	looks := make(chan look, 100)
	after := func(ms int64, what string) []*delayed {
		return []*delayed{{DelayInMs: ms, Target: target(address("fn", "a")), Argument: text(what)}}
	}
	links := 0
	s := scripted(t, stateful(func(b *batch) *effects {
		said := texts(b)[0]
		if said == "write" {
			var e effects
			for _, name := range []string{"written", "used", "kept"} {
				e.StateMutations = append(e.StateMutations, modify(name, "test/text", []byte("v")))
			}
			e.DelayedInvocations = after(step, "look")
			looks <- look{time.Now(), true, true, true}
			return &e
		}
		written, _ := state(b, "written")
		used, _ := state(b, "used")
		kept, _ := state(b, "kept")
		looks <- look{time.Now(), written != nil, used != nil, kept != nil}
		switch links++; {
		case said == "last":
			return nil
		case written == nil: // Long enough for the other one, which is not looked at meanwhile.
			return &effects{DelayedInvocations: after(2*ttl, "last")}
		}
		return &effects{DelayedInvocations: after(step, "look")}
	}, specs...))
	r := start(t, at(t, "test/fn", s.URL, impatient()))
	r.mustSend(address("fn", "a"), say("write"))

	write := <-looks
	last := write
	for {
		var l look
		select {
		case l = <-looks:
		case <-time.After(patience):
			t.Fatal("the chain has ended")
		}
		const most, least = ttl * time.Millisecond * 11 / 10, ttl * time.Millisecond * 9 / 10
		if age := l.at.Sub(write.at); age > most && l.written || age < least && !l.written {
			t.Errorf("%v after the write, expiry after write: there is a value: %v", age, l.written)
		}
		gap := l.at.Sub(last.at)
		if gap > most && l.used || gap < least && !l.used && last.used {
			t.Errorf("%v after the last look, expiry after invoke: there is a value: %v", gap, l.used)
		}
		if !l.always {
			t.Error("what never expires has gone")
		}
		if last = l; !l.used {
			break
		}
	}
}
