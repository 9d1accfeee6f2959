// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/internal/checkpoint"
	"github.com/millrace-io/millrace/engine/internal/clock"
	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/statefun"
)

// What an epoch's part says of messages: what waits is put once, in the epoch in which it came, and deleted in
// the epoch in which it goes; what comes and goes within an epoch is not written at all.
func TestFlight(t *testing.T) {
	const cut, done, later = "cut", "done", "later"
	tests := []struct {
		name   string
		script []string
		parts  []string
	}{
		{"comes and goes", []string{"a flaky", later, cut, done}, []string{""}},
		{"waits at the cut", []string{"a flaky", cut, done, later, cut, done, cut, done}, []string{"a:flaky", "gone a", ""}},
		{"goes while it is frozen", []string{"a flaky, a +1", cut, later, done, cut, done}, []string{"a:flaky, a:+1", "gone a, gone a"}},
		{"waits for long", []string{"a fail", cut, done, cut, done, cut, done}, []string{"a:fail", "", ""}},
		{"comes behind one that waits", []string{"a fail", cut, done, "a +1", cut, done}, []string{"a:fail", "a:+1"}},
		{
			"suspended and skipped",
			[]string{"a permanent", cut, done, "skip a", cut, done},
			[]string{"suspended a, a:permanent", "gone suspended a, gone a"},
		},
		{"suspended and skipped within an epoch", []string{"a permanent", "skip a", cut, done}, []string{"suspended a, gone suspended a"}},
		{"in flight, and taken at once", []string{cut, "late a +1", done, cut, done}, []string{"a:+1", "gone a"}},
		{"in flight, and waits", []string{"a flaky", cut, "late a +1", done, cut, done, later, cut, done}, []string{"a:+1, a:flaky", "", "gone a, gone a"}},
		{"in flight, and fails", []string{cut, "late a fail", done, cut, done}, []string{"a:fail", ""}},
		{"in flight behind what is frozen", []string{"a +1", cut, "late a flaky;+1", done, later, cut, done}, []string{"a:flaky;+1", "gone a"}},
		{"delayed", []string{"a @100,b:+1", cut, done, "later 100", cut, done}, []string{"b:+1 in 100", "gone delayed"}},
		{"delayed, and due within the epoch", []string{"a @100,b:+1", "later 100", cut, done}, []string{""}},
		{"delayed, and due while frozen", []string{"a @100,b:+1", cut, "later 100", done, cut, done}, []string{"b:+1 in 100", "gone delayed"}},
		{"delayed and cancelled", []string{"a @100,b:+1", cut, done, "a x+1", cut, done}, []string{"b:+1 in 100", "gone delayed"}},
		{"delayed and cancelled while frozen", []string{"a @100,b:+1", cut, "a x+1", done, cut, done}, []string{"b:+1 in 100", "gone delayed"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, rigConfig{retries: 1})
			r.flaky = 1
			var parts []string
			for _, line := range tt.script {
				verb, rest, _ := strings.Cut(line, " ")
				switch verb {
				case cut:
					r.cut()
				case done:
					_, messages := r.parts()
					parts = append(parts, messages)
				case later:
					d := clock.Instant(retryFirst)
					_, _ = fmt.Sscan(rest, &d)
					r.advance(d)
				case "skip":
					r.skip(rest)
				case "late":
					r.s.Step(r.now, r.batch(r.s.Epoch()-1, rest))
				default:
					r.step(strings.Split(line, ", ")...)
				}
			}
			want(t, "parts", strings.Join(parts, "\n"), strings.Join(tt.parts, "\n"))
			for key := range r.store {
				if r.store[key].Key[0] != checkpoint.KindState && tt.parts[len(tt.parts)-1] != "" && strings.HasPrefix(tt.parts[len(tt.parts)-1], "gone") {
					t.Errorf("the store still has %q", key)
				}
			}
		})
	}
}

// Delayed messages come back with the time that is left, in the order in which they are due, and their tokens
// still cancel (P12, P15).
func TestReloadDelayed(t *testing.T) {
	r := newRig(t, rigConfig{})
	r.step("a @100,b:+1;@50,b:+2;@200,b:+3;@200,c:+4;@300,b:+5")
	r.cut()
	r.part()
	r.now += 60
	n := r.reloaded(rigConfig{}, nil)
	n.tokens = r.tokens
	n.advance(0)
	want(t, "overdue", n.out(), "0: a→b:+2")
	n.advance(40)
	want(t, "due", n.out(), "0: a→b:+1")
	n.step("a x+3")
	if !n.cancel["+3"] {
		t.Error("the token does not cancel")
	}
	n.step("b x+4")
	if n.cancel["+4"] {
		t.Error("a token cancels for another id")
	}
	n.advance(200)
	want(t, "the rest", n.out(), "0: a→c:+4 a→b:+5")
	if n.s.Delayed() != 0 || len(n.s.tokens) != 0 {
		t.Errorf("%d delayed, %d tokens", n.s.Delayed(), len(n.s.tokens))
	}
	n.step("a @100,b:+6")
	for _, token := range r.tokens {
		if token == n.tokens["+6"] && token != 0 && r.tokens["+6"] != token {
			t.Errorf("token %d is used again (P11)", token)
		}
	}
}

// With another number of shards every entry goes to the shard of its key group, and nothing is lost.
func TestReloadLayouts(t *testing.T) {
	r := newRig(t, rigConfig{retries: 5})
	var ids []string
	for i := range 40 {
		id := fmt.Sprintf("id-%d", i)
		ids = append(ids, id)
		r.step(id+" +1;@1000,"+id+":+1", id+" fail", id+" +7")
	}
	r.cut()
	states, messages := r.parts()
	for _, shards := range []int{1, 2, 7} {
		var gotStates, gotMessages []string
		for id := range shards {
			n := r.reloaded(rigConfig{shards: shards, retries: 5}, func(c *Config) { c.ID = id })
			gotStates = append(gotStates, strings.Split(n.state(), ", ")...)
			if n.s.Delayed() == 0 || len(n.s.queues) == 0 {
				t.Errorf("%d shards: nothing on shard %d", shards, id)
			}
			for _, e := range n.store {
				gotMessages = append(gotMessages, string(e.Key))
			}
		}
		if len(gotMessages) != len(r.store) || len(gotStates) != len(ids) {
			t.Errorf("%d shards: %d entries, %d instances; want %d, %d", shards, len(gotMessages), len(gotStates), len(r.store), len(ids))
		}
	}
	if strings.Count(states, "put") != len(ids) || strings.Count(messages, ":") != 3*len(ids) {
		t.Errorf("parts %s %s", states, messages)
	}
}

// Messages in flight are put behind those that waited before, whatever their numbers on other shards were (P11).
func TestNumbersGrow(t *testing.T) {
	r := newRig(t, rigConfig{retries: 5, more: func(c *Config) { c.Numbers = 1000 }})
	r.step("a fail", "a +1")
	r.cut()
	r.part()
	n := r.reloaded(rigConfig{retries: 5}, nil)
	n.step("a +2")
	n.cut()
	n.part()
	var numbers []uint64
	for _, e := range n.store {
		if _, _, number, err := checkpoint.ParseMessageKey(e.Key); err == nil {
			numbers = append(numbers, number)
		}
	}
	slices.Sort(numbers)
	if fmt.Sprint(numbers) != "[1001 1002 1003]" {
		t.Errorf("numbers %v", numbers)
	}
}

// A message under a key runs once; the same key with another message is refused; after a reload as well (P17).
func TestKeys(t *testing.T) {
	send := func(r *rig, id, key, word string) envelope.Verdict {
		b := r.batch(0, id+" "+word)
		b.Ticket = &envelope.Ticket{Key: []byte(key), Body: [16]byte{byte(len(word))}, Window: 1000}
		r.s.Step(r.now, b)
		return b.Ticket.Verdict
	}
	r := newRig(t, rigConfig{})
	check := func(r *rig, id, key, word string, wanted envelope.Verdict, state string) {
		t.Helper()
		if got := send(r, id, key, word); got != wanted {
			t.Errorf("%s under %s at %s: verdict %d; want %d", word, key, id, got, wanted)
		}
		want(t, "state", r.state(), state)
	}
	check(r, "a", "k", "+1", envelope.Taken, "a n=1")
	check(r, "a", "k", "+1", envelope.Known, "a n=1")
	check(r, "a", "k", "+11", envelope.Conflicting, "a n=1")
	check(r, "b", "k", "+1", envelope.Taken, "a n=1, b n=1")
	check(r, "a", "l", "+1", envelope.Taken, "a n=2, b n=1")
	r.cut()
	_, messages := r.parts()
	want(t, "part", messages, "key k of a, key k of b, key l of a")
	n := r.reloaded(rigConfig{}, nil)
	check(n, "a", "k", "+1", envelope.Known, "a n=2, b n=1")
	n.advance(1000)
	check(n, "a", "k", "+1", envelope.Taken, "a n=3, b n=1")
	n.cut()
	_, messages = n.parts()
	changes := strings.Split(messages, ", ")
	slices.Sort(changes[:3]) // They expire together.
	want(t, "part", strings.Join(changes, ", "), "gone key k of a, gone key k of b, gone key l of a, key k of a")
	full := newRig(t, rigConfig{more: func(c *Config) { c.KeysBytesMax = 1 }})
	check(full, "a", "k", "+1", envelope.Taken, "a n=1")
	check(full, "a", "l", "+1", envelope.Crowded, "a n=1")
}

// The answer to a call under a key comes to the shard that keeps the key, is kept with it, and goes to everybody
// who asks under that key, also when the answer came before a crash (P19, P23).
func TestKeyedAnswers(t *testing.T) {
	group := statefun.KeyGroupOf(statefun.KeyHash("a"), 16)
	caller := func(n int) string { return fmt.Sprintf("%04x-1-%dk", group, n) }
	call := func(r *rig, n int) envelope.Verdict {
		b := r.batch(0, "a >"+caller(1)+":hi")
		b.Envelopes[0].SetCaller(b.AppendCaller(fnCaller, []byte(caller(n))))
		b.Ticket = &envelope.Ticket{Key: []byte("k"), Window: 1000}
		r.s.Step(r.now, b)
		return b.Ticket.Verdict
	}
	answer := func(r *rig, epoch statefun.Epoch) {
		b := envelope.New(1)
		b.Epoch = epoch
		b.SetNamed(b.Append(fnCaller, envelope.Untyped, statefun.KeyHash(caller(1)), caller(1)), "test/word", []byte("hi"))
		r.s.Step(r.now, b)
	}
	r := newRig(t, rigConfig{})
	if got := r.s.destination(fnCaller, 0, caller(1)); got != 0 {
		t.Fatalf("the answer goes to outlet %d", got)
	}
	if group == statefun.KeyGroupOf(statefun.KeyHash(caller(1)), 16) {
		t.Fatal("the caller's id happens to belong to the same key group")
	}
	if call(r, 1) != envelope.Taken || call(r, 2) != envelope.Known {
		t.Fatal("the second call is not known")
	}
	r.out()
	r.cut()
	answer(r, 1) // In flight across the cut.
	if got := r.out(); !strings.Contains(got, caller(1)) || !strings.Contains(got, caller(2)) {
		t.Errorf("the answer goes to %s", got)
	}
	r.part()
	// The answer was in flight: it is taken now, by the shard that has the key.
	n := r.reloaded(rigConfig{shards: 3, senders: 1}, func(c *Config) { c.ID = int(group) * 3 / 16 })
	n.out()
	if call(n, 3) != envelope.Known {
		t.Fatal("a call after the reload is not known")
	}
	if got := n.out(); !strings.Contains(got, caller(3)) {
		t.Errorf("the kept answer goes to %s", got)
	}
	n.cut()
	_, messages := n.parts()
	if !strings.Contains(messages, "key k of a") || !strings.Contains(messages, "gone "+caller(1)) {
		t.Errorf("part %s", messages)
	}
	answer(n, n.s.Epoch())
	if got := n.out(); strings.Contains(got, caller(2)) || strings.Contains(got, caller(3)) {
		t.Errorf("a second answer goes to %s", got) // The first caller's door drops it.
	}

	// The window may be over while somebody waits.
	r = newRig(t, rigConfig{})
	call(r, 1)
	r.out()
	r.advance(1001)
	answer(r, 1)
	if got := r.out(); r.s.keys.count != 0 || !strings.Contains(got, caller(1)) {
		t.Errorf("an answer behind the window goes to %q", got)
	}

	// What has been sent has no answer. An answer that does not come does not make the list longer and longer.
	b := r.batch(0, "a >x:hi")
	b.Ticket = &envelope.Ticket{Key: []byte("k"), Window: 1000}
	r.s.Step(r.now, b)
	if got := call(r, 2); got != envelope.Conflicting {
		t.Errorf("who calls what has been sent is told %v", got)
	}
	r = newRig(t, rigConfig{})
	for n := range 3 * askingMax {
		call(r, n)
	}
	if n := len(r.s.keys.list[0].asking); n != askingMax {
		t.Errorf("%d callers are asking", n)
	}
}

// Messages that wait may be large: a slice of encoding ends by its bytes, not by their number.
func TestEncodeFrozenLargeMessages(t *testing.T) {
	const messages, size = 200, 32 << 10
	r := newRig(t, rigConfig{limits: Limits{SendsMax: 1, PayloadBytesMax: 2 * size}})
	text := strings.Repeat("x", size)
	for i := range messages {
		r.step(fmt.Sprintf("id-%d =%s;fail", i, text))
	}
	r.cut()
	changes := &r.s.epoch.changes[r.s.epoch.parity()^1]
	for before, more := changes.bytes(), true; more; before = changes.bytes() {
		more = r.s.EncodeFrozen(2 * messages)
		if n := changes.bytes() - before; n > sliceBytes+(encodeFew+1)*(size+1024) {
			t.Fatalf("a slice of %d bytes", n)
		}
	}
	if n := changes.bytes(); n < messages*size {
		t.Errorf("%d bytes encoded of %d messages of %d", n, messages, size)
	}
}
