// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/internal/checkpoint"
	"github.com/millrace-io/millrace/engine/remote"
)

// State values are bytes: none at all is a value too. The last word about a value counts, and every request
// shows all that are known.
func TestElsewhere(t *testing.T) {
	tests := []struct {
		name    string
		replies []string // One after the other, words by spaces.
		request string   // Shows, then.
		kept    string
	}{
		{"nothing", []string{""}, "[n- m-]", "gone"},
		{"a value", []string{"=m:5"}, "[n- m=5]", "m=5"},
		{"a value of no bytes", []string{"=n:"}, "[n= m-]", "n="},
		{"in the order of numbers", []string{"=m:1 =n:2"}, "[n=2 m=1]", "n=2 m=1"},
		{"the last word", []string{"=n:1 =n:2 ~n =n:3"}, "[n=3 m-]", "n=3"},
		{"the last word removes", []string{"=n:1 ~n"}, "[n- m-]", "gone"},
		{"overwritten", []string{"=n:1 =m:1", "=n:22"}, "[n=22 m=1]", "n=22 m=1"},
		{"overwritten by nothing", []string{"=n:1", "=n:"}, "[n= m-]", "n="},
		{"removed", []string{"=n:1 =m:1", "~n"}, "[n- m=1]", "m=1"},
		{"all removed", []string{"=n:1 =m:", "~n ~m"}, "[n- m-]", "gone"},
		{"what is absent is removed", []string{"~n", "=m:1", "~n"}, "[n- m=1]", "m=1"},
		{"left alone", []string{"=n:1", "", ""}, "[n=1 m-]", "n=1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRemoteRig(t, remoteConfig{})
			r.declare("n", "m")
			for _, words := range tt.replies {
				r.post(fnCart, "a x")
				r.reply("a", strings.Fields(words)...)
			}
			want(t, "kept", r.kept("a"), tt.kept)
			r.post(fnCart, "a x")
			want(t, "request", r.requests(), "cart/a try 1 "+tt.request+": x")
			r.reply("a", "~n", "~m")
			want(t, "in the end", r.kept("a"), "gone")
			r.idle()
			if n := r.s.heap.Bytes(); n != 0 || r.s.Instances() != 0 {
				t.Errorf("%d bytes, %d instances", n, r.s.Instances())
			}
		})
	}
}

// Any number of values of any size, set and removed at random: they are what a map says, and nothing else
// takes memory.
func TestElsewhereModel(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	r := newRemoteRig(t, remoteConfig{
		near: remote.Policy{BytesMax: 1 << 30},
		rig:  rigConfig{limits: Limits{SendsMax: 10, PayloadBytesMax: 1 << 20}},
	})
	model := map[string]map[string]string{"a": {}, "b": {}, "c": {}}
	ids := slices.Sorted(maps.Keys(model))
	names := []string(nil)
	for round := range 600 {
		if round%30 == 0 && len(names) < checkpoint.NumbersMax { // More become known as time goes by.
			var specs []string
			for range max(1, len(names)) {
				specs = append(specs, fmt.Sprint("v", len(names)+len(specs)))
			}
			specs = specs[:min(len(specs), checkpoint.NumbersMax-len(names))]
			names = append(names, specs...)
			r.declare(slices.Clone(specs)...)
		}
		id := ids[random.IntN(3)]
		values := model[id]
		r.post(fnCart, id+" x")
		c := r.on(id)
		if len(c.State) != len(names) {
			t.Fatalf("%d values in a request; %d are known", len(c.State), len(names))
		}
		for i, s := range c.State {
			if v, ok := values[s.Name]; s.Name != names[i] || s.Typename != "test/"+s.Name || s.Present != ok || string(s.Value) != v {
				t.Fatalf("round %d: %s is %d bytes, %v; want %d, %v", round, s.Name, len(s.Value), s.Present, len(v), ok)
			}
		}
		after := maps.Clone(values)
		for range random.IntN(6) {
			name := names[random.IntN(len(names))]
			if random.IntN(3) == 0 {
				r.effect(&c.Reply, "~"+name)
				delete(after, name)
				continue
			}
			n := []int{0, 1, 7, 30, 127, 128, 5000, 20_000}[random.IntN(8)]
			after[name] = strings.Repeat(string(rune('a'+random.IntN(26))), n)
			r.effect(&c.Reply, "="+name+":"+after[name])
		}
		if random.IntN(5) == 0 {
			r.reply(id, "!nobody:x")
			r.pass(100_000)
			r.reply(id)
			continue
		}
		r.reply(id)
		model[id] = after
	}
	for _, id := range ids {
		r.post(fnCart, id+" x")
		for _, name := range names {
			r.effect(&r.on(id).Reply, "~"+name)
		}
		r.reply(id)
	}
	r.idle()
	if n := r.s.heap.Bytes(); n != 0 || r.s.Instances() != 0 || len(names) != checkpoint.NumbersMax {
		t.Errorf("%d bytes, %d instances, %d values", n, r.s.Instances(), len(names))
	}
}

// Types and addresses do not share values, though they may have the same names and ids.
func TestElsewhereApart(t *testing.T) {
	r := newRemoteRig(t, remoteConfig{})
	r.declare("n")
	r.post(fnDesk, "a x")
	r.reply("a", "?m", "?n")
	r.reply("a", "=n:desk")
	r.post(fnCart, "a x", "b x")
	r.reply("a", "=n:cart")
	want(t, "requests", r.requests(), "cart/b try 1 [n-]: x")
	r.reply("b")
	r.post(fnDesk, "a x")
	want(t, "requests", r.requests(), "desk/a try 1 [m- n=desk]: x")
	r.reply("a")
	r.post(fnCart, "a x")
	want(t, "requests", r.requests(), "cart/a try 1 [n=cart]: x")
	r.reply("a")
	r.idle()
}

// While a request is on its way, the bytes that it has borrowed stay as they are, whatever else happens.
func TestElsewhereBorrowed(t *testing.T) {
	r := newRemoteRig(t, remoteConfig{})
	r.declare("n", "i,i5")
	long := strings.Repeat("v", 100)
	r.post(fnCart, "a-long-identifier-of-an-address x")
	r.reply("a-long-identifier-of-an-address", "=n:"+long, "=i:"+long)
	r.post(fnCart, "a-long-identifier-of-an-address short", "a-long-identifier-of-an-address "+long)
	c := r.on("a-long-identifier-of-an-address")
	before := r.request(c)
	for n := range 2000 { // Many of each size come and go beside it.
		id := fmt.Sprint("another-long-identifier-", n)
		r.post(fnCart, id+" "+long)
		r.reply(id, "=n:"+strings.Repeat("w", 100+n%3), "@100,,z:"+long)
		r.post(fnCart, "a-long-identifier-of-an-address behind")
		if n%100 == 0 {
			r.cut()
			r.pass(10) // One of its values expires.
			r.part()
		}
	}
	want(t, "request", r.request(c), before)
	r.reply("a-long-identifier-of-an-address")
	if n := len(r.on("a-long-identifier-of-an-address").Messages); n != 1000 {
		t.Errorf("%d messages in the next request; want 1000", n)
	}
}
