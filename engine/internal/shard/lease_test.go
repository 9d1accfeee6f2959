// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"
	"unsafe"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/internal/checkpoint"
	"github.com/millrace-io/millrace/engine/internal/clock"
	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/statefun"
)

// A value is over in the very millisecond, counted from the last time that has moved it on. Times are in
// milliseconds since the first message.
func TestLease(t *testing.T) {
	type turn struct {
		at      clock.Instant
		message string
		shown   string // What the handler saw.
		row     string // What there is afterwards.
	}
	ten := terms{n: 10, t: 10, i: 10}
	long := terms{n: 640, t: 640, i: 640} // Stamps are up to 10 ahead.
	tests := []struct {
		name  string
		terms terms
		turns []turn
		gone  clock.Instant // When the instance goes.
	}{
		{"a millisecond early", ten, []turn{{0, "n5", "", "n=5@0"}, {9, "?", "n=5", "n=5@0"}}, 10},
		{"in time", ten, []turn{{0, "n5", "", "n=5@0"}, {10, "?", "", ""}}, 10},
		{"written again", ten, []turn{{0, "n5", "", "n=5@0"}, {7, "n6", "n=5", "n=6@7"}}, 17},
		{"written again in vain", ten, []turn{{0, "n5", "", "n=5@0"}, {7, "n6;permanent", "n=5", "n=5@0"}}, 10},
		{"removed and written", ten, []turn{{0, "n5", "", "n=5@0"}, {7, "~n;n6", "n=5", "n=6@7"}}, 17},
		{"written when it is over", ten, []turn{{0, "n5", "", "n=5@0"}, {10, "n1", "", "n=1@10"}}, 20},
		{"read", ten, []turn{{0, "tx", "", "t=x@0"}, {9, "?", "t=x", "t=x@9"}}, 19},
		{"read in vain", ten, []turn{{0, "tx", "", "t=x@0"}, {9, "?;permanent", "t=x", "t=x@0"}}, 10},
		{"read when it is over", ten, []turn{{0, "tx", "", "t=x@0"}, {10, "?", "", ""}}, 10},
		{"read, rounded up", long, []turn{{0, "tx", "", "t=x@0"}, {1, "?", "t=x", "t=x@11"}, {11, "?", "t=x", "t=x@11"}, {12, "?", "t=x", "t=x@22"}}, 662},
		{"written after it was read", long, []turn{{0, "tx", "", "t=x@0"}, {1, "?", "t=x", "t=x@11"}, {5, "ty", "t=x", "t=y@5"}}, 645},
		{"not read, only there", ten, []turn{{0, "tx", "", "t=x@0"}, {9, "n1", "t=x", "n=1@9 t=x@0"}}, 19},
		{"invoked", ten, []turn{{0, "i1", "", "i=1@0"}, {9, "flaky", "i=1", "i=1@9"}, {18, "flaky", "i=1", "i=1@18"}}, 28},
		{"invoked in vain", ten, []turn{{0, "i1", "", "i=1@0"}, {9, "permanent", "i=1", "i=1@0"}}, 10},
		{"invoked, rounded up", long, []turn{{0, "i1", "", "i=1@0"}, {3, "flaky", "i=1", "i=1@13"}, {13, "flaky", "i=1", "i=1@13"}}, 653},
		{"one after the other", ten, []turn{{0, "n1;tx", "", "n=1@0 t=x@0"}, {5, "?", "n=1 t=x", "n=1@0 t=x@5"}, {12, "flaky", "t=x", "t=x@5"}}, 15},
		{"an empty text", ten, []turn{{0, "t", "", "t=@0"}, {9, "flaky", "t=", "t=@0"}}, 10},
		{"as a whole", terms{idle: 10}, []turn{{0, "n5;px", "", "n=5 p=x @0"}, {9, "flaky", "n=5 p=x", "n=5 p=x @9"}}, 19},
		{"as a whole, in time", terms{idle: 10}, []turn{{0, "n5;px", "", "n=5 p=x @0"}, {10, "n1", "", "n=1 @10"}}, 20},
		{"as a whole, rounded up", terms{idle: 640}, []turn{{0, "n5", "", "n=5 @10"}, {10, "?", "n=5", "n=5 @10"}, {11, "?", "n=5", "n=5 @21"}}, 661},
		{"a value before the whole", terms{n: 5, idle: 10}, []turn{{0, "n5;px", "", "n=5@0 p=x @0"}, {6, "?", "p=x", "p=x @6"}}, 16},
		{"sent with a delay", terms{idle: 10}, []turn{{0, "n5;@50,b:?", "", "n=5 @0"}, {49, "?", "n=5", "n=5 @49"}}, 60},
		{"sent with a delay to itself", terms{idle: 10}, []turn{{0, "n5;@50,a:n6", "", "n=5 @0"}}, 60},
		{"sent with a delay and cancelled", terms{idle: 10}, []turn{{0, "n5;@50,b:?", "", "n=5 @0"}, {20, "x", "n=5", "n=5 @20"}}, 30},
		{"for ever, nearly", terms{n: math.MaxInt64, t: 5, idle: math.MaxInt64}, []turn{{0, "n5", "", "n=5@0 @144115188075855871"}, {1 << 40, "~n", "n=5", ""}}, 1 << 40},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newLeaseRig(t, tt.terms)
			state := func() string {
				if row := r.instances()["a"]; row != nil && row.Present != 0 {
					return r.row(row)
				}
				return ""
			}
			pass := func(ms clock.Instant) {
				r.advance(ms)
				r.arrive()
				r.advance(0)
			}
			for _, turn := range tt.turns {
				pass(rigStart + turn.at - r.now)
				r.events = nil
				r.post("a " + turn.message)
				what := fmt.Sprintf("%q at %d", turn.message, turn.at)
				want(t, what+" shows", describeValues(r.events[0].shown), turn.shown)
				want(t, what+" leaves", state(), turn.row)
				r.resume("a", true)
			}
			for ; r.instances()["a"] != nil; pass(1) {
				if r.now-rigStart >= tt.gone {
					t.Fatalf("%s is there at %d", state(), r.now-rigStart)
				}
			}
			if r.now-rigStart != tt.gone {
				t.Errorf("gone at %d; want %d", r.now-rigStart, tt.gone)
			}
			if r.s.wheel.Len() != 0 || r.s.heap.Bytes() != 0 || len(r.s.delayedBy) != 0 {
				t.Errorf("%d timers, %d bytes, %d senders", r.s.wheel.Len(), r.s.heap.Bytes(), len(r.s.delayedBy))
			}
		})
	}
}

func describeValues(values map[string]string) (s string) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		s += " " + name + "=" + values[name]
	}
	return s[min(1, len(s)):]
}

// An instance has one timer. Invocations do not touch it, unless something will be over before it fires.
func TestLeaseTimer(t *testing.T) {
	r := newLeaseRig(t, terms{n: 1000, t: 100, i: 1000})
	r.post("a n1;i1")
	lease := func() lease { return *r.s.fns[fnLease].lease(r.instances()["a"]) }
	first := lease()
	for range 99 {
		r.advance(10)
		r.post("a n1;i1;?")
		if lease() != first || r.s.wheel.Len() != 1 {
			t.Fatalf("another timer: %+v, then %+v; %d in all", first, lease(), r.s.wheel.Len())
		}
	}
	r.advance(10)
	if now := lease(); now.timer == first.timer || now.due != rigStart+1990 || r.s.wheel.Len() != 1 {
		t.Errorf("after %+v comes %+v; %d in all", first, now, r.s.wheel.Len())
	}
	r.post("a tx")
	if now := lease(); now.due != rigStart+1100 || r.s.wheel.Len() != 1 {
		t.Errorf("for a shorter time comes %+v; %d in all", now, r.s.wheel.Len())
	}
	r.advance(100)
	want(t, "then", describeValues(r.values(r.instances()["a"])), "i=1 n=1")
	r.post("b px")
	if r.s.wheel.Len() != 1 {
		t.Errorf("%d timers: one is for what does not expire", r.s.wheel.Len())
	}
}

// A restarted engine has the time that is left, counted from the same stamps, whatever the time is now. What did
// not expire before counts from the first start, and checkpoints know that.
func TestLeaseReload(t *testing.T) {
	none := terms{}
	tests := []struct {
		name         string
		before       terms
		message      string
		down         clock.Instant
		after        terms
		loaded, part string
		gone         clock.Instant // When the instance goes; 0: it does not.
	}{
		{"the same", terms{n: 100}, "n1", 30, terms{n: 100}, "n=1@0", "n=1@0", 100},
		{"over meanwhile", terms{n: 100}, "n1", 100, terms{n: 100}, "n=1@0", "", 100},
		{"longer", terms{n: 100}, "n1", 30, terms{n: 200}, "n=1@0", "n=1@0", 200},
		{"longer, and had been over", terms{n: 100}, "n1", 150, terms{n: 200}, "n=1@0", "n=1@0", 200},
		{"shorter", terms{n: 100}, "n1", 30, terms{n: 40}, "n=1@0", "n=1@0", 40},
		{"shorter, and over", terms{n: 100}, "n1", 50, terms{n: 40}, "n=1@0", "", 50},
		{"no more", terms{n: 100}, "n1", 30, none, "n=1", "n=1@0", 0},
		{"new", none, "n1", 30, terms{n: 100}, "n=1@30", "n=1@30", 130},
		{"as a whole", terms{idle: 100}, "px", 30, terms{idle: 100}, "p=x @1", "p=x @1", 101},
		{"as a whole, no more", terms{idle: 100}, "px", 30, none, "p=x", "p=x @1", 0},
		{"as a whole, new", none, "px", 30, terms{idle: 100}, "p=x @31", "p=x @31", 131},
		{"as a whole, over meanwhile", terms{idle: 100}, "n1;px", 200, terms{n: 5, idle: 100}, "n=1@200 p=x @1", "", 200},
		{"spared by a delayed message", terms{idle: 100}, "px;@500,b:?", 200, terms{idle: 100}, "p=x @1", "p=x @1", 601},
		{"spared by a message that waits", terms{idle: 100}, "px", 200, terms{idle: 100}, "p=x @1", "p=x @1", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newLeaseRig(t, tt.before)
			r.post("a " + tt.message)
			waits := tt.name == "spared by a message that waits"
			if waits {
				r.post("a permanent")
			}
			r.cutAll()
			r = r.reload(tt.down, tt.after)
			want(t, "loaded", r.row(r.instances()["a"]), tt.loaded)
			r.advance(0)
			r.cutAll()
			want(t, "the store then", r.stored()["a"], tt.part)
			for r.instances()["a"] != nil && r.now < rigStart+1000 {
				r.advance(1)
				r.arrive()
			}
			if at := r.now - rigStart; at != tt.gone && (tt.gone != 0 || at < 1000) {
				t.Errorf("gone at %d; want %d", at, tt.gone)
			}
		})
	}
}

// Who has nothing that expires pays nothing: the rows are what they were.
func TestNoLease(t *testing.T) {
	for _, tt := range []struct {
		terms terms
		bytes int
	}{{terms{}, 48}, {terms{n: 1}, 72}, {terms{n: 1, t: 1, i: 1}, 88}, {terms{idle: 1}, 72}, {terms{n: 1, idle: 1}, 80}} {
		fn := newLeaseRig(t, tt.terms).s.fns[fnLease]
		if leased := tt.terms != (terms{}); fn.StateBytes != tt.bytes || fn.leased != leased || fn.renewed != leased {
			t.Errorf("%+v: %d bytes, leased %v; want %d", tt.terms, fn.StateBytes, fn.leased, tt.bytes)
		}
	}
}

// The bytes of an entry with stamps: see docs/formats/entries.md.
func TestLeaseGolden(t *testing.T) {
	r := newLeaseRig(t, terms{n: 640, t: 640, idle: 640})
	r.post("a n5;tx;pyz")
	r.advance(1)
	r.post("a ?")
	r.cutAll()
	key := checkpoint.AppendStateKey(nil, fnLease, []byte("a"))
	got := slices.Collect(maps.Values(r.store))
	want := []byte("" +
		"\x01" + "\x40\x42\x0f\x00\x00\x00\x00\x00" + "\x01" + "5" + // n, stamped 1,000,000.
		"\x03" + "\x4b\x42\x0f\x00\x00\x00\x00\x00" + "\x01" + "x" + // t, read a millisecond later: 10 ahead.
		"\x06" + "\x02" + "yz" + // p, which does not expire.
		"\xff\x0f" + "\x4a\x42\x0f\x00\x00\x00\x00\x00" + "\x00") // The instance, first messaged at 1,000,000.
	if len(got) != 1 || !bytes.Equal(got[0].Key, key) || !bytes.Equal(got[0].Value, want) {
		t.Fatalf("%q has\n%swant\n%s", got[0].Key, hex.Dump(got[0].Value), hex.Dump(want))
	}
	n := newLeaseRig(t, r.terms)
	group := statefun.KeyGroupOf(statefun.KeyHash("a"), len(n.s.route))
	if err := n.s.Load(backend.Entry{Group: group, Key: key, Value: want}); err != nil {
		t.Fatal(err)
	}
	if s := n.row(n.instances()["a"]); s != "n=5@0 t=x@11 p=yz @10" {
		t.Errorf("it is read as %s", s)
	}
}

// Stamps and timers take no memory per message.
func TestLeaseAllocatesNothing(t *testing.T) {
	r := newLeaseRig(t, terms{n: 100, t: 100, i: 100, idle: 100})
	r.s.fns[fnLease].Inputs[0].Wire = func(_ unsafe.Pointer, inv *Invocation, _ []byte) error {
		inv.Touch()
		inv.Wrote(inv.fn.Values[0].Offset)
		inv.Row.Present |= 1 | 1<<2
		inv.Read(2)
		return nil
	}
	b := envelope.New(256)
	for i := range 256 {
		id := fmt.Sprint("id", i%64)
		b.SetWire(b.Append(fnLease, 0, statefun.KeyHash(id), id), nil)
	}
	turn := func() {
		r.advance(1)
		r.s.Step(r.now, b)
	}
	for range 300 {
		turn()
	}
	if n := testing.AllocsPerRun(300, turn); n != 0 {
		t.Errorf("%v allocations for 256 messages", n)
	}
}
