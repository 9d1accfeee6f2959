// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/millrace-io/millrace/engine/statefun"
)

// The golden hashes keep what operators have noted down comparable.
func TestSummarize(t *testing.T) {
	sum := func(l layout, entries []Entry) Summary {
		s, err := Summarize(read(t, open(t, l, l.part(entries))).All(t.Context()))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if s := sum(plain, nil); s != (Summary{}) || s.All.String() != strings.Repeat("0", 32) {
		t.Errorf("of nothing: %+v", s)
	}
	got, moved := sum(plain, some()), sum(other, some())
	want := Summary{Instances: 2, Messages: 3, Suspended: 1, Delayed: 1, Keys: 1, Records: 1, Bytes: got.Bytes, State: got.State, All: got.All}
	if got != want || got.Bytes == 0 {
		t.Errorf("%+v, want %+v", got, want)
	}
	if moved.State != got.State || moved.All != got.All {
		t.Errorf("%v and %v in one layout, %v and %v in another", got.State, got.All, moved.State, moved.All)
	}
	if state, all := got.State.String(), got.All.String(); state != goldenState || all != goldenAll {
		t.Errorf("the hashes are %s and %s, were %s and %s", state, all, goldenState, goldenAll)
	}
}

const (
	goldenState = "d7fb530b2e48dd80d9053900074cf45e"
	goldenAll   = "753d7c21ba4761bf1c11fba0205d1cf5"
)

// Whatever is changed in any entry changes the hash of all; the hash of the state is that of the instances.
func TestHashTells(t *testing.T) {
	hashes := func(entries []Entry) (state, all Hash) {
		s, err := Summarize(read(t, open(t, plain, plain.part(entries))).All(t.Context()))
		if err != nil {
			t.Fatal(err)
		}
		return s.State, s.All
	}
	state, all := hashes(some())
	seen := map[Hash]string{all: "nothing"}
	tell := func(what string, ofState bool, entries []Entry) {
		s, a := hashes(entries)
		if first, twice := seen[a]; twice {
			t.Errorf("%s hashes as %s", what, first)
		}
		seen[a] = what
		if (s != state) != ofState {
			t.Errorf("%s: hash of the state changed: %v, want %v", what, s != state, ofState)
		}
	}
	for i := range some() {
		without := slices.Delete(some(), i, i+1)
		tell(fmt.Sprint("without entry ", i), i < 2, without)
	}
	change := func(what string, i int, f func(e Entry) Entry) {
		entries := some()
		entries[i] = f(entries[i])
		tell(what, i < 2, entries)
	}
	inst := func(f func(v []Value) []Value) func(Entry) Entry {
		return func(e Entry) Entry { in := e.(Instance); in.Values = f(in.Values); return in }
	}
	change("id", 0, func(e Entry) Entry { in := e.(Instance); in.Address.ID = "Rob"; return in })
	change("value", 0, inst(func(v []Value) []Value { v[0].Bytes = long(3); return v }))
	change("a value less", 0, inst(func(v []Value) []Value { return v[:1] }))
	change("stamp", 0, inst(func(v []Value) []Value { v[1].Stamp = v[1].Stamp.Add(time.Millisecond); return v }))
	change("no stamp", 0, inst(func(v []Value) []Value { v[1].Stamp = time.Time{}; return v }))
	change("touched", 1, func(e Entry) Entry { in := e.(Instance); in.Touched = in.Touched.Add(time.Millisecond); return in })
	change("never touched", 1, func(e Entry) Entry { in := e.(Instance); in.Touched = time.Time{}; return in })
	msg := func(f func(m *Message)) func(Entry) Entry {
		return func(e Entry) Entry { m := e.(Message); f(&m); return m }
	}
	change("order", 2, msg(func(m *Message) { m.Number = 9 }))
	change("caller", 2, msg(func(m *Message) { m.Caller.ID = "All" }))
	change("no caller", 2, msg(func(m *Message) { m.Caller = statefun.Address{} }))
	change("typename", 2, msg(func(m *Message) { m.Typename = "shop/item" }))
	change("empty", 3, msg(func(m *Message) { m.Absent = false }))
	change("target", 4, msg(func(m *Message) { m.Target.ID = "Alf" }))
	change("reason's address", 5, func(e Entry) Entry { s := e.(Suspended); s.Address.ID = "Rob"; return s })
	late := func(f func(d *Delayed)) func(Entry) Entry {
		return func(e Entry) Entry { d := e.(Delayed); f(&d); return d }
	}
	change("due", 6, late(func(d *Delayed) { d.Due = d.Due.Add(time.Millisecond) }))
	change("token", 6, late(func(d *Delayed) { d.Token++ }))
	change("name", 6, late(func(d *Delayed) { d.Name = "" }))
	change("sender", 6, late(func(d *Delayed) { d.Sender.ID = "Eva" }))
	change("delayed target", 6, late(func(d *Delayed) { d.Target.Type = mail }))
	change("delayed value", 6, late(func(d *Delayed) { d.Value = long(1) }))
	key := func(f func(k *Key)) func(Entry) Entry {
		return func(e Entry) Entry { k := e.(Key); f(&k); return k }
	}
	change("key", 7, key(func(k *Key) { k.Key = []byte("k-2") }))
	change("key's time", 7, key(func(k *Key) { k.Expires = k.Expires.Add(time.Millisecond) }))
	change("digest", 7, key(func(k *Key) { k.Body[3] = 1 }))
	change("who waits", 7, key(func(k *Key) { k.Caller = "" }))
	change("answer", 7, key(func(k *Key) { k.Answer.Value = []byte("tee") }))
	change("no answer", 7, key(func(k *Key) { k.Answered, k.Answer = false, Payload{} }))
	rec := func(f func(r *Record)) func(Entry) Entry {
		return func(e Entry) Entry { r := e.(Record); f(&r); return r }
	}
	change("egress", 8, rec(func(r *Record) { r.Egress = "shop/err" }))
	change("record's epoch", 8, rec(func(r *Record) { r.Epoch-- }))
	change("index", 8, rec(func(r *Record) { r.Index++ }))
	change("record", 8, rec(func(r *Record) { r.Value = nil }))

	entries := some() // Only the order at an address counts, and it is the same.
	for i := 2; i < 5; i++ {
		m := entries[i].(Message)
		m.Number += 100
		entries[i] = m
	}
	if s, a := hashes(entries); s != state || a != all {
		t.Error("the hash depends on the numbers that messages have")
	}
}

// Any content has the same hashes and sums in any layout and order.
func TestSummaryProperty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		ids := rapid.SampledFrom([]string{"a", "b", "c", "d\x00", "ä"})
		want := map[string]int64{}
		var sum, flight int64
		var entries []Entry
		n := rapid.IntRange(0, 30).Draw(rt, "entries")
		for i := range n {
			v := rapid.Int64Range(-1<<40, 1<<40).Draw(rt, "value")
			switch id := ids.Draw(rt, "id"); rapid.IntRange(0, 2).Draw(rt, "kind") {
			case 0:
				if _, twice := want[id]; !twice {
					want[id], sum = v, sum+v
					entries = append(entries, Instance{Address: at(cart, id), Values: []Value{{State: cartStates[0], Bytes: long(v)}}})
				}
			case 1:
				flight += v
				entries = append(entries, Message{Target: at(mail, id), Number: uint64(i), Payload: Payload{"bank/Amount", false, long(v)}})
			case 2:
				flight += v
				entries = append(entries, Delayed{Token: uint64(i), Target: at(cart, id), Sender: at(mail, "z"), Payload: Payload{"bank/Amount", false, long(v)}})
			}
		}
		summary := func(l layout, entries []Entry) Summary {
			states, payloads := StateSum{Function: cart, Name: "n"}, PayloadSum{Typename: "bank/Amount"}
			s, err := Summarize(read(t, open(t, l, l.part(entries))).All(t.Context()), &states, &payloads)
			if err != nil {
				rt.Fatal(err)
			}
			if states.Total.Int64() != sum || states.Count != int64(len(want)) || payloads.Total.Int64() != flight || payloads.Count != s.Messages+s.Delayed {
				rt.Fatalf("sums %v and %v, want %d and %d", &states.Total, &payloads.Total, sum, flight)
			}
			s.Bytes = 0 // Numbers have lengths.
			return s
		}
		if a, b := summary(plain, entries), summary(other, rapid.Permutation(entries).Draw(rt, "order")); a != b {
			rt.Fatalf("%+v in one layout, %+v in another", a, b)
		}
	})
}

func TestInteger(t *testing.T) {
	type small struct{ N int32 }
	flat32, err := statefun.Flat[small]("t/small").Append(nil, small{-7})
	if err != nil {
		t.Fatal(err)
	}
	flat64, err := statefun.Flat[int64]("t/large").Append(nil, -1<<40)
	if err != nil {
		t.Fatal(err)
	}
	int32s, err := statefun.Int32.Append(nil, -3)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		typename string
		b        []byte
		want     int64
		bad      bool
	}{
		{"io.statefun.types/long", long(1 << 60), 1 << 60, false},
		{"io.statefun.types/long", nil, 0, false},
		{"io.statefun.types/int", int32s, -3, false},
		{"io.statefun.types/int", []byte{0x0d}, 0, true},
		{"t/own", long(5), 5, false},
		{"t/own", nil, 0, false},
		{"t/own", int32s, -3, false},
		{"t/own", flat32, -7, false},
		{"t/own", flat64, -1 << 40, false},
		{"t/own", []byte("text of 9"), 0, true},
		{"t/own", []byte("text "), 0, true},
		{"t/own", []byte("{}"), 0, true},
	} {
		got, err := integer(tt.typename, tt.b)
		if got != tt.want || (err != nil) != tt.bad {
			t.Errorf("%s %x: %d, %v; want %d", tt.typename, tt.b, got, err, tt.want)
		}
	}
	in := Instance{Address: at(cart, "Bob"), Values: []Value{{State: State{Name: "n", Typename: "t/own"}, Bytes: []byte("{}")}}}
	if err := (&StateSum{Function: cart, Name: "n"}).Add(in); err == nil || !strings.Contains(err.Error(), `shop/cart/"Bob"`) {
		t.Errorf("%v", err)
	}
	if err := (&PayloadSum{Typename: "t/own"}).Add(Message{Target: at(cart, "Bob"), Payload: Payload{"t/own", false, []byte("{}")}}); err == nil || !strings.Contains(err.Error(), `shop/cart/"Bob"`) {
		t.Errorf("%v", err)
	}
	if err := (&PayloadSum{}).Add(in); err != nil {
		t.Errorf("of nothing: %v", err)
	}
}
