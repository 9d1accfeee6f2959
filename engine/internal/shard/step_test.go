// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"errors"
	"strings"
	"testing"
	"unsafe"

	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/statefun"
)

// A batch runs in order; what fails in the middle of it leaves no trace, and the rest runs.
func TestStep(t *testing.T) {
	tests := []struct {
		name                  string
		messages              []string
		state, out, log, fail string
	}{
		{name: "state", messages: []string{"a +1", "b =x", "a +2;=y", "b ?"}, state: "a n=3 text=y, b text=x", log: "b text=x"},
		{name: "a zero is a value", messages: []string{"a +0;="}, state: "a n=0 text="},
		{name: "no state, no instance", messages: []string{"a ?", "b +1;~", "c >a:+1"}, log: "a none", out: "0: c→a:+1"},
		{name: "state that is removed", messages: []string{"a +1;=x", "b +1", "a ~"}, state: "b n=1"},
		{
			name: "order", messages: []string{"a >b:+1;!r", "b >c:+2", "a <s;>b:+3", "a !t"},
			out: "0: a→b:+1 b→c:+2 a→b:+3 | replies: a→caller:s | egress: a→:r a→:t",
		},
		{
			name: "more than a batch holds", messages: []string{"a >b:1;>b:2;>b:3", "c >b:4;>b:5;>b:6;>b:7;>b:8;>b:9"},
			out: "0: a→b:1 a→b:2 a→b:3 c→b:4 c→b:5 c→b:6 c→b:7 c→b:8 c→b:9",
		},
		{
			name: "an error", messages: []string{"a +1;>z:1", "a +10;=x;>z:2;!r;<s;@5,z:3;fail", "b +1;>z:4"},
			state: "a n=1, b n=1", out: "0: a→z:1 b→z:4", fail: "a 1 wanted",
		},
		{
			name: "an error on a first message", messages: []string{"a +10;=x;fail", "b +1"},
			state: "a none, b n=1", fail: "a 1 wanted",
		},
		{
			name: "a panic", messages: []string{"a =x;>z:1", "a +10;=yy;>z:2;!r;panic", "b +1;>z:4", "c >z:5"},
			state: "a text=x, b n=1", out: "0: a→z:1 b→z:4 c→z:5", fail: "a 1 panic: as wanted",
		},
		{
			name: "panics one after the other", messages: []string{"a panic", "b panic", "c +1", "d panic"},
			state: "a none, b none, c n=1, d none", fail: "a 1 panic: as wanted, b 1 panic: as wanted, d 1 panic: as wanted",
		},
		{
			name: "a failure in a batch that a success began", messages: []string{"a >z:1;>z:2;>z:3", "b >z:4;>z:5;>z:6;>z:7;>z:8;fail", "c >z:9"},
			out: "0: a→z:1 a→z:2 a→z:3 c→z:9", state: "b none", fail: "b 1 wanted",
		},
		{
			name: "a failure with records only", messages: []string{"a !r;!s", "b !t;!u;!v;!w;panic", "c !x"},
			out: "egress: a→:r a→:s c→:x", state: "b none", fail: "b 1 panic: as wanted",
		},
		{
			name: "messages behind a failure wait", messages: []string{"a +1", "a fail", "a +2;>z:1", "a panic", "b +1"},
			state: "a n=1, b n=1", fail: "a 1 wanted",
		},
		{name: "state that was removed comes back", messages: []string{"a +1;=x", "a ~;fail"}, state: "a n=1 text=x", fail: "a 1 wanted"},
		{name: "text that was set twice", messages: []string{"a =x", "a =yy;=zzz;fail", "b =x;=yy;=zzz"}, state: "a text=x, b text=zzz", fail: "a 1 wanted"},
		{
			name: "more than are looked up at once", messages: append(repeat("a +1", 40), append(repeat("b +1;panic", 1), repeat("a +1", 40)...)...),
			state: "a n=80, b none", fail: "b 1 panic: as wanted",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, rigConfig{retries: 5})
			r.step(tt.messages...)
			want(t, "state", r.state(), tt.state)
			want(t, "out", r.out(), tt.out)
			want(t, "log", strings.Join(r.log, ", "), tt.log)
			want(t, "failures", r.failures(), tt.fail)
			if r.s.Delayed() != 0 {
				t.Errorf("%d delayed messages are pending", r.s.Delayed())
			}
			failures := uint64(strings.Count(tt.fail, " 1 "))
			waiting := uint64(len(r.s.queues))
			if got := r.s.Counts; got.Failures != failures || waiting != failures || got.Batches != 1 {
				t.Errorf("%+v, %d addresses wait; want %d failures", got, waiting, failures)
			}
			if n := strings.Count(tt.state, ",") + 1; tt.state != "" && r.s.Instances() != n {
				t.Errorf("%d instances; want %d", r.s.Instances(), n)
			}
		})
	}
}

func repeat(s string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = s
	}
	return all
}

// What fails gives back the bytes that it has taken, and what takes effect those that it has replaced.
func TestStepKeepsNoBytes(t *testing.T) {
	long := strings.Repeat("x", 200)
	r := newRig(t, rigConfig{retries: 1000})
	r.step("a ="+long, "b flaky")
	before := r.s.heap.Bytes()
	r.step("a =" + long + "1;=" + long + "2;=" + long[:180] + ";=" + long)
	if got := r.s.heap.Bytes(); got != before {
		t.Errorf("replacing a text changed the heap from %d to %d bytes", before, got)
	}
	r.flaky = 1
	r.step("c =" + long + ";=" + long + ";flaky;=" + long)
	taken := r.s.heap.Bytes() - before
	if waits := r.s.Waiting() - envelope.Size; taken < waits || taken > waits*5/4+16 {
		t.Errorf("a failure left %d bytes in the heap; its message, which waits, has %d", taken, waits)
	}
	r.advance(retryMost)
	r.step("a ~", "c ~")
	if got := r.s.heap.Bytes(); got != 0 || r.s.Waiting() != 0 || r.s.Instances() != 0 {
		t.Errorf("in the end %d bytes are in the heap, %d wait, %d instances", got, r.s.Waiting(), r.s.Instances())
	}
}

// What fails is cut off the outlets with its bytes, and the batches that it has begun are used again.
func TestStepCutsOff(t *testing.T) {
	r := newRig(t, rigConfig{batchMax: 2, retries: 5})
	r.step("a >z:1;!1")
	measure := func() (bytes [2]int64) {
		for _, b := range r.s.Peek(0) {
			bytes[0] += b.Bytes()
		}
		bytes[1] = r.s.EgressBytes()
		return bytes
	}
	before := measure()
	long := strings.Repeat("x", 100)
	r.step("b >z:" + long + ";>z:2;>z:3;!" + long + ";!2;!3;fail")
	if got := measure(); got != before {
		t.Errorf("a failure changed the bytes in the outlets, and of records, from %d to %d", before, got)
	}
	if n := len(r.s.spare); n != 2 {
		t.Errorf("%d batches are spare; want the two that the failure had begun", n)
	}
	r.step("c >z:4;>z:5;!4;!5")
	if n := len(r.s.spare); n != 0 {
		t.Errorf("%d batches are spare; want both in use", n)
	}
	want(t, "out", r.out(), "0: a→z:1 c→z:4 c→z:5 | egress: a→:1 c→:4 c→:5")
}

// Messages leave for the shard that has the id's key group, with the sender as their caller.
func TestStepRoutes(t *testing.T) {
	r := newRig(t, rigConfig{shards: 3})
	a, b, c := r.idOn(0), r.idOn(1), r.idOn(2)
	r.step("me >" + c + ":1;>" + a + ":2;>" + b + ":3;>" + c + ":4")
	want(t, "out", r.out(), "0: me→"+a+":2 | 1: me→"+b+":3 | 2: me→"+c+":1 me→"+c+":4")
	r.step("me >" + c + ":5")
	want(t, "out, again", r.out(), "2: me→"+c+":5")
}

// A message that comes with its typename finds the input, or the handler for all others, or fails.
func TestStepNamed(t *testing.T) {
	for _, tt := range []struct {
		name, typename string
		any            bool
		state          string
		err            error
	}{
		{name: "an input", typename: "test/word", state: "a n=1"},
		{name: "no input", typename: "test/other", err: ErrNoInput, state: "a none"},
		{name: "no input but a handler for all", typename: "test/other", any: true, state: "a text=test/other +1"},
		{name: "an input before the handler for all", typename: "test/word", any: true, state: "a n=1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, rigConfig{})
			if tt.any {
				r.s.fns[fnProbe].Any = func(impl unsafe.Pointer, inv *Invocation, typename string, value []byte) error {
					return (*rig)(impl).do(inv, "="+typename+" "+string(value))
				}
			}
			b := envelope.New(1)
			b.SetNamed(b.Append(fnProbe, envelope.Untyped, statefun.KeyHash("a"), "a"), tt.typename, []byte("+1"))
			r.s.Step(r.now, b)
			want(t, "state", r.state(), tt.state)
			failed := r.s.Failures()
			if tt.err == nil && len(failed) != 0 || tt.err != nil && (len(failed) != 1 || !errors.Is(failed[0].Err, tt.err)) {
				t.Errorf("failures %v; want %v", failed, tt.err)
			}
		})
	}
}

// At each limit an invocation takes effect; one past it, nothing of it does.
func TestStepLimits(t *testing.T) {
	limits := Limits{SendsMax: 3, PayloadBytesMax: 10}
	for _, tt := range []struct {
		name, message string
		ok            bool
	}{
		{"sends", "a >z:1;>z:2;>z:3", true},
		{"one send more", "a >z:1;>z:2;>z:3;>z:4", false},
		{"sends of all kinds", "a >z:1;!r;@5,z:2", true},
		{"records beyond", "a !r;!s;!t;!u", false},
		{"delayed messages beyond", "a @1,z:1;@1,z:2;@1,z:3;@1,z:4", false},
		{"answers beyond", "a >z:1;@1,z:2;!r;<s", false},
		{"a text", "a =1234567890", true},
		{"a longer text", "a =12345678901", false},
		{"a delay", "a @0,z:1", true},
		{"a negative delay", "a @-1,z:1", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, rigConfig{limits: limits})
			r.step(tt.message)
			failed := r.s.Failures()
			if tt.ok != (len(failed) == 0) {
				t.Fatalf("failures %v; want none: %v", failed, tt.ok)
			}
			if tt.ok {
				return
			}
			if err := failed[0].Err; !errors.Is(err, ErrLimit) && !errors.Is(err, ErrBadDelay) {
				t.Errorf("failed with %v", err)
			}
			want(t, "state", r.state(), "a none")
			want(t, "out", r.out(), "")
			if r.s.Delayed() != 0 {
				t.Errorf("%d delayed messages are pending", r.s.Delayed())
			}
		})
	}
}

// A call that cannot return an error makes the invocation fail, whatever the handler returns after it; the
// first of several counts.
func TestInvocationFail(t *testing.T) {
	r := newRig(t, rigConfig{})
	r.s.fns[fnProbe].Inputs[0].Wire = func(_ unsafe.Pointer, inv *Invocation, payload []byte) error {
		inv.Touch()
		inv.Row.Present |= 1
		if string(payload) != "go on" {
			inv.Fail(ErrNoFunction)
			inv.Fail(ErrNoCaller)
		}
		return nil
	}
	r.step("a x", "b go on")
	want(t, "failures", r.failures(), "a 1 suspended "+ErrNoFunction.Error())
	want(t, "state", r.state(), "a none, b n=0")
}

// Values that are edited in place are encoded when the handler has returned, in the order in which they
// were opened, unless they have been dropped; and not at all when the handler fails.
func TestInvocationEdits(t *testing.T) {
	r := newRig(t, rigConfig{})
	var flushed []string
	r.s.fns[fnProbe].Inputs[0].Wire = func(_ unsafe.Pointer, inv *Invocation, payload []byte) error {
		for i, name := range []string{"x", "y", "z"} {
			inv.AddEdit(Edit{Offset: uintptr(i), Value: name, Flush: func() { flushed = append(flushed, name) }})
		}
		inv.DropEdit(1)
		inv.DropEdit(1)
		if inv.Edited(0) != "x" || inv.Edited(1) != nil || inv.Edited(2) != "z" {
			t.Errorf("edited: %v, %v, %v", inv.Edited(0), inv.Edited(1), inv.Edited(2))
		}
		switch string(payload) {
		case "fail":
			return errWanted
		case "panic":
			panic("as wanted")
		}
		return nil
	}
	r.step("a fail", "b panic", "c take effect")
	want(t, "flushed", strings.Join(flushed, " "), "x z")
	if len(r.inv.edits) != 0 {
		t.Errorf("%d edits are left for the next invocation", len(r.inv.edits))
	}
}

// An invariant that breaks is not taken for a failure of the function that happened to run.
func TestStepInvariants(t *testing.T) {
	if !breaks(func() {
		r := newRig(t, rigConfig{})
		r.s.Step(r.now-1, r.batch(0))
	}) {
		t.Error("time runs back, and nobody minds")
	}
	if !breaks(func() {
		r := newRig(t, rigConfig{})
		r.s.fns[fnProbe].Inputs[0].Wire = func(_ unsafe.Pointer, inv *Invocation, _ []byte) error {
			inv.shard.Cut(9)
			return nil
		}
		r.step("a x")
	}) {
		t.Error("an invariant breaks during an invocation, and nobody minds")
	}
}

// The two steps that everything is measured by allocate nothing once the shard has what it needs.
func TestStepAllocatesNothing(t *testing.T) {
	counter := newRig(t, rigConfig{batchMax: 256})
	adds := envelope.New(256)
	for i := range 256 {
		word8(adds, "an id that is longer than sixteen"[:10+i%20], 1)
	}
	relay := newRig(t, rigConfig{batchMax: 256})
	relay.s.fns[fnProbe].Inputs[1].Memory = func(_ unsafe.Pointer, inv *Invocation, payload unsafe.Pointer) error {
		inv.Touch()
		stateOf(inv).n++
		inv.Row.Present |= 1
		_, e := inv.Post(fnProbe, 1, statefun.KeyHash("z"), "z")
		*(*int64)(e.Inline(8)) = *(*int64)(payload)
		return nil
	}
	for name, f := range map[string]func(){
		"counter": func() { counter.s.Step(counter.now, adds) },
		"relay": func() {
			relay.s.Step(relay.now, adds)
			for _, b := range relay.s.Drain(0) {
				relay.s.Recycle(b)
			}
		},
	} {
		f()
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations for 256 messages", name, n)
		}
	}
}
