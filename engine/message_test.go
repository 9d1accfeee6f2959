// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/engine"
)

// An instance knows itself and who calls; an address and a Ref are two forms of the same thing.
func TestAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var records recorder
		e := open(t, engine.Config{EpochInterval: engine.EpochsOff}, deliver(records.sink()),
			askedModule(func(*engine.Context, string) (string, error) { return "", nil }),
			probeModule(stateless(func(ctx *engine.Context, word string) error {
				caller, ok := ctx.Caller()
				said.Send(ctx, fmt.Sprint(word, " to ", ctx.Self(), " from ", caller, " ", ok))
				raw := engine.TypedValue{Typename: "test/raw", Value: []byte("raw")}
				switch word {
				case "refs":
					ref, err := engine.RefOf(Do, engine.Address{Type: probeFunction.Type(), ID: "of an address"})
					if err != nil {
						return err
					}
					ref.Send(ctx, "a")
					Do.To(ref.Address().ID).Send(ctx, "b")
				case "same":
					Do.Same().Send(ctx, "again")
				case "untyped":
					ctx.Send(engine.Address{Type: askedFunction.Type(), ID: "x"}, raw)
					ctx.SendAfter(time.Second, engine.Address{Type: askedFunction.Type(), ID: "later"}, raw)
					hello, err := engine.String.Append(nil, "hello")
					if err != nil {
						return err
					}
					ctx.Send(ctx.Self(), engine.TypedValue{Typename: engine.String.Typename(), Value: hello})
				}
				return nil
			})))
		submit(t, e, "p", "refs")
		wantItems(t, &records.list,
			"refs to test/probe/p from // false", "a to test/probe/of an address from test/probe/p true", "b to test/probe/of an address from test/probe/p true")
		submit(t, e, "a longer id than sixteen bytes", "same")
		wantItems(t, &records.list, "same to test/probe/a longer id than sixteen bytes from // false",
			"again to test/probe/a longer id than sixteen bytes from test/probe/a longer id than sixteen bytes true")
		submit(t, e, "p", "untyped")
		time.Sleep(time.Second)
		synctest.Wait()
		got := records.take()
		want := map[string]bool{
			"untyped to test/probe/p from // false": true, "hello to test/probe/p from test/probe/p true": true,
			"x:test/raw 3": true, "later:test/raw 3": true,
		}
		for _, s := range got { // Their order is that of shards.
			if !want[s] {
				t.Errorf("said %q", s)
			}
			delete(want, s)
		}
		if len(want) != 0 || got[len(got)-1] != "later:test/raw 3" {
			t.Errorf("said %q, and not %v", got, want)
		}
	})
	for _, a := range []engine.Address{{}, {Type: absentFunction.Type(), ID: "x"}, {Type: probeFunction.Type()}} {
		if _, err := engine.RefOf(Do, a); !errors.Is(err, engine.ErrMalformed) {
			t.Errorf("RefOf(%v): %v", a, err)
		}
	}
	if a := (engine.Ref[string]{}).Address(); a != (engine.Address{}) {
		t.Errorf("the zero Ref is %v", a)
	}
}

// A question can be answered at once, or later: by another message of the same caller, or to its address.
func TestAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var records recorder
		var waiting engine.Address // One probe asks at a time.
		ask := func(ctx *engine.Context, question string) (string, error) {
			switch question {
			case "wait":
				waiting, _ = ctx.Caller()
				return "", engine.ErrPending
			case "nudge": // This message and the first are answered.
				Ask.Reply(ctx, "at last")
			case "release":
				value, err := engine.String.Append(nil, "released")
				ctx.Send(waiting, engine.TypedValue{Typename: engine.String.Typename(), Value: value})
				return "done", err
			}
			return question + "!", nil
		}
		e := open(t, engine.Config{EpochInterval: engine.EpochsOff}, deliver(records.sink()), askedModule(ask),
			probeModule(stateless(func(ctx *engine.Context, word string) error {
				if caller, ok := ctx.Caller(); ok { // An answer.
					said.Send(ctx, caller.ID+":"+word)
					return nil
				}
				Ask.To("a").Send(ctx, word)
				return nil
			})))
		for _, question := range []string{"hello", "wait", "nudge"} {
			submit(t, e, "p", question)
		}
		wantItems(t, &records.list, "a:hello!", "a:at last", "a:nudge!")

		answers := make(chan string)
		go func() {
			answer, err := Ask.Ask(t.Context(), e, "a", "wait")
			answers <- fmt.Sprint(answer, err)
		}()
		synctest.Wait()
		if got, err := Ask.Ask(t.Context(), e, "a", "release"); got != "done" || err != nil {
			t.Errorf("Ask: %q, %v", got, err)
		}
		if got := <-answers; got != "released<nil>" {
			t.Errorf("the pending Ask: %s", got)
		}
		// Callers outside get one answer; what comes after it is dropped, and counted.
		if got, err := Ask.Ask(t.Context(), e, "a", "nudge"); got != "at last" || err != nil {
			t.Errorf("Ask: %q, %v", got, err)
		}
		synctest.Wait()
		if n := e.Stats().RepliesDropped; n != 1 {
			t.Errorf("%d replies were dropped", n)
		}
	})
}

// Delayed messages come when they are due, in order, unless they are cancelled by an invocation that
// takes effect, of an instance with the id of the sender.
func TestDelayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var records recorder
		tokens := map[string]engine.Token{} // One shard.
		start := time.Now()
		probe := stateless(func(ctx *engine.Context, word string) error {
			var op, name string
			fmt.Sscan(word, &op, &name)
			switch op {
			case "start":
				var d time.Duration
				fmt.Sscan(word, &op, &name, (*int64)(&d))
				tokens[name] = Do.Same().SendAfter(ctx, d*time.Microsecond, name)
			case "cancel":
				said.Send(ctx, fmt.Sprint(op, " ", name, " ", ctx.Cancel(tokens[name])))
			case "undo": // In vain: it fails.
				ctx.Cancel(tokens[name])
				return engine.Permanent(errTest)
			case "change": // One's mind.
				token := Do.To("x").SendAfter(ctx, time.Second, "changed")
				said.Send(ctx, fmt.Sprint(op, " ", ctx.Cancel(token), " ", ctx.Cancel(token)))
			default:
				said.Send(ctx, fmt.Sprint(word, " at ", ctx.Now().Sub(start)))
			}
			return nil
		})
		e := open(t, engine.Config{Shards: 1, EpochInterval: engine.EpochsOff}, probeModule(probe), deliver(records.sink()))
		delayed := func() int64 { return e.Stats().Shards[0].Delayed }

		submit(t, e, "p", "start b 20000", "p", "start a 10000", "p", "start c 20000", "p", "start now 0", "p", "start up 1")
		time.Sleep(20 * time.Millisecond)
		synctest.Wait()
		wantItems(t, &records.list, "now at 0s", "up at 1ms", "a at 10ms", "b at 20ms", "c at 20ms")

		submit(t, e, "p", "start d 5000", "q", "cancel d", "p", "cancel d", "p", "cancel d", "p", "cancel a", "p", "cancel none", "p", "change")
		wantItems(t, &records.list, "cancel d false", "cancel d true", "cancel d false", "cancel a false", "cancel none false", "change true false")
		if n := delayed(); n != 0 {
			t.Errorf("%d messages are delayed", n)
		}
		submit(t, e, "r", "start e 5000", "r", "undo e")
		if n := delayed(); n != 1 {
			t.Errorf("%d messages are delayed after an invocation that failed", n)
		}
		time.Sleep(5 * time.Millisecond)
		synctest.Wait()
		wantItems(t, &records.list) // It waits behind the one that failed.
		if s := e.Stats().Shards[0]; s.Fired != 6 || s.Suspended != 1 || s.Delayed != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}
