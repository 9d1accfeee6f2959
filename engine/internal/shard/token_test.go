// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/internal/clock"
	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/remote"
)

// A cancellation token belongs to the sender's id, whatever its function type; it names one delayed message
// until that has come due or has been taken back. Within a reply the order of the list counts.
func TestToken(t *testing.T) {
	const cart, desk = fnCart, fnDesk
	type turn struct {
		fn    envelope.Function
		id    string
		words string // Of the reply.
		pass  clock.Instant
		err   bool
	}
	tests := []struct {
		name  string
		turns []turn
		out   string // In the end.
	}{
		{"it fires", []turn{{cart, "a", "@5,t,z:m", 5, false}}, "0: a→z:m"},
		{"it is cancelled", []turn{{cart, "a", "@5,t,z:m", 4, false}, {cart, "a", "xt", 1, false}}, ""},
		{"cancelled when it has fired", []turn{{cart, "a", "@5,t,z:m", 5, false}, {cart, "a", "xt", 0, false}}, "0: a→z:m"},
		{"cancelled twice", []turn{{cart, "a", "@5,t,z:m @5,u,z:n", 0, false}, {cart, "a", "xt xt", 5, false}}, "0: a→z:n"},
		{"cancelled again later", []turn{{cart, "a", "@5,t,z:m", 0, false}, {cart, "a", "xt", 0, false}, {cart, "a", "xt", 5, false}}, ""},
		{"cancelled by another id", []turn{{cart, "a", "@5,t,z:m", 0, false}, {cart, "b", "xt", 5, false}}, "0: a→z:m"},
		{"cancelled by another type", []turn{{cart, "a", "@5,t,z:m", 0, false}, {desk, "a", "xt", 5, false}}, ""},
		{"never sent", []turn{{cart, "a", "xt", 5, false}}, ""},
		{"no token", []turn{{cart, "a", "@5,,z:m @5,,z:n", 5, false}}, "0: a→z:m a→z:n"},

		{"in use", []turn{{cart, "a", "@5,t,z:m", 0, false}, {cart, "a", "@5,t,z:n", 5, true}}, "0: a→z:m"},
		{"in use by another type", []turn{{cart, "a", "@5,t,z:m", 0, false}, {desk, "a", "@5,t,z:n", 5, true}}, "0: a→z:m"},
		{"in use by another id", []turn{{cart, "a", "@5,t,z:m", 0, false}, {cart, "b", "@5,t,z:n", 5, false}}, "0: a→z:m b→z:n"},
		{"in use in the same reply", []turn{{cart, "a", "@5,t,z:m @9,t,z:n", 9, true}}, ""},
		{"free when it has fired", []turn{{cart, "a", "@5,t,z:m", 5, false}, {cart, "a", "@5,t,z:n", 5, false}}, "0: a→z:m a→z:n"},
		{"free when it is cancelled", []turn{{cart, "a", "@5,t,z:m", 0, false}, {cart, "a", "xt", 0, false}, {cart, "a", "@5,t,z:n", 5, false}}, "0: a→z:n"},

		{"cancelled and sent again", []turn{{cart, "a", "@5,t,z:m", 0, false}, {cart, "a", "xt @5,t,z:n", 5, false}}, "0: a→z:n"},
		{"cancelled, sent, in use", []turn{{cart, "a", "@5,t,z:m", 0, false}, {cart, "a", "xt @5,t,z:n @5,t,z:o", 5, true}}, "0: a→z:m"},
		{"cancelled, sent, cancelled", []turn{{cart, "a", "@5,t,z:m", 0, false}, {cart, "a", "xt @5,t,z:n xt", 5, false}}, ""},
		{"cancelled, sent, cancelled, sent", []turn{{cart, "a", "@5,t,z:m", 0, false}, {cart, "a", "xt @5,t,z:n xt @5,t,z:o", 5, false}}, "0: a→z:o"},
		{"sent and cancelled", []turn{{cart, "a", "@5,t,z:m xt", 5, false}}, ""},
		{"sent, cancelled, sent", []turn{{cart, "a", "@5,t,z:m xt @5,t,z:n", 5, false}}, "0: a→z:n"},
		{"sent, cancelled, and again later", []turn{{cart, "a", "@5,t,z:m xt", 0, false}, {cart, "a", "@5,t,z:n", 5, false}}, "0: a→z:n"},
		{"cancelled before it is sent", []turn{{cart, "a", "xt @5,t,z:m", 5, false}}, "0: a→z:m"},

		{"sent in vain", []turn{{cart, "a", "@5,t,z:m !nobody:x", 0, true}, {cart, "a", "@5,t,z:n", 5, false}}, "0: a→z:n"},
		{"cancelled in vain", []turn{{cart, "a", "@5,t,z:m", 0, false}, {cart, "a", "xt @5,t,z:n !nobody:x", 5, true}}, "0: a→z:m"},
		{"at once", []turn{{cart, "a", "@0,t,z:m", 0, false}, {cart, "a", "@0,t,z:n xt", 0, false}}, "0: a→z:m"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRemoteRig(t, remoteConfig{near: remote.Policy{BrokenMax: 1}})
			for n, turn := range tt.turns {
				r.post(turn.fn, turn.id+" x")
				r.reply(turn.id, strings.Fields(turn.words)...)
				if f := r.s.Failures(); (len(f) != 0) != turn.err {
					t.Fatalf("turn %d: %+v", n, f)
				}
				if turn.err {
					r.goOnAt(turn.fn, turn.id, true)
					r.failures()
				}
				r.pass(turn.pass)
			}
			want(t, "out", r.out(), tt.out)
			if r.s.Delayed() != 0 || len(r.s.names) != 0 || len(r.s.byName) != 0 || len(r.inv.names) != 0 {
				t.Errorf("%d are delayed, with %d and %d names", r.s.Delayed(), len(r.s.names), len(r.s.byName))
			}
		})
	}
}

// Tokens of functions that run elsewhere and of those that run here do not meet, not even at the same id.
func TestTokenOfOthers(t *testing.T) {
	r := newRemoteRig(t, remoteConfig{})
	r.step("a @5,z:1")
	r.post(fnCart, "a x")
	r.reply("a", "@5,1,z:2", "x2")
	r.step("a x1")
	if !r.cancel["1"] {
		t.Error("a token of this process was not found")
	}
	r.pass(5)
	want(t, "out", r.out(), "0: a→z:2")
	r.idle()
}

// Whatever replies say about delayed messages, in whatever order: those fire that a list by name would have
// left.
func TestTokenModel(t *testing.T) {
	type message struct {
		name, word string
		due        clock.Instant
	}
	random := rand.New(rand.NewPCG(3, 4))
	for range 100 {
		r := newRemoteRig(t, remoteConfig{near: remote.Policy{BrokenMax: 1000, RetryMost: 50}})
		pending := map[string][]message{} // By id, in the order of sending.
		serial, fired := 0, []string(nil)
		for range 20 {
			id := fmt.Sprint(random.IntN(2))
			after := slices.Clone(pending[id])
			find := func(name string) int { return slices.IndexFunc(after, func(m message) bool { return m.name == name }) }
			var words []string
			broken := false
			for range random.IntN(4) {
				name := fmt.Sprint("t", random.IntN(3))
				at := find(name)
				if random.IntN(3) == 0 {
					words = append(words, "x"+name)
					if at >= 0 {
						after = slices.Delete(after, at, at+1)
					}
					continue
				}
				broken = broken || at >= 0
				serial++
				m := message{name, fmt.Sprint(serial), r.now + clock.Instant(random.IntN(30))}
				words = append(words, fmt.Sprintf("@%d,%s,z:%s", m.due-r.now, name, m.word))
				after = append(after, m)
			}
			fn := fnCart + envelope.Function(random.IntN(2))
			r.post(fn, id+" x")
			r.reply(id, words...)
			if broken != (len(r.s.Failures()) != 0) {
				t.Fatalf("reply %q with %v pending: refused is %v", words, pending[id], !broken)
			}
			if broken {
				for len(r.under) == 0 {
					fired = append(fired, passFor(r, 1)...)
				}
				r.reply(id)
			} else {
				pending[id] = after
			}
			fired = append(fired, passFor(r, 0)...)
			for range random.IntN(15) {
				fired = append(fired, passFor(r, 1)...)
			}
			for id, list := range pending { // What has come due must have fired, and nothing else.
				pending[id] = slices.DeleteFunc(list, func(m message) bool {
					i := slices.Index(fired, id+"→z:"+m.word)
					if due := m.due <= r.now; due != (i >= 0) {
						t.Fatalf("%+v at %d: fired is %v", m, r.now, i >= 0)
					}
					if i >= 0 {
						fired = slices.Delete(fired, i, i+1)
					}
					return i >= 0
				})
			}
			if len(fired) > 0 {
				t.Fatalf("%q have fired too", fired)
			}
		}
		r.pass(100)
		r.idle()
	}
}

// passFor lets time pass and returns what has fired.
func passFor(r *remoteRig, ms clock.Instant) (fired []string) {
	r.pass(ms)
	for _, b := range r.s.Drain(0) {
		fired = append(fired, r.messages(b)...)
	}
	return fired
}
