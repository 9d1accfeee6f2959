// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"fmt"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/statefun"
)

// A part holds what the epoch has changed, as it was at the cut, whatever happens before it is encoded.
// Each line of a script is messages, one after the other, or a cut.
func TestParts(t *testing.T) {
	const cut, done = "cut", "part"
	tests := []struct {
		name   string
		script []string // Lines: messages with a comma between them, "cut", "part".
		parts  []string
		state  string
	}{
		{
			name: "what was changed", script: []string{"a +1, b =x, c +1;~", cut, done, "a +1", cut, done, cut, done},
			parts: []string{"put a n=1, put b text=x", "put a n=2", ""}, state: "a n=2, b text=x",
		},
		{
			name: "frozen, and written before it is encoded (P13)", script: []string{"a +1;=x, b +1", cut, "a +10;=y", done, cut, done},
			parts: []string{"put a n=1 text=x, put b n=1", "put a n=11 text=y"}, state: "a n=11 text=y, b n=1",
		},
		{
			name: "frozen, and a failing invocation writes", script: []string{"a +1", cut, "a +10;=y;fail", done, cut, done},
			parts: []string{"put a n=1", "put a n=1"}, state: "a n=1",
		},
		{
			name: "written again after it was encoded", script: []string{"a +1", cut, "a +1", "a +1", done, "a +1", cut, done},
			parts: []string{"put a n=1", "put a n=4"}, state: "a n=4",
		},
		{name: "read only", script: []string{"a +1", cut, done, "a ?", cut, done}, parts: []string{"put a n=1", ""}, state: "a n=1"},
		{
			name: "removed", script: []string{"a +1, b +1", cut, done, "a ~", cut, done, cut, done},
			parts: []string{"put a n=1, put b n=1", "delete a", ""}, state: "b n=1",
		},
		{name: "removed before anybody knew it", script: []string{"a +1, a ~", cut, done}, parts: []string{""}},
		{
			name: "removed and made again", script: []string{"a +1", cut, done, "a ~", "a +5", cut, done},
			parts: []string{"put a n=1", "delete a, put a n=5"}, state: "a n=5",
		},
		{
			name: "removed while frozen", script: []string{"a +1", cut, "a ~", done, cut, done},
			parts: []string{"put a n=1", "delete a"},
		},
		{
			name: "removed while frozen, its slot used by another", script: []string{"a +1", cut, "a ~", "b +2", done, cut, done},
			parts: []string{"put a n=1", "delete a, put b n=2"}, state: "b n=2",
		},
		{
			name: "removed while frozen, its slot used twice", script: []string{"a +1", cut, "a ~", "b +2", "b ~", "c =x", done, "c =y", cut, done},
			parts: []string{"put a n=1", "delete a, put c text=y"}, state: "c text=y",
		},
		{
			name: "removed by a message that has waited across the cut", script: []string{"a +1", cut, done, "a flaky, a ~", cut, "later", done, cut, done},
			parts: []string{"put a n=1", "", "delete a"},
		},
		{
			name: "its state removed, and a message waits across the cut", script: []string{"a +1", cut, done, "a ~, a fail", cut, done, cut, done},
			parts: []string{"put a n=1", "delete a", ""}, state: "a none",
		},
		{
			name:   "its state removed, a message waits across the cut and runs before it is encoded",
			script: []string{"a +1", cut, done, "a ~, a flaky", cut, "later", done, cut, done},
			parts:  []string{"put a n=1", "delete a", ""}, state: "",
		},
		{
			name: "a message waits at an address without state", script: []string{"a fail, b +1;fail", cut, done},
			parts: []string{""}, state: "a none, b none",
		},
		{
			name: "an id that lies outside its row", script: []string{"id-of-more-than-sixteen-bytes +1", cut, "id-of-more-than-sixteen-bytes ~", done, cut, done},
			parts: []string{"put id-of-more-than-sixteen-bytes n=1", "delete id-of-more-than-sixteen-bytes"},
		},
		{
			name: "a text of more than 127 bytes", script: []string{"a =" + strings.Repeat("x", 300), cut, done},
			parts: []string{"put a text=" + strings.Repeat("x", 300)}, state: "a text=" + strings.Repeat("x", 300),
		},
		{
			name: "many", script: []string{strings.Repeat("a +1, b +1, c +1, d +1, e +1, f +1, ", 3), cut, "d +1, a +1", done},
			parts: []string{"put d n=3, put a n=3, put b n=3, put c n=3, put e n=3, put f n=3"}, state: "a n=4, b n=3, c n=3, d n=4, e n=3, f n=3",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, rigConfig{retries: 1})
			r.flaky = 1
			var parts []string
			for _, line := range tt.script {
				switch line {
				case cut:
					r.cut()
				case done:
					parts = append(parts, r.part())
				case "later":
					r.advance(retryFirst)
				default:
					r.step(strings.Split(strings.TrimSuffix(line, ", "), ", ")...)
				}
			}
			want(t, "parts", strings.Join(parts, "\n"), strings.Join(tt.parts, "\n"))
			want(t, "state", r.state(), tt.state)
		})
	}
}

// What is frozen is encoded in portions, and the part is not there before the last one.
func TestEncodeFrozenPortions(t *testing.T) {
	r := newRig(t, rigConfig{})
	for i := range 200 {
		r.step(fmt.Sprintf("id-%d +1", i))
	}
	if r.s.EncodeFrozen(1) {
		t.Error("something is frozen before the cut")
	}
	r.cut()
	portions := 0
	for more := true; more; portions++ {
		if !r.s.Closing() {
			t.Fatal("the shard says that nothing is frozen")
		}
		if _, ok := r.s.Part(); ok {
			t.Fatal("the part is there before all is encoded")
		}
		before := r.s.Counts.Encoded
		more = r.s.EncodeFrozen(30)
		if n := r.s.Counts.Encoded - before; n > 30 {
			t.Fatalf("%d instances in a portion of 30", n)
		}
	}
	if r.s.Closing() || portions < 7 || portions > 8 {
		t.Errorf("closing %v after %d portions of 200 instances; want 7 or 8", r.s.Closing(), portions)
	}
	p, ok := r.s.Part()
	if n := 0; ok {
		for _, err := range whole(p).All() {
			if n++; err != nil {
				t.Fatal(err)
			}
		}
		if n != 200 {
			t.Errorf("%d changes; want 200", n)
		}
	} else {
		t.Error("the part is not there")
	}
	if _, again := r.s.Part(); again {
		t.Error("the part is there twice")
	}
}

// A part is complete when every sender's marker is in and everything frozen is encoded, in either order
// (P7). A marker that comes with the news of the epoch counts.
func TestPartComplete(t *testing.T) {
	const senders = 3
	complete := func(r *rig) bool {
		_, ok := r.s.Part()
		return ok
	}
	for _, encodeFirst := range []bool{true, false} {
		r := newRig(t, rigConfig{senders: senders})
		for epoch := statefun.Epoch(2); epoch <= 4; epoch++ {
			r.step("a +1")
			if complete(r) {
				t.Fatal("a part before the cut")
			}
			if encodeFirst {
				r.s.Cut(epoch)
				r.s.EncodeFrozen(10)
			}
			for range senders {
				if complete(r) {
					t.Fatal("a part before the last marker")
				}
				r.s.Step(r.now, &envelope.Batch{Epoch: epoch})
				r.s.Step(r.now, r.batch(epoch, "b +1")) // No marker.
				r.s.Step(r.now, r.batch(0))             // A door's, which has none.
			}
			if !encodeFirst {
				if complete(r) {
					t.Fatal("a part before what is frozen is encoded")
				}
				r.s.EncodeFrozen(10)
			}
			if !complete(r) {
				t.Fatalf("no part of epoch %d; encoded first: %v", epoch-1, encodeFirst)
			}
		}
	}
}

// At the cut a marker goes down every ring, the shard's own too, behind all that was sent before it (P2),
// and what is sent afterwards goes behind the marker, in the new epoch.
func TestCutMarkers(t *testing.T) {
	r := newRig(t, rigConfig{shards: 3, batchMax: 2})
	a, b := r.idOn(0), r.idOn(1)
	r.step("me >" + b + ":1;>" + b + ":2;>" + b + ":3")
	r.s.Cut(2)
	r.step("me >" + b + ":4;>" + a + ":5")
	for to, wanted := range []string{
		"2: marker 2 | 2: me→" + a + ":5",
		"1: me→" + b + ":1 me→" + b + ":2 | 1: me→" + b + ":3 | 2: marker 2 | 2: me→" + b + ":4",
		"2: marker 2",
	} {
		var all []string
		for _, batch := range r.s.Peek(to) {
			all = append(all, fmt.Sprintf("%d: %s", batch.Epoch, strings.Join(r.messages(batch), " ")))
		}
		want(t, fmt.Sprintf("outlet %d", to), strings.Join(all, " | "), wanted)
		if n := len(r.s.Drain(to)); n != len(all) {
			t.Errorf("outlet %d: Peek shows %d batches, Drain %d", to, len(all), n)
		}
	}
}

// A batch of the next epoch cuts before it runs; one of the epoch before runs in the open one, as does
// what doors bring (P18).
func TestStepEpochs(t *testing.T) {
	r := newRig(t, rigConfig{senders: 1})
	r.s.Step(r.now, r.batch(1, "a +1"))
	r.s.Step(r.now, r.batch(2, "b +1"))
	if r.s.Epoch() != 2 {
		t.Fatalf("in epoch %d after a batch of epoch 2", r.s.Epoch())
	}
	r.s.Step(r.now, r.batch(1, "c +1"))
	r.step("d +1")
	r.s.Cut(2) // The announcement, late (P3).
	r.s.Step(r.now, &envelope.Batch{Epoch: 2})
	want(t, "part of epoch 1", r.part(), "put a n=1")
	r.cut()
	want(t, "part of epoch 2", r.part(), "put b n=1, put c n=1, put d n=1")
}

// Epochs do not pile up (P5), and nobody is more than one epoch away.
func TestEpochInvariants(t *testing.T) {
	for _, tt := range []struct {
		name string
		f    func(r *rig)
	}{
		{"a cut two epochs ahead", func(r *rig) { r.s.Cut(4) }},
		{"a cut while the last epoch is closing", func(r *rig) { r.s.Cut(3) }},
		{"a batch of an epoch after the next", func(r *rig) { r.s.Step(r.now, r.batch(4, "a +1")) }},
		{"a batch of the next epoch while the last is closing", func(r *rig) { r.s.Step(r.now, r.batch(3, "a +1")) }},
		{"a batch of an epoch before the last", func(r *rig) {
			r.cut()
			r.part()
			r.s.Step(r.now, r.batch(1, "a +1"))
		}},
	} {
		r := newRig(t, rigConfig{senders: 1})
		if strings.Contains(tt.name, "before") {
			r.cut()
			r.part()
		} else {
			r.s.Cut(2)
		}
		if !breaks(func() { tt.f(r) }) {
			t.Errorf("%s is taken", tt.name)
		}
	}
}

// The records of an epoch leave with its part, in the order in which they were emitted; those emitted
// after the cut stay for the next (I5).
func TestPartEgress(t *testing.T) {
	r := newRig(t, rigConfig{batchMax: 2})
	r.step("a !1;!2;!3", "b !4;fail", "c !5")
	before := r.s.EgressBytes()
	r.cut()
	r.step("a !6")
	if got := r.s.EgressBytes(); got <= before {
		t.Errorf("%d bytes of records after a further one; were %d", got, before)
	}
	r.s.EncodeFrozen(10)
	r.now += 5
	r.advance(0)
	p, ok := r.s.Part()
	if !ok || p.Epoch != 1 || p.Shard != 0 || p.Now != r.now || p.EgressBytes != before {
		t.Fatalf("part of epoch %d, shard %d at %d, %d bytes of records, %v; want %d bytes", p.Epoch, p.Shard, p.Now, p.EgressBytes, ok, before)
	}
	var all []string
	for _, b := range p.Egress {
		all = append(all, r.messages(b)...)
		for i := range b.Envelopes {
			if b.Envelopes[i].Function != 7 {
				t.Errorf("a record for egress %d; want 7", b.Envelopes[i].Function)
			}
		}
	}
	want(t, "records of epoch 1", strings.Join(all, " "), "a→:1 a→:2 a→:3 c→:5")
	want(t, "records of epoch 2", r.out()[len("0: marker 2 | egress: "):], "a→:6")
	if r.s.EgressBytes() != 0 {
		t.Errorf("%d bytes of records are left", r.s.EgressBytes())
	}
}

// A part's bytes stay as they are until the cut after the next: the coordinator may still be committing.
func TestPartBytesStay(t *testing.T) {
	r := newRig(t, rigConfig{})
	r.step("a +1")
	r.cut()
	r.s.EncodeFrozen(10)
	p, _ := r.s.Part()
	before := string(whole(p).Changes)
	for i := range 100 {
		r.step(fmt.Sprintf("b%d +1", i), fmt.Sprintf("b%d ~", i), "a +1")
	}
	if string(whole(p).Changes) != before || statefun.Epoch(1) != p.Epoch {
		t.Error("the part was changed while it may be in the middle of its commit")
	}
}

// What nobody keeps is not written: parts are handed over, and say nothing, whatever has happened.
func TestUnstored(t *testing.T) {
	r := newRig(t, rigConfig{retries: 1, more: func(c *Config) { c.Unstored = true }})
	r.flaky, r.lapStep = 1, 1
	for _, messages := range [][]string{
		{"a +1", "b =x;@100,c:+1", "c fail", "d permanent"},
		{"a +1;~", "b flaky", "c +1"},
		{"b ~", "d +1"},
		{"a +1"},
	} {
		r.step(messages...)
		r.cut()
		if r.s.Closing() || r.s.EncodeFrozen(1) {
			t.Fatal("something is frozen")
		}
		r.s.Step(r.now, r.batch(r.s.Epoch()-1, "late fail"))
		if states, others := r.parts(); states+others != "" || r.s.Changed() {
			t.Fatalf("%q, %q; changed %v", states, others, r.s.Changed())
		}
		r.skip("d")
		r.advance(retryMost)
	}
	want(t, "state", r.state(), "a n=1, c none, d n=1, late none")
}
