// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/remote"
	"github.com/millrace-io/millrace/engine/statefun"
)

// What waits for a function that hangs takes as much credit as is left, not all: another function and its
// callers go on, and those of the one that hangs are told.
func TestRemoteHungLeavesCredit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const mark = 100_000
		h := &hung{}
		var records recorder
		d := &door{}
		e := open(t, engine.Config{QueueBytesMax: mark, EpochInterval: engine.EpochsOff, Shards: 1}, serve("far/echo", h, remote.Policy{InFlightMax: 2}),
			serve("fine/*", server(echo), remote.Policy{}), deliver(records.sink()), bind(func(b *engine.Binder) { b.Door(d) }))
		run(t, e)
		ctx := t.Context()
		refused := 0
		for n := range 3000 {
			err := d.in.Send(ctx, farTell.To(fmt.Sprint(n%10)).Address(), encoded(t, strings.Repeat("x", 100)), connector.Delivery{})
			if errors.Is(err, connector.ErrNoCredit) {
				refused++
			} else if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if n%100 == 0 {
				if err := d.in.Send(ctx, engine.Address{Type: statefun.FunctionType{Namespace: "fine", Name: "f"}, ID: "a"}, encoded(t, "hi"), connector.Delivery{}); err != nil {
					t.Fatalf("another function after %d messages: %v", n, err)
				}
			}
		}
		synctest.Wait()
		if got := len(records.take()); got != 30 {
			t.Errorf("the other function has run %d times; want 30", got)
		}
		stats := functionStats(t, e, "far/echo")
		if stats.BacklogBytes < mark/3 || stats.BacklogBytes > mark*2/3 || stats.InFlight != 2 || h.requests() != 2 || refused == 0 {
			t.Errorf("%d refused; %+v", refused, stats)
		}
		if err := farTell.To("1").Submit(ctx, e, "x"); !errors.Is(err, connector.ErrNoCredit) {
			t.Errorf("Submit: %v", err)
		}
		if _, err := d.in.Call(ctx, doorCaller, farTell.To("1").Address(), encoded(t, "x"), connector.Delivery{}); !errors.Is(err, connector.ErrNoCredit) {
			t.Errorf("Call: %v", err)
		}
		h.heal(func(r *remote.Request) { r.Done(nil) })
		synctest.Wait()
		if err := farTell.To("1").Submit(ctx, e, "x"); err != nil {
			t.Errorf("Submit when it does not hang any more: %v", err)
		}
		synctest.Wait()
		if stats := functionStats(t, e, "far/echo"); int(stats.In) != 3000-refused+1 || stats.Backlog != 0 || stats.BacklogBytes != 0 || e.Stats().QueuedBytes != 0 {
			t.Errorf("%+v, %d bytes are queued", stats, e.Stats().QueuedBytes)
		}
	})
}

// Close gives up what hangs when its time is over, and says so. What was lent to the invoker stays readable,
// and what comes back later is of no consequence.
func TestRemoteHungAtClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hung{}
		e := open(t, engine.Config{}, serve("far/echo", h, remote.Policy{}))
		for n := range 10 {
			if err := farTell.To(fmt.Sprint("an-id-of-more-than-sixteen-bytes-", n)).Submit(t.Context(), e, strings.Repeat("x", 1000)); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := e.Close(ctx); !errors.Is(err, context.DeadlineExceeded) || h.requests() != 10 {
			t.Errorf("Close with %d requests: %v", h.requests(), err)
		}
		seen := make(chan string, 10)
		h.heal(func(r *remote.Request) {
			text := string(r.ID) + " " + word(r.Messages[0])
			sendTo(r, r.Target, r.ID, "too late")
			r.Done(nil)
			seen <- text
		})
		for range 10 {
			if text := <-seen; !strings.HasPrefix(text, "an-id-of-more-than-sixteen-bytes-") || !strings.HasSuffix(text, strings.Repeat("x", 1000)) {
				t.Errorf("a request reads %q", text)
			}
		}
	})
}

// Close waits for functions elsewhere as for those of this process: all that comes of what is inside runs to
// its end, is committed and delivered, and each invoker is closed once.
func TestRemoteClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var records recorder
		failures := 0
		s := &counted{served: served{f: func(r *remote.Request) error {
			if failures++; failures%3 != 0 {
				return &remote.Error{Reason: remote.Unreachable}
			}
			for _, m := range r.Messages {
				say(r, word(m))
				if w := word(m); len(w) < 5 {
					sendTo(r, r.Target, []byte(w), w+"x")
				}
			}
			time.Sleep(time.Second)
			return nil
		}}}
		e := open(t, engine.Config{}, serve("far/echo", s, remote.Policy{}), serve("near/*", s, remote.Policy{}), deliver(records.sink()))
		if err := farTell.To("a").Submit(t.Context(), e, "x"); err != nil {
			t.Fatal(err)
		}
		closeEngine(t, e)
		wantItems(t, &records.list, "x", "xx", "xxx", "xxxx", "xxxxx")
		if s.opened != 1 || s.closed != 1 {
			t.Errorf("the invoker was opened %d times and closed %d times", s.opened, s.closed)
		}
	})
}

// counted is an invoker that counts how often it is opened and closed.
type counted struct {
	served
	opened, closed int
	err            error
}

func (c *counted) Open(context.Context) error { c.opened++; return c.err }

func (c *counted) Close(ctx context.Context) error {
	c.closed++
	return c.served.Close(ctx)
}

// An invoker that does not open keeps the engine from opening; those that are open are closed again.
func TestRemoteOpenFails(t *testing.T) {
	first, second, third := &counted{}, &counted{err: errTest}, &counted{}
	_, err := engine.Open(t.Context(), engine.Config{Logger: slog.New(slog.DiscardHandler)},
		serve("a/*", first, remote.Policy{}), serve("b/*", second, remote.Policy{}), serve("c/*", third, remote.Policy{}))
	if !errors.Is(err, errTest) {
		t.Errorf("Open: %v", err)
	}
	if first.closed != 1 || third.opened != 0 || third.closed != 0 {
		t.Errorf("%+v, %+v", first.closed, third)
	}
}
