// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/remote"
	"github.com/millrace-io/millrace/engine/statefun"
)

// far is a function that runs elsewhere, as Go code of this process sends to it: it is declared, and no
// module binds it.
type far interface {
	Tell(*engine.Context, string) error
	Count(*engine.Context, uint64) error
	Ask(*engine.Context, string) (string, error)
}

var (
	farFunction = engine.Define[far]("far/echo")
	farTell     = engine.Accept(farFunction, engine.String, far.Tell)
	farCount    = engine.Accept(farFunction, engine.Flat[uint64]("far/count"), far.Count)
	farAsk      = engine.Answer(farFunction, engine.NewType("far/question", engine.String.Append, engine.String.Decode), engine.String, far.Ask)
)

// echo answers who has sent a message, and says the others.
func echo(r *remote.Request, m remote.Message) {
	text := fmt.Sprintf("%s/%s got %s %q", r.Target.Name, r.ID, m.Typename, m.Value)
	if m.Caller == (statefun.FunctionType{}) {
		say(r, text)
		return
	}
	sendTo(r, m.Caller, m.CallerID, text+" from "+m.Caller.String())
}

// Functions elsewhere are sent to and asked from Go and from doors like any others.
func TestRemoteEntry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var records recorder
		d := &door{}
		e := open(t, engine.Config{EpochInterval: engine.EpochsOff}, serve("far/*", server(echo), remote.Policy{}), deliver(records.sink()), bind(func(b *engine.Binder) {
			b.Door(d)
			engine.RouteKey(b, words, farTell)
		}))
		run(t, e)
		ctx := t.Context()
		submitted := func(err error) {
			t.Helper()
			if err != nil {
				t.Error(err)
			}
			synctest.Wait()
		}
		submitted(farTell.To("a").Submit(ctx, e, "hi"))
		submitted(farCount.To("a").Submit(ctx, e, 7))
		submitted(d.in.Send(ctx, engine.Address{Type: statefun.FunctionType{Namespace: "far", Name: "other"}, ID: "ä/b"}, engine.TypedValue{Typename: "any/thing", Value: []byte("x")}, connector.Delivery{}))
		submitted(d.in.Route(ctx, "test/words", connector.Event{Key: []byte("k"), Value: encoded(t, "w").Value}, connector.Delivery{}))
		wantItems(t, &records.list,
			`echo/a got io.statefun.types/string "\n\x02hi"`, `echo/a got far/count "\a\x00\x00\x00\x00\x00\x00\x00"`,
			`other/ä/b got any/thing "x"`, `echo/k got io.statefun.types/string "\n\x01w"`)

		answer, err := d.in.Call(ctx, doorCaller, engine.Address{Type: statefun.FunctionType{Namespace: "far", Name: "new"}, ID: "a"}, encoded(t, "hi"), connector.Delivery{})
		want := encoded(t, `new/a got io.statefun.types/string "\n\x02hi" from test/door`)
		if err != nil || answer.Typename != want.Typename || string(answer.Value) != string(want.Value) {
			t.Errorf("call: %q, %v", answer, err)
		}
		text, err := farAsk.Ask(ctx, e, "b", "why")
		if want := `echo/b got far/question "\n\x03why" from io.millrace.engine/caller`; err != nil || text != want {
			t.Errorf("ask: %q, %v; want %q", text, err, want)
		}

		synctest.Wait()
		stats := functionStats(t, e, "far/echo")
		if !stats.Remote || stats.In != 4 || stats.OutEgress != 3 || stats.OutRemote != 1 || stats.InFlight != 0 || stats.Backlog != 0 {
			t.Errorf("%+v", stats)
		}
	})
}

// Functions here and elsewhere send to each other: typed by Go types here, by typenames there; at once and
// later; and questions are answered both ways.
func TestRemoteBothWays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var records recorder
		probe := stateless(func(ctx *engine.Context, w string) error {
			switch w {
			case "tell":
				farTell.To("x").Send(ctx, "one")
				farTell.Same().Send(ctx, "two")
				farCount.To("x").SendAfter(ctx, time.Second, 3)
				ctx.Send(farTell.To("x").Address(), encoded(t, "four"))
				ctx.SendAfter(2*time.Second, farTell.To("x").Address(), encoded(t, "five"))
			case "ask":
				farAsk.To("x").Send(ctx, "six")
			default:
				caller, _ := ctx.Caller()
				said.Send(ctx, fmt.Sprintf("%s: %s by %v", ctx.Self().ID, w, caller))
			}
			return nil
		})
		server := server(func(r *remote.Request, m remote.Message) {
			switch {
			case word(m) == "relay": // To a question of this process, as a caller.
				sendTo(r, askedFunction.Type(), []byte("q"), "what")
			case m.Caller == askedFunction.Type():
				say(r, fmt.Sprintf("%s is answered %s", r.ID, word(m)))
			default:
				echo(r, m)
			}
		})
		e := open(t, engine.Config{EpochInterval: engine.EpochsOff, Shards: 1}, serve("far/*", server, remote.Policy{}), deliver(records.sink()), probeModule(probe), echoes)
		submit(t, e, "p", "tell")
		got := slices.Sorted(slices.Values(records.take())) // Requests for two addresses are in no order.
		records.add(got...)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		wantItems(t, &records.list,
			`p: echo/p got io.statefun.types/string "\n\x03two" from test/probe by far/echo/p`,
			`p: echo/x got io.statefun.types/string "\n\x03one" from test/probe by far/echo/x`,
			`p: echo/x got io.statefun.types/string "\n\x04four" from test/probe by far/echo/x`,
			`p: echo/x got far/count "\x03\x00\x00\x00\x00\x00\x00\x00" from test/probe by far/echo/x`,
			`p: echo/x got io.statefun.types/string "\n\x04five" from test/probe by far/echo/x`)
		submit(t, e, "p", "ask")
		wantItems(t, &records.list, `p: echo/x got far/question "\n\x03six" from test/probe by far/echo/x`)
		if err := farTell.To("y").Submit(t.Context(), e, "relay"); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		wantItems(t, &records.list, `y is answered what from far/echo`)
	})
}

// Nobody serves what no endpoint names: whoever sends there is told, as of any function type.
func TestRemoteUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &failureLog{}
		d := &door{}
		e := open(t, engine.Config{Logger: slog.New(log)}, serve("elsewhere/*", server(echo), remote.Policy{}),
			probeModule(stateless(func(ctx *engine.Context, w string) error {
				farTell.To("x").Send(ctx, w)
				return nil
			}), engine.Retries(0)), bind(func(b *engine.Binder) { b.Door(d) }))
		run(t, e)
		submit(t, e, "p", "hi")
		if f := log.take(); len(f) != 1 || !errors.Is(f[0].err, engine.ErrNoFunction) {
			t.Errorf("a function that sends there: %v", f)
		}
		if err := farTell.To("x").Submit(t.Context(), e, "hi"); !errors.Is(err, engine.ErrNoFunction) {
			t.Errorf("Submit: %v", err)
		}
		if err := d.in.Send(t.Context(), farTell.To("x").Address(), encoded(t, "hi"), connector.Delivery{}); !errors.Is(err, connector.ErrUnknownFunction) {
			t.Errorf("Send: %v", err)
		}
		if err := e.Resume(t.Context(), farTell.To("x").Address()); !errors.Is(err, engine.ErrNoFunction) {
			t.Errorf("Resume: %v", err)
		}
	})
}

// An exact endpoint, an embedded function and the endpoint of their namespace: each has its own.
func TestRemoteWildcard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var records recorder
		by := func(who string) *served {
			return server(func(r *remote.Request, m remote.Message) { say(r, r.Target.Name+" by "+who) })
		}
		d := &door{}
		e := open(t, engine.Config{EpochInterval: engine.EpochsOff}, serve("test/*", by("all"), remote.Policy{}), serve("test/exact", by("exact"), remote.Policy{}),
			probeModule(sayAll), deliver(records.sink()), bind(func(b *engine.Binder) {
				b.Door(d)
				b.Require(absentFunction, farFunction)
			}), serve("far/*", by("far"), remote.Policy{}))
		run(t, e)
		for _, name := range []string{"exact", "probe", "absent", "exactly", "any"} {
			to := engine.Address{Type: statefun.FunctionType{Namespace: "test", Name: name}, ID: "x"}
			if err := d.in.Send(t.Context(), to, encoded(t, "hi"), connector.Delivery{}); err != nil {
				t.Error(err)
			}
			synctest.Wait()
		}
		wantItems(t, &records.list, "exact by exact", "x:hi", "absent by all", "exactly by all", "any by all")
		if err := d.in.Send(t.Context(), engine.Address{Type: doorCaller, ID: "x"}, encoded(t, "hi"), connector.Delivery{}); !errors.Is(err, connector.ErrUnknownFunction) {
			t.Errorf("callers, whose type is in the namespace: %v", err)
		}
	})
}
