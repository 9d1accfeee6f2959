// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/remote"
	"github.com/millrace-io/millrace/engine/statefun"
)

// What a reply says takes effect in StateFun's order: messages, delayed messages and cancellations,
// records, state. Within each the order is that of the reply.
func TestEffects(t *testing.T) {
	r := newRemoteRig(t, remoteConfig{rig: rigConfig{batchMax: 2}})
	r.declare("n", "m")
	r.post(fnCart, "a one", "a two")
	r.reply("a",
		"=n:1", "!out:r1", "@5,,z:d1", ">test/probe/z:m1", "=m:", ">test/cart/a:m2", "@0,t,z:d2", "!out:r2",
		">test/caller/outside:m3", "=n:2", "@5,,z:d3", ">wild/thing/y:m4",
	)
	want(t, "out", r.out(), "0: a→z:m1 a→a:m2 a→y:m4 | replies: a→outside:m3 | egress: a→:r1 a→:r2")
	want(t, "state", r.kept("a"), "n=2 m=")
	r.pass(0)
	want(t, "out at once", r.out(), "0: a→z:d2")
	r.pass(5)
	want(t, "out later", r.out(), "0: a→z:d1 a→z:d3")
	r.idle()
	c := r.s.fns[fnCart].Counts
	if c.In != 3 || c.OutLocal != 3+3 || c.OutRemote != 1 || c.OutEgress != 2 || c.Failures != 0 || r.s.Counts.Invocations != 3 {
		t.Errorf("%+v", c)
	}
}

// What is sent keeps its typename, and that it has no value.
func TestEffectsAbsent(t *testing.T) {
	r := newRemoteRig(t, remoteConfig{})
	r.post(fnCart, "a one")
	to := remote.To{Namespace: []byte("test"), Name: []byte("desk"), ID: []byte("b")}
	for _, p := range []remote.Payload{{Typename: []byte("test/none"), Absent: true}, {Typename: []byte("test/empty")}} {
		r.on("a").Reply.Messages = append(r.on("a").Reply.Messages, remote.Outgoing{To: to, Payload: p})
		r.on("a").Reply.Delayed = append(r.on("a").Reply.Delayed, remote.Delayed{Outgoing: remote.Outgoing{To: to, Payload: p}})
	}
	r.reply("a")
	r.pass(0)
	for _, b := range r.s.Drain(0) {
		r.s.Step(r.now, b)
	}
	r.collect()
	var all []string
	for len(r.under) > 0 {
		for _, m := range r.on("b").Messages {
			all = append(all, fmt.Sprintf("%s of %s/%s: %v", m.Typename, m.Caller.Name, m.CallerID, m.Absent))
		}
		r.reply("b")
	}
	none, empty := "test/none of cart/a: true", "test/empty of cart/a: false"
	want(t, "messages", strings.Join(all, ", "), strings.Join([]string{none, empty, none, empty}, ", "))
	r.idle()
}

// refused are replies that break the protocol or go over a limit. Each is refused as a whole.
var refused = []struct {
	name string
	word string
	edit func(*remote.Reply) // What no word can say.
	err  error               // nil: any.
	text string
}{
	{name: "an unknown function", word: ">test/nobody/z:m", err: ErrNoFunction, text: "test/nobody"},
	{name: "an unknown namespace", word: ">tame/thing/z:m", err: ErrNoFunction, text: "tame/thing"},
	{name: "an id of no bytes", word: ">test/cart/:m", err: statefun.ErrMalformed, text: "test/cart"},
	{name: "a long id", word: ">test/cart/" + strings.Repeat("i", statefun.IDBytesMax+1) + ":m", err: statefun.ErrMalformed},
	{name: "junk", word: ">test/probe/z:junk", err: errWanted, text: "test/probe"},
	{name: "junk, delayed", word: "@5,,z:junk", err: errWanted},
	{
		name: "a message of no known type", err: ErrNoInput, text: "test/strange to test/probe",
		word: ">test/probe/z:m", edit: func(reply *remote.Reply) { last(reply.Messages).Typename = []byte("test/strange") },
	},
	{name: "a large message", word: ">test/cart/z:" + strings.Repeat("m", 1001), err: ErrLimit, text: "of 1001 bytes"},
	{name: "a large delayed message", word: "@5,,z:" + strings.Repeat("m", 1001), err: ErrLimit},
	{name: "a large record", word: "!out:" + strings.Repeat("m", 1001), err: ErrLimit},
	{name: "a large value", word: "=n:" + strings.Repeat("m", 1001), err: ErrLimit, text: `state "n"`},
	{
		name: "a long typename", err: ErrLimit, text: "typename of 512 bytes",
		word: ">test/cart/z:m", edit: func(reply *remote.Reply) { last(reply.Messages).Typename = make([]byte, 512) },
	},
	{name: "an unknown egress", word: "!nobody:r", err: ErrNoEgress, text: "test/nobody"},
	{name: "a negative delay", word: "@-1,,z:m", err: ErrBadDelay},
	{name: "a token that is in use", word: "@5,used,z:m", text: `token "used"`},
	{name: "state that was not declared", word: "=other:1", text: `state "other"`},
	{name: "removal of state that was not declared", word: "~other", text: `state "other"`},
	{
		name: "state of another type", text: `state "n" is a test/n, not a test/m`,
		word: "=n:2", edit: func(reply *remote.Reply) { last(reply.Mutations).Typename = []byte("test/m") },
	},
	{
		name: "too many messages", err: ErrLimit, word: "!out:r",
		edit: func(reply *remote.Reply) {
			for range 20 {
				reply.Messages = append(reply.Messages, reply.Messages[0])
			}
		},
	},
}

func last[T any](list []T) *T { return &list[len(list)-1] }

// A reply that is refused leaves no trace, whatever else it says. The address is tried again, and suspended
// when that goes on; nothing else is.
func TestEffectsRefused(t *testing.T) {
	long := strings.Repeat("x", 300)
	for _, tt := range refused {
		t.Run(tt.name, func(t *testing.T) {
			r := newRemoteRig(t, remoteConfig{
				near: remote.Policy{BrokenMax: 3},
				rig:  rigConfig{limits: Limits{SendsMax: 20, PayloadBytesMax: 1000}},
			})
			r.declare("n", "m")
			r.post(fnCart, "a zero")
			r.reply("a", "=n:"+long, "@100000,used,z:pending")
			r.post(fnCart, "a "+long)
			heap, records := r.s.heap.Bytes(), r.records()
			for attempt := 1; attempt <= 3; attempt++ {
				c := r.on("a")
				for _, word := range []string{
					">test/probe/z:" + long, ">wild/thing/z:" + long, "@5,free,z:" + long, "@5,,z:" + long, "xused", "!out:" + long, "~n", "=m:" + long,
				} {
					r.effect(&c.Reply, word)
				}
				if strings.HasPrefix(tt.word, "@5,used") { // It has just been cancelled.
					r.effect(&c.Reply, tt.word)
				}
				r.effect(&c.Reply, tt.word)
				if tt.edit != nil {
					tt.edit(&c.Reply)
				}
				r.reply("a")
				f := r.s.Failures()
				if len(f) != 1 || f[0].Attempt != attempt || f[0].Suspended != (attempt == 3) || !errors.Is(f[0].Err, tt.err) && tt.err != nil || !strings.Contains(f[0].Err.Error(), tt.text) {
					t.Fatalf("attempt %d: %+v", attempt, f)
				}
				want(t, "out", r.out(), "")
				want(t, "state", r.kept("a"), "n="+long)
				if r.s.heap.Bytes() != heap || r.records() != records || r.s.Delayed() != 1 || len(r.s.byName) != 1 {
					t.Fatalf("the heap has %d bytes, and had %d; %d records, %d; %d delayed, %d names", r.s.heap.Bytes(), heap, r.records(), records, r.s.Delayed(), len(r.s.byName))
				}
				r.post(fnCart, "b x")
				r.reply("b", "!out:fine")
				want(t, "out of another", r.out(), "egress: b→:fine")
				r.pass(10_000)
			}
			want(t, "requests", r.requests(), "")
			r.goOn("a", false)
			r.reply("a", "~n", "xused")
			r.idle()
			want(t, "in the end", r.kept("a"), "gone")
			if r.s.heap.Bytes() >= heap {
				t.Errorf("%d bytes are in the heap", r.s.heap.Bytes())
			}
		})
	}
}

// At the limits everything is well.
func TestEffectsAtLimits(t *testing.T) {
	most := strings.Repeat("m", 1000)
	r := newRemoteRig(t, remoteConfig{rig: rigConfig{limits: Limits{SendsMax: 4, PayloadBytesMax: 1000}}})
	r.declare("n")
	r.post(fnCart, "a one")
	id := strings.Repeat("i", statefun.IDBytesMax)
	r.effect(&r.on("a").Reply, ">test/cart/"+id+":"+most)
	last(r.on("a").Reply.Messages).Typename = make([]byte, statefun.TypenameBytesMax)
	r.reply("a", "@5,t,z:"+most, "xt", "@5,t,z:"+most, "!out:"+most, "=n:"+most)
	want(t, "failures", r.failures(), "")
	want(t, "state", r.kept("a"), "n="+most)
	r.pass(5)
	want(t, "out", r.out(), "0: a→"+id+":"+most+" a→z:"+most+" | egress: a→:"+most)
	r.idle()
}
