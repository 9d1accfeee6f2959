// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/connector"
)

// door is a door through which the test calls.
type door struct {
	in             connector.Entry
	opened, closed int
	err            error
}

var doorCaller = engine.FunctionType{Namespace: "test", Name: "door"}

func (d *door) Open(_ context.Context, in connector.Entry) error { d.in = in; d.opened++; return d.err }
func (d *door) Close(context.Context) error                      { d.closed++; return nil }
func (d *door) CallerType() engine.FunctionType                  { return doorCaller }

// run runs an engine whose door is open when it returns.
func run(t *testing.T, e *engine.Engine) {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- e.Run(t.Context()) }()
	<-e.Ready()
	t.Cleanup(func() {
		_ = e.Close(context.Background())
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

func encoded(t *testing.T, s string) engine.TypedValue {
	t.Helper()
	b, err := engine.String.Append(nil, s)
	if err != nil {
		t.Fatal(err)
	}
	return engine.TypedValue{Typename: engine.String.Typename(), Value: b}
}

// echoes answers all questions but "never", and does not know other messages.
var echoes = askedModule(func(ctx *engine.Context, question string) (string, error) {
	if question == "never" {
		return "", engine.ErrPending
	}
	caller, _ := ctx.Caller()
	return question + " from " + caller.Type.String(), nil
})

// A door's messages, questions and events go where those of functions and sources go; whatever is wrong
// with them is told to the door before anything happens.
func TestEntry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 60
		var records recorder
		d := &door{}
		e := open(t, engine.Config{EpochInterval: engine.EpochsOff, PayloadBytesMax: most}, probeModule(sayAll), echoes, deliver(records.sink()),
			bind(func(b *engine.Binder) {
				b.Door(d)
				engine.RouteKey(b, words, Do)
				engine.RouteFunc(b, words, func(down *engine.Downstream, w string) error {
					switch w {
					case "refuse":
						return errTest
					case "nowhere":
						return engine.Forward(down, toAbsent.To("x"), w)
					case "blow up":
						return engine.Forward(down, Do.To("x"), strings.Repeat("x", most))
					}
					return engine.Forward(down, Do.To("two"), w)
				})
			}))
		run(t, e)
		ctx, hello := t.Context(), encoded(t, "hello")
		probeAt := func(id string) engine.Address { return engine.Address{Type: probeFunction.Type(), ID: id} }
		askedAt := engine.Address{Type: askedFunction.Type(), ID: "a"}
		event := func(key string, v engine.TypedValue) connector.Event {
			return connector.Event{Key: []byte(key), Typename: v.Typename, Value: v.Value}
		}
		tooLarge := engine.TypedValue{Typename: hello.Typename, Value: make([]byte, most+1)}
		garbage := engine.TypedValue{Typename: hello.Typename, Value: []byte{0xff}}
		unknown := engine.TypedValue{Typename: "test/unknown"}
		send := func(to engine.Address, m engine.TypedValue) func() error {
			return func() error { return d.in.Send(ctx, to, m, connector.Delivery{}) }
		}
		route := func(ingress, key string, v engine.TypedValue) func() error {
			return func() error { return d.in.Route(ctx, ingress, event(key, v), connector.Delivery{}) }
		}
		tests := []struct {
			name string
			call func() error
			want error
			said []string
		}{
			{"send", send(probeAt("p"), hello), nil, []string{"p:hello"}},
			{"send what goes to the rest", send(askedAt, unknown), nil, []string{"a:test/unknown 0"}},
			{"send to nobody", send(engine.Address{Type: absentFunction.Type(), ID: "x"}, hello), connector.ErrUnknownFunction, nil},
			{"send to callers", send(engine.Address{Type: doorCaller, ID: "1-1"}, hello), connector.ErrUnknownFunction, nil},
			{"send without id", send(probeAt(""), hello), connector.ErrMalformed, nil},
			{"send to a long id", send(probeAt(strings.Repeat("i", 4097)), hello), connector.ErrTooLarge, nil},
			{"send too much", send(probeAt("p"), tooLarge), connector.ErrTooLarge, nil},
			{"send the unknown", send(probeAt("p"), unknown), connector.ErrUnknownMessage, nil},
			{"send garbage", send(probeAt("p"), garbage), connector.ErrMalformed, nil},
			{"route", route("test/words", "k", hello), nil, []string{"k:hello", "two:hello"}},
			{"route without type", route("test/words", "k", engine.TypedValue{Value: hello.Value}), nil, []string{"k:hello", "two:hello"}},
			{"route to nowhere", route("test/other", "k", hello), connector.ErrUnknownIngress, nil},
			{"route without key", route("test/words", "", hello), connector.ErrMalformed, nil},
			{"route a long key", route("test/words", strings.Repeat("i", 4097), hello), connector.ErrMalformed, nil},
			{"route the unknown", route("test/words", "k", unknown), connector.ErrUnknownMessage, nil},
			{"route garbage", route("test/words", "k", garbage), connector.ErrMalformed, nil},
			{"route too much", route("test/words", "k", tooLarge), connector.ErrTooLarge, nil},
			{"router refuses", route("test/words", "k", encoded(t, "refuse")), errTest, nil},
			{"router refuses, to the door", route("test/words", "k", encoded(t, "refuse")), connector.ErrMalformed, nil},
			{"router sends to nobody", route("test/words", "k", encoded(t, "nowhere")), connector.ErrMalformed, nil},
			{"router sends too much", route("test/words", "k", encoded(t, "blow up")), connector.ErrTooLarge, nil},
			{"call by a stranger", func() error {
				_, err := d.in.Call(ctx, absentFunction.Type(), askedAt, hello, connector.Delivery{})
				return err
			}, connector.ErrUnknownFunction, nil},
			{"call nobody", func() error {
				_, err := d.in.Call(ctx, doorCaller, engine.Address{Type: absentFunction.Type(), ID: "x"}, hello, connector.Delivery{})
				return err
			}, connector.ErrUnknownFunction, nil},
			{"call", func() error {
				answer, err := d.in.Call(ctx, doorCaller, askedAt, hello, connector.Delivery{})
				if want := encoded(t, "hello from test/door"); answer.Typename != want.Typename || string(answer.Value) != string(want.Value) {
					return fmt.Errorf("the answer is %q", answer)
				}
				return err
			}, nil, nil},
			{"call that is not answered", func() error {
				ctx, cancel := context.WithTimeout(ctx, time.Second)
				defer cancel()
				_, err := d.in.Call(ctx, doorCaller, askedAt, encoded(t, "never"), connector.Delivery{})
				return err
			}, context.DeadlineExceeded, nil},
		}
		for _, tt := range tests {
			err := tt.call()
			synctest.Wait()
			if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
				t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
			}
			got := map[string]bool{}
			for _, s := range records.take() { // In the order of their shards.
				got[s] = true
			}
			for _, want := range tt.said {
				if !got[want] {
					t.Errorf("%s: nobody said %q", tt.name, want)
				}
			}
			if len(got) != len(tt.said) {
				t.Errorf("%s: said %v", tt.name, got)
			}
		}
		closeEngine(t, e)
		if d.opened != 1 || d.closed != 1 {
			t.Errorf("the door was opened %d times and closed %d times", d.opened, d.closed)
		}
		_, err := d.in.Call(ctx, doorCaller, askedAt, hello, connector.Delivery{})
		for _, err := range []error{send(probeAt("p"), hello)(), route("test/words", "k", hello)(), err} {
			if !errors.Is(err, connector.ErrClosing) {
				t.Errorf("after Close: %v", err)
			}
		}
	})
}

// Above the high-water mark doors are refused and callers wait; what is inside goes on, and lets them in.
func TestNoCredit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &door{}
		failing := true
		e := open(t, engine.Config{QueueBytesMax: 100}, bind(func(b *engine.Binder) {
			b.Door(d)
			engine.RouteKey(b, words, Do)
		}), probeModule(stateless(func(*engine.Context, string) error {
			if failing {
				return errTest
			}
			return nil
		}), engine.Retries(0)))
		run(t, e)
		submit(t, e, "p", "stuck", "p", "behind it") // More than a hundred bytes.
		m := encoded(t, "more")
		if err := d.in.Send(t.Context(), Do.To("q").Address(), m, connector.Delivery{}); !errors.Is(err, connector.ErrNoCredit) {
			t.Errorf("Send: %v", err)
		}
		if err := d.in.Route(t.Context(), "test/words", connector.Event{Key: []byte("q"), Value: m.Value}, connector.Delivery{}); !errors.Is(err, connector.ErrNoCredit) {
			t.Errorf("Route: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := Do.To("q").Submit(ctx, e, "more"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Submit: %v", err)
		}
		done := make(chan error, 2)
		go func() { done <- Do.To("q").Submit(t.Context(), e, "more") }()
		synctest.Wait()
		if len(done) != 0 {
			t.Error("Submit did not wait for credit")
		}
		failing = false
		resume(t, e, "p")
		if err := <-done; err != nil {
			t.Errorf("Submit: %v", err)
		}
		synctest.Wait()
		if s := e.Stats(); s.Invocations() != 3 || s.QueuedBytes != 0 || s.IngressStalls < 2 || s.QueuedBytesMax != 100 {
			t.Errorf("stats %+v", s)
		}

		// Whoever waits for credit when the engine closes is told.
		failing = true
		submit(t, e, "p", "stuck", "p", "behind it")
		go func() { done <- Do.To("q").Submit(t.Context(), e, "more") }()
		synctest.Wait()
		closeEngine(t, e)
		if err := <-done; !errors.Is(err, engine.ErrClosing) {
			t.Errorf("Submit while the engine closes: %v", err)
		}
	})
}

// When a shard's inbox is full, doors are refused and callers wait for room.
func TestInboxFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &door{}
		release := make(chan bool)
		e := open(t, engine.Config{Shards: 1, InboxSlots: 1}, bind(func(b *engine.Binder) { b.Door(d) }),
			probeModule(stateless(func(*engine.Context, string) error { <-release; return nil })))
		run(t, e)
		submit(t, e, "p", "busy", "p", "in the inbox")
		if err := d.in.Send(t.Context(), Do.To("p").Address(), encoded(t, "more"), connector.Delivery{}); !errors.Is(err, connector.ErrNoCredit) {
			t.Errorf("Send: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := Do.To("p").Submit(ctx, e, "more"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Submit: %v", err)
		}
		done := make(chan error)
		go func() { done <- Do.To("p").Submit(t.Context(), e, "more") }()
		synctest.Wait()
		close(release)
		if err := <-done; err != nil {
			t.Errorf("Submit: %v", err)
		}
		synctest.Wait()
		if s := e.Stats(); s.Invocations() != 3 || s.QueuedBytes != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}

// What callers do wrong is told to them, by name.
func TestSubmitAndAskFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := open(t, engine.Config{PayloadBytesMax: 60}, probeModule(sayAll), echoes)
		ctx := t.Context()
		done, cancel := context.WithCancel(ctx)
		cancel()
		long := strings.Repeat("x", 60)
		ask := func(ctx context.Context, id, question string) error {
			_, err := Ask.Ask(ctx, e, id, question)
			return err
		}
		tests := []struct {
			name string
			err  error
			want error
		}{
			{"submit to nobody", toAbsent.To("x").Submit(ctx, e, ""), engine.ErrNoFunction},
			{"submit without id", Do.To("").Submit(ctx, e, ""), engine.ErrMalformed},
			{"submit too much", Do.To("p").Submit(ctx, e, long), engine.ErrLimit},
			{"submit what cannot be encoded", Opaque.To("p").Submit(ctx, e, ""), errTest},
			{"submit too late", Do.To("p").Submit(done, e, ""), context.Canceled},
			{"ask without id", ask(ctx, "", "hello"), engine.ErrMalformed},
			{"ask too much", ask(ctx, "a", long), engine.ErrLimit},
			{"ask too late", ask(done, "a", "hello"), context.Canceled},
			{"resume nobody", e.Resume(ctx, toAbsent.To("x").Address()), engine.ErrNoFunction},
			{"resume without id", e.Resume(ctx, Do.To("").Address()), engine.ErrMalformed},
			{"resume what is not there", e.Resume(ctx, Do.To("p").Address()), nil},
			{"checkpoint too late", e.Checkpoint(done), context.Canceled},
		}
		synctest.Wait()
		for _, tt := range tests {
			if !errors.Is(tt.err, tt.want) || (tt.err == nil) != (tt.want == nil) {
				t.Errorf("%s: %v, want %v", tt.name, tt.err, tt.want)
			}
		}
		if s := e.Stats(); s.Invocations() != 0 || s.QueuedBytes != 0 || sum(e, func(s engine.ShardStats) int64 { return s.Instances }) != 0 {
			t.Errorf("something was let in: %+v", s)
		}
	})
}

// An answer that comes when nobody waits any more is dropped and counted, one of another type is an error.
func TestLateAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var caller engine.Address
		e := open(t, engine.Config{}, askedModule(func(ctx *engine.Context, question string) (string, error) {
			switch question {
			case "wait":
				caller, _ = ctx.Caller()
				return "", engine.ErrPending
			case "odd":
				to, _ := ctx.Caller()
				ctx.Send(to, engine.TypedValue{Typename: "test/odd"})
				return "", engine.ErrPending
			}
			ctx.Send(caller, engine.TypedValue{Typename: engine.String.Typename()})
			return "", nil
		}))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := Ask.Ask(ctx, e, "a", "wait"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Ask: %v", err)
		}
		for want := range int64(3) {
			if n := e.Stats().RepliesDropped; n != want {
				t.Errorf("%d replies were dropped, want %d", n, want)
			}
			if _, err := Ask.Ask(t.Context(), e, "a", "answer now"); err != nil {
				t.Errorf("Ask: %v", err)
			}
			caller.ID += "0" // And one that there never was.
			synctest.Wait()
		}
		if _, err := Ask.Ask(t.Context(), e, "a", "odd"); !errors.Is(err, engine.ErrUndecodable) || !strings.Contains(err.Error(), "test/odd") {
			t.Errorf("Ask: %v", err)
		}
	})
}

// A door that does not open fails Run, and the engine can be closed. Doors behind it stay shut.
func TestDoorFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		doors := []*door{{}, {err: errTest}, {}}
		source := ended("a")
		e := open(t, engine.Config{}, probeModule(sayAll), bind(func(b *engine.Binder) {
			for _, d := range doors {
				b.Door(d)
			}
			engine.Connect(b, words, source)
			engine.RouteKey(b, words, Do)
		}))
		if err := e.Run(t.Context()); !errors.Is(err, errTest) || !strings.Contains(err.Error(), "door 2") {
			t.Errorf("Run: %v", err)
		}
		closeEngine(t, e)
		for i, want := range []int{1, 1, 0} {
			if d := doors[i]; d.opened != want || d.closed != want {
				t.Errorf("door %d was opened %d times and closed %d times", i+1, d.opened, d.closed)
			}
		}
		if source.opened != 0 {
			t.Error("the source was opened")
		}
	})
}
