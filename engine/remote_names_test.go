// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/remote"
	"github.com/millrace-io/millrace/engine/statefun"
)

// Types that turn up are bounded: whoever can send can make them up.
func TestRemoteTypesMax(t *testing.T) {
	const most = 256
	d := &door{}
	e := open(t, engine.Config{Shards: 1, EpochInterval: engine.EpochsOff}, serve("many/*", server(func(*remote.Request, remote.Message) {}), remote.Policy{}), bind(func(b *engine.Binder) { b.Door(d) }))
	run(t, e)
	send := func(n int) error {
		to := engine.Address{Type: statefun.FunctionType{Namespace: "many", Name: fmt.Sprint("t", n)}, ID: "x"}
		return d.in.Send(context.Background(), to, encoded(t, "hi"), connector.Delivery{})
	}
	for n := range most {
		if err := send(n); err != nil {
			t.Fatalf("type %d: %v", n, err)
		}
	}
	if err := send(most); !errors.Is(err, connector.ErrNoCredit) {
		t.Errorf("one type more: %v", err)
	}
	if err := send(most - 1); err != nil {
		t.Errorf("a type that is known: %v", err)
	}
	closeEngine(t, e)
	if n := len(e.Stats().Functions); n != most || e.Stats().Invocations() != most+1 {
		t.Errorf("%d types, %d invocations", n, e.Stats().Invocations())
	}
}

// Ids, names and typenames are text elsewhere: what is none is refused where it is sent, the sender's own id
// included.
func TestRemoteText(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var records recorder
		log := &failureLog{}
		d := &door{}
		e := open(t, engine.Config{EpochInterval: engine.EpochsOff, Logger: slog.New(log)}, serve("far/*", server(echo), remote.Policy{}), deliver(records.sink()),
			probeModule(stateless(func(ctx *engine.Context, w string) error {
				binary := farTell.To("\xff")
				switch w {
				case "typed":
					binary.Send(ctx, w)
				case "same":
					farTell.Same().Send(ctx, w)
				case "later":
					binary.SendAfter(ctx, time.Second, w)
				case "address":
					ctx.Send(binary.Address(), encoded(t, w))
				case "typename":
					ctx.Send(farTell.To("x").Address(), engine.TypedValue{Typename: "far/\xff"})
				case "from":
					farTell.To("x").Send(ctx, w)
				case "address from":
					ctx.Send(farTell.To("x").Address(), encoded(t, w))
				case "later from":
					ctx.SendAfter(time.Second, farTell.To("x").Address(), encoded(t, w))
				}
				return nil
			}), engine.Retries(0)),
			bind(func(b *engine.Binder) {
				b.Door(d)
				engine.RouteKey(b, words, farTell)
			}))
		run(t, e)
		for id, cases := range map[string][]string{
			"p": {"typed", "later", "address", "typename"}, "\xff": {"same", "from", "address from", "later from"},
		} {
			for _, w := range cases {
				submit(t, e, id, w)
				if f := log.take(); len(f) != 1 || !errors.Is(f[0].err, engine.ErrMalformed) || !f[0].suspended {
					t.Errorf("%s: %v", w, f)
				}
				if err := e.Skip(t.Context(), engine.Address{Type: probeFunction.Type(), ID: id}); err != nil {
					t.Error(err)
				}
				synctest.Wait()
			}
		}
		ctx, value := t.Context(), encoded(t, "w")
		if err := farTell.To("\xff").Submit(ctx, e, "w"); !errors.Is(err, engine.ErrMalformed) {
			t.Errorf("Submit: %v", err)
		}
		far := func(name, id string) engine.Address {
			return engine.Address{Type: statefun.FunctionType{Namespace: "far", Name: name}, ID: id}
		}
		for what, err := range map[string]error{
			"an id":       d.in.Send(ctx, far("echo", "\xff"), value, connector.Delivery{}),
			"a typename":  d.in.Send(ctx, far("echo", "x"), engine.TypedValue{Typename: "far/\xff"}, connector.Delivery{}),
			"no typename": d.in.Send(ctx, far("echo", "x"), engine.TypedValue{}, connector.Delivery{}),
			"an event":    d.in.Route(ctx, "test/words", connector.Event{Key: []byte("\xff"), Value: value.Value}, connector.Delivery{}),
		} {
			if !errors.Is(err, connector.ErrMalformed) {
				t.Errorf("%s: %v", what, err)
			}
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		wantItems(t, &records.list)
		if n := functionStats(t, e, "far/echo").In; n != 0 {
			t.Errorf("%d messages came through", n)
		}
	})
}
