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
	"github.com/millrace-io/millrace/engine/remote"
	"github.com/millrace-io/millrace/engine/statefun"
)

// What an ingress routes to a function that hangs takes no more of the credit than what is sent there.
func TestRemoteHungLeavesCreditWhenRouted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hung{}
		d := &door{}
		var records recorder
		e := open(t, engine.Config{QueueBytesMax: 100_000, EpochInterval: engine.EpochsOff, Shards: 1}, serve("far/echo", h, remote.Policy{InFlightMax: 2}),
			serve("fine/*", server(echo), remote.Policy{}), deliver(records.sink()), bind(func(b *engine.Binder) {
				b.Door(d)
				engine.RouteKey(b, words, farTell)
			}))
		run(t, e)
		refused := 0
		for n := range 3000 {
			err := d.in.Route(t.Context(), "test/words", connector.Event{Key: fmt.Append(nil, n%10), Value: encoded(t, strings.Repeat("x", 100)).Value}, connector.Delivery{})
			if errors.Is(err, connector.ErrNoCredit) {
				refused++
			}
			synctest.Wait()
		}
		to := engine.Address{Type: statefun.FunctionType{Namespace: "fine", Name: "f"}, ID: "a"}
		if err := d.in.Send(t.Context(), to, encoded(t, "hi"), connector.Delivery{}); err != nil || refused == 0 {
			t.Errorf("another function: %v, after %d were refused", err, refused)
		}
		h.heal(func(r *remote.Request) { r.Done(nil) })
		synctest.Wait()
	})
}

// Close commits what has come to its end, though a function elsewhere hangs until the time is over.
func TestRemoteHungAtCloseLosesNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hung{}
		var records recorder
		e := open(t, engine.Config{}, serve("far/echo", h, remote.Policy{}), probeModule(sayAll), deliver(records.sink()))
		if err := farTell.To("a").Submit(t.Context(), e, "x"); err != nil {
			t.Fatal(err)
		}
		if err := Do.To("b").Submit(t.Context(), e, "hello"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := e.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close: %v", err)
		}
		wantItems(t, &records.list, "b:hello")
		h.heal(func(r *remote.Request) { r.Done(nil) })
		synctest.Wait()
	})
}
