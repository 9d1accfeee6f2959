// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/connector"
)

// heldSink takes records and is done with them when the test says so.
type heldSink struct {
	taken list[func(error)]
	// stuck has Publish wait until the sink is closed.
	stuck  bool
	closed chan struct{}
}

func (*heldSink) Open(context.Context) error { return nil }

func (s *heldSink) Publish(_ connector.Record, done func(error)) {
	if s.stuck {
		<-s.closed
		done(errTest)
		return
	}
	s.taken.add(done)
}

func (s *heldSink) Close(context.Context) error {
	for _, done := range s.taken.take() {
		done(errTest)
	}
	close(s.closed)
	return nil
}

// sayTwice is a probe that says everything twice: two records in one batch.
var sayTwice = stateless(func(ctx *engine.Context, word string) error {
	said.Send(ctx, word)
	said.Send(ctx, word)
	return nil
})

// Records count as queued until the sink is done with the last of their batch, and not a byte longer. Those
// who wait for credit meanwhile are let in then, also when nothing else happens.
func TestRecordsCount(t *testing.T) {
	for name, interval := range map[string]time.Duration{"epochs": 24 * time.Hour, "no epochs": engine.EpochsOff} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sink := &heldSink{closed: make(chan struct{})}
				e := open(t, engine.Config{Shards: 1, QueueBytesMax: 100, EpochInterval: interval}, probeModule(sayTwice), deliver(sink))
				submit(t, e, "p", "a")
				checkpoint(t, e)
				queued := e.Stats().QueuedBytes
				if queued <= 100 {
					t.Fatalf("two records count %d bytes", queued)
				}
				let := make(chan error, 1)
				go func() { let <- Do.To("p").Submit(t.Context(), e, "b") }()
				dones := sink.taken.take()
				if len(dones) != 2 {
					t.Fatalf("%d records", len(dones))
				}
				dones[0](nil)
				synctest.Wait()
				if got := e.Stats().QueuedBytes; got != queued || len(let) != 0 {
					t.Errorf("%d bytes count when one of two records is done, %d were let in; want %d, 0", got, len(let), queued)
				}
				dones[1](errTest)
				synctest.Wait()
				if len(let) != 1 {
					t.Fatal("nobody was let in")
				}
				if err := <-let; err != nil {
					t.Error(err)
				}
				checkpoint(t, e)
				for _, done := range sink.taken.take() {
					done(nil)
				}
				synctest.Wait()
				s := e.Stats()
				if s.QueuedBytes != 0 || s.Egress[0].Delivered != 3 || s.Egress[0].Dropped != 1 {
					t.Errorf("in the end %d bytes count; %+v", s.QueuedBytes, s.Egress)
				}
			})
		})
	}
}

// What waits in a sink does not keep Run: the functions have done their part.
func TestRunDoesNotWaitForSinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &heldSink{closed: make(chan struct{})}
		e := open(t, engine.Config{EpochInterval: engine.EpochsOff}, probeModule(sayTwice), deliver(sink), bind(func(b *engine.Binder) {
			engine.Connect(b, words, ended("a", "b"))
			engine.RouteKey(b, words, Do)
		}))
		if err := e.Run(t.Context()); err != nil {
			t.Error(err)
		}
		if e.Stats().QueuedBytes == 0 {
			t.Error("the records do not count, although the sink is not done")
		}
		closeEngine(t, e)
		if s := e.Stats(); s.QueuedBytes != 0 || s.Egress[0].Dropped != 4 {
			t.Errorf("%d bytes count; %+v", s.QueuedBytes, s.Egress)
		}
	})
}

// A sink that is stuck holds Close until its context is done; then the sink is closed, and all is over.
func TestCloseWithStuckSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &heldSink{stuck: true, closed: make(chan struct{})}
		e := open(t, engine.Config{}, probeModule(sayTwice), deliver(sink))
		submit(t, e, "p", "a", "q", "b")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		if err := e.Close(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close: %v", err)
		}
		if d := time.Since(start); d != time.Minute {
			t.Errorf("Close took %v", d)
		}
		if s := e.Stats().Egress[0]; s.Dropped != 4 {
			t.Errorf("%+v; want 4 records dropped", s)
		}
	})
}
