// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/remote"
	"github.com/millrace-io/millrace/engine/statefun"
)

// A request takes as many messages as the policy allows, in number and in bytes, and one at least.
func TestRequestBounds(t *testing.T) {
	long := strings.Repeat("x", 150) // With its typename and what goes with every message: 224 bytes.
	tests := []struct {
		name     string
		policy   remote.Policy
		messages []string
		requests []string
	}{
		{
			name: "messages", policy: remote.Policy{MessagesMax: 2},
			messages: []string{"1", "2", "3", "4", "5"}, requests: []string{"1 2", "3 4", "5"},
		},
		{
			name: "any number", policy: remote.Policy{MessagesMax: -1},
			messages: repeat("m", 3000), requests: []string{strings.Join(repeat("m", 3000), " ")},
		},
		{
			name: "the usual number", messages: repeat("m", 1001),
			requests: []string{strings.Join(repeat("m", 1000), " "), "m"},
		},
		{
			name: "bytes", policy: remote.Policy{BytesMax: 3*messageBytes + 10},
			messages: []string{"1", "2", "3", "4"}, requests: []string{"1 2 3", "4"},
		},
		{
			name: "exactly as many bytes", policy: remote.Policy{BytesMax: 3 * messageBytes},
			messages: []string{"1", "2", "3", "4"}, requests: []string{"1 2 3", "4"},
		},
		{
			name: "a long one", policy: remote.Policy{BytesMax: 224},
			messages: []string{"1", long, "3", "4"}, requests: []string{"1", long, "3 4"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRemoteRig(t, remoteConfig{near: tt.policy})
			r.post(fnCart, "a hold")
			for _, m := range tt.messages {
				r.post(fnCart, "a "+m)
			}
			r.reply("a")
			for _, messages := range tt.requests {
				want(t, "request", r.requests(), "cart/a try 1: "+messages)
				r.reply("a")
			}
			r.idle()
		})
	}
}

// A message that is too large alone suspends its address at once, and only that; the error says how large it
// is. State counts as well, names included.
func TestRequestTooLarge(t *testing.T) {
	tests := []struct {
		name     string
		bytesMax int
		state    string // As the words of a reply.
		message  string
		bytes    int // 0: it fits.
	}{
		{name: "a message that fits", bytesMax: 224, message: strings.Repeat("x", 150)},
		{name: "a message", bytesMax: 223, message: strings.Repeat("x", 150), bytes: 224},
		{name: "state that fits", bytesMax: 1 + 6 + messageBytes + 100 + messageBytes, state: "=n:" + strings.Repeat("s", 100), message: "m"},
		{name: "state", bytesMax: 1 + 6 + messageBytes + 99 + messageBytes, state: "=n:" + strings.Repeat("s", 100), message: "m", bytes: 235},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRemoteRig(t, remoteConfig{near: remote.Policy{BytesMax: tt.bytesMax}})
			if tt.state != "" {
				r.declare("n")
				r.post(fnCart, "a m")
				r.reply("a", tt.state)
			}
			r.post(fnCart, "a "+tt.message, "a behind", "b m")
			r.reply("b")
			if tt.bytes == 0 {
				want(t, "failures", r.failures(), "")
				r.reply("a")
				r.reply("a")
				r.idle()
				return
			}
			sizes := fmt.Sprintf("about %d bytes, for one message and the state of its address: not tried again, because at most %d are allowed", tt.bytes, tt.bytesMax)
			want(t, "failures", r.failures(), "a 1 suspended a request of "+sizes)
			want(t, "requests", r.requests(), "")
			if c := r.s.fns[fnCart].Counts; c.Suspended != 1 || c.Backlog != 2 || c.InFlight != 0 || r.s.SuspendedBytes() != c.BacklogBytes {
				t.Errorf("%+v, %d bytes", c, r.s.SuspendedBytes())
			}
			r.goOn("a", false)
			want(t, "failures when resumed", r.failures(), "a 1 suspended a request of "+sizes)
			r.goOn("a", true)
			if tt.state == "" {
				r.reply("a")
			} else {
				r.goOn("a", true)
			}
			r.idle()
		})
	}
}

// Requests are made smaller when replies are large, and larger again when they have become small.
func TestRequestExpectsReplies(t *testing.T) {
	r := newRemoteRig(t, remoteConfig{near: remote.Policy{BytesMax: 1000}})
	size := func(replyBytes int) (messages int) {
		r.post(fnCart, append([]string{"a hold"}, repeat("a m", 10)...)...)
		c := r.on("a")
		messages = len(c.Messages)
		c.Reply.Bytes = replyBytes
		r.reply("a")
		for len(r.under) > 0 {
			r.on("a").Reply.Bytes = replyBytes / 10
			r.reply("a")
		}
		return messages
	}
	if n := size(4000); n != 11 {
		t.Errorf("%d messages in the first request; want 11", n)
	}
	if n := r.s.fns[fnCart].replyBytes; n < 300 || n > 400 { // 4000 for 11, and somewhat less since.
		t.Errorf("%d bytes are expected for a message", n)
	}
	if n := size(100); n < 2 || n > 3 {
		t.Errorf("%d messages in a request whose reply is expected to be large; want 2 or 3", n)
	}
	for range 20 {
		size(100)
	}
	if n := size(100); n != 11 {
		t.Errorf("%d messages in a request whose reply is expected to be small; want 11", n)
	}
	r.idle()
}

// What a function is sent is what was sent to it: who by, of which type, whatever its size, and that there
// is no value.
func TestRequestShows(t *testing.T) {
	r := newRemoteRig(t, remoteConfig{near: remote.Policy{Call: 10 * time.Second}})
	longID, longType, longWord := strings.Repeat("i", 300), "test/"+strings.Repeat("t", 200), strings.Repeat("w", 5000)
	b := envelope.New(4)
	add := func(typename, value string) *envelope.Envelope {
		e := b.Append(fnCart, envelope.Untyped, statefun.KeyHash(longID), longID)
		b.SetNamed(e, typename, []byte(value))
		return e
	}
	add("test/a", "")
	add("test/b", "").SetAbsent()
	add(longType, longWord).SetCaller(b.AppendCaller(fnDesk, []byte("who")))
	add("test/c", "short").SetCaller(b.AppendCaller(fnProbe, []byte(longID)))
	r.s.Step(r.now, b)
	r.collect()
	b.Reset() // A batch is the sender's again at once.
	for i := range cap(b.Arena) {
		b.Arena[:cap(b.Arena)][i] = 0xff
	}
	none := statefun.FunctionType{}
	desk, probe := r.s.fns[fnDesk].Type, r.s.fns[fnProbe].Type
	check := func(attempt int, left time.Duration) {
		t.Helper()
		c := r.on(longID)
		if c.Target != r.s.fns[fnCart].Type || c.Attempt != attempt || c.Timeout != left || len(c.Messages) != 4 || c.Function() != fnCart {
			t.Fatalf("%v, attempt %d, timeout %v, %d messages", c.Target, c.Attempt, c.Timeout, len(c.Messages))
		}
		for i, w := range []struct {
			caller                      statefun.FunctionType
			callerID, typename, content string
			absent                      bool
		}{
			{none, "", "test/a", "", false},
			{none, "", "test/b", "", true},
			{desk, "who", longType, longWord, false},
			{probe, longID, "test/c", "short", false},
		} {
			m := c.Messages[i]
			if m.Caller != w.caller || string(m.CallerID) != w.callerID || string(m.Typename) != w.typename || string(m.Value) != w.content || m.Absent != w.absent {
				t.Errorf("message %d is %+v; want %+v", i, m, w)
			}
		}
	}
	check(1, 10*time.Second)
	r.now += 3000
	r.fail(longID, remote.Unreachable)
	r.pass(50)
	check(2, 6950*time.Millisecond)
	r.reply(longID)
	r.idle()
}

// A request and its reply allocate nothing once everything has its size: neither for state, messages and
// records, nor for waiting.
func TestRequestAllocates(t *testing.T) {
	r := newRemoteRig(t, remoteConfig{})
	r.declare("n", "i,i1000")
	ids := []string{"a", "an-id-of-more-than-sixteen-bytes", "c"}
	b := envelope.New(2 * len(ids))
	words := []string{
		"=n:" + strings.Repeat("v", 40), "=i:x", ">test/probe/z:w", ">test/desk/y:" + strings.Repeat("w", 30), "!out:record",
	}
	var failed bool
	cycle := func() {
		r.now++
		for _, id := range ids {
			for range 2 {
				b.SetNamed(b.Append(fnCart, envelope.Untyped, statefun.KeyHash(id), id), "test/word", []byte("hello"))
			}
		}
		r.s.Step(r.now, b)
		b.Reset()
		for _, c := range r.s.Calls() {
			if c.Scratch == nil { // As an invoker would: the reply stays with the request.
				for _, word := range words {
					r.effect(&c.Reply, word)
				}
				kept := c.Reply
				c.Scratch = &kept
			}
			c.Reply = *c.Scratch.(*remote.Reply)
			r.s.Complete(r.now, c)
		}
		failed = failed || len(r.s.Calls()) != 0 || len(r.s.Failures()) != 0
		for _, out := range [][]*envelope.Batch{r.s.Drain(0), r.s.drain(r.s.egress())} {
			failed = failed || len(out) == 0
			for _, b := range out {
				r.s.Recycle(b)
			}
		}
	}
	for range 100 {
		cycle()
	}
	if n := testing.AllocsPerRun(1000, cycle); n != 0 {
		t.Errorf("%v allocations a cycle of %d requests", n, len(ids))
	}
	if failed || r.s.fns[fnCart].Counts.In < 6000 {
		t.Errorf("it did not do what it was to do: %+v", r.s.fns[fnCart].Counts)
	}
}
