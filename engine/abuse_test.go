// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/connector"
)

// What one party does wrong stays with it: it neither suspends another's address, nor takes what others
// need, nor reaches into their memory.

type abused interface {
	Question(*engine.Context, int64) (int64, error)
	Spin(*engine.Context, int32) error
	Relay(*engine.Context, float64) error
	Steal(*engine.Context, bool) error
	Fail(*engine.Context, string) error
}

var (
	abusedFunction = engine.Define[abused]("abuse/function")
	Question       = engine.Answer(abusedFunction, engine.Int64, engine.Int64, abused.Question)
	Spin           = engine.Accept(abusedFunction, engine.Int32, abused.Spin)
	Relay          = engine.Accept(abusedFunction, engine.Float64, abused.Relay)
	Steal          = engine.Accept(abusedFunction, engine.Bool, abused.Steal)
	Fail           = engine.Accept(abusedFunction, engine.String, abused.Fail)
)

type abusedImpl struct {
	count    engine.Value[int64]
	forgot   engine.Value[[31]int64]
	attempts map[string]int
	relay    func(*engine.Context)
}

func (a *abusedImpl) Question(ctx *engine.Context, n int64) (int64, error) {
	*a.count.Edit(ctx) += n
	return a.count.Get(ctx), nil
}

func (a *abusedImpl) Spin(ctx *engine.Context, n int32) error {
	Spin.Same().Send(ctx, n)
	return nil
}

func (a *abusedImpl) Relay(ctx *engine.Context, _ float64) error {
	a.relay(ctx)
	return nil
}

func (a *abusedImpl) Steal(ctx *engine.Context, _ bool) error {
	a.forgot.Set(ctx, [31]int64{1, 2, 3})
	return nil
}

func (a *abusedImpl) Fail(ctx *engine.Context, id string) error {
	if a.attempts[id]++; a.attempts[id] == 1 {
		return errTest
	}
	*a.count.Edit(ctx)++
	return nil
}

// asker asks, and has no input for the answer.
type asker interface {
	Go(*engine.Context, bool) error
}

var (
	askerFunction = engine.Define[asker]("abuse/asker")
	Go            = engine.Accept(askerFunction, engine.Bool, asker.Go)
)

type askerImpl struct{}

func (askerImpl) Go(ctx *engine.Context, _ bool) error {
	Question.To("victim").Send(ctx, 1)
	return nil
}

func abuse(relay func(*engine.Context)) engine.Module {
	return bind(func(b *engine.Binder) {
		engine.Bind(b, abusedFunction, func(s *engine.Schema) abused {
			return &abusedImpl{count: engine.NewValue(s, "count", engine.Int64), attempts: map[string]int{}, relay: relay}
		})
	})
}

func ask(t *testing.T, e *engine.Engine, id string, want int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if got, err := Question.Ask(ctx, e, id, 0); err != nil || got != want {
		t.Errorf("%s answers %d, %v; want %d", id, got, err, want)
	}
}

// A question whose answer nobody takes has its effects and suspends nobody.
func TestAnswerWithoutTaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := open(t, engine.Config{}, abuse(nil), bind(func(b *engine.Binder) {
			engine.Bind(b, askerFunction, func(*engine.Schema) asker { return askerImpl{} })
		}))
		if err := Question.To("victim").Submit(t.Context(), e, 1); err != nil { // From outside: no caller.
			t.Fatal(err)
		}
		if err := Go.To("asker").Submit(t.Context(), e, true); err != nil { // From one that does not take the answer.
			t.Fatal(err)
		}
		synctest.Wait()
		ask(t, e, "victim", 2)
		synctest.Wait()
		if s := e.Stats(); s.Shards[0].Suspended != 0 {
			t.Errorf("%+v", s.Shards)
		}
	})
}

// Who sends what the receiver cannot take is the one who fails.
func TestSenderOfJunkFails(t *testing.T) {
	for name, junk := range map[string]engine.TypedValue{
		"unknown":     {Typename: "nobody/knows"},
		"no name":     {},
		"undecodable": {Typename: "io.statefun.types/long", Value: []byte{0xff}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var failures failureLog
				e := open(t, engine.Config{Logger: slog.New(&failures)}, abuse(func(ctx *engine.Context) {
					ctx.Send(engine.Address{Type: abusedFunction.Type(), ID: "victim"}, junk)
				}))
				if err := Relay.To("culprit").Submit(t.Context(), e, 0); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				ask(t, e, "victim", 0)
				time.Sleep(time.Hour)
				synctest.Wait()
				for _, f := range failures.take() {
					if !strings.HasSuffix(f.address, "/culprit") {
						t.Errorf("%s failed: %v", f.address, f.err)
					}
				}
			})
		})
	}
}

// A shard whose functions send to themselves without end cuts its epochs and takes its peers' messages.
func TestSpinningShardServesItsPeers(t *testing.T) {
	e := open(t, engine.Config{Shards: 2, BatchMax: 4, EpochInterval: time.Hour}, abuse(nil))
	for i := range 100 {
		if err := Spin.To(strings.Repeat("s", i+1)).Submit(t.Context(), e, 0); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for range 3 {
		if err := e.Checkpoint(ctx); err != nil {
			t.Fatal(err)
		}
	}
	ask(t, e, "another", 0)
	now, stop := context.WithCancel(t.Context())
	stop()
	if err := e.Close(now); !errors.Is(err, context.Canceled) {
		t.Errorf("Close: %v, want that messages are still on their way", err)
	}
}

// A state value that was never declared does not write into its neighbours.
func TestUndeclaredValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failures failureLog
		e := open(t, engine.Config{Logger: slog.New(&failures)}, abuse(nil))
		for _, id := range []string{"a", "b", "c"} {
			if err := Question.To(id).Submit(t.Context(), e, 100); err != nil {
				t.Fatal(err)
			}
		}
		if err := Steal.To("a").Submit(t.Context(), e, true); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		failed := failures.take()
		if len(failed) == 0 || !strings.Contains(failed[0].err.Error(), "was never declared with NewValue") {
			t.Errorf("failed: %v", failed)
		}
		ask(t, e, "b", 100)
		ask(t, e, "c", 100)
		if err := e.Skip(t.Context(), engine.Address{Type: abusedFunction.Type(), ID: "a"}); err != nil {
			t.Fatal(err)
		}
		ask(t, e, "a", 100) // The message that could not be handled has been given up.
		synctest.Wait()
		if s := e.Stats(); s.Shards[0].Skipped+s.Shards[len(s.Shards)-1].Skipped == 0 && len(s.Shards) < 3 {
			t.Errorf("nothing was skipped: %+v", s.Shards)
		}
	})
}

// A message that is to be tried again is on its way: Close waits for it.
func TestCloseWaitsForRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := open(t, engine.Config{}, abuse(nil))
		if err := Fail.To("x").Submit(t.Context(), e, "x"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		closeEngine(t, e)
		if n := e.Stats().Invocations(); n != 1 {
			t.Errorf("%d invocations took effect, want 1", n)
		}
	})
}

// A message that is forwarded in vain leaves nothing, also when the router does not mind.
func TestForwardInVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var records recorder
		e := open(t, engine.Config{}, probeModule(sayAll), deliver(records.sink()), bind(func(b *engine.Binder) {
			engine.RouteFunc(b, words, func(d *engine.Downstream, w string) error {
				_ = engine.Forward(d, Do.To("p"), "not UTF-8: \xff")
				return engine.Forward(d, Do.To("p"), w)
			})
			engine.Connect(b, words, ended("good"))
		}))
		if err := e.Run(t.Context()); err != nil {
			t.Error(err)
		}
		closeEngine(t, e)
		wantItems(t, &records.list, "p:good")
	})
}

// Keys of records are never used twice, not by the next run of a volatile engine either.
func TestKeysOfTwoRuns(t *testing.T) {
	keys := map[string]bool{}
	for run := range 2 {
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(time.Duration(run) * time.Second) // The clock of a bubble starts anew.
			e := open(t, engine.Config{}, probeModule(sayAll), bind(func(b *engine.Binder) {
				engine.Deliver(b, said, connector.SinkFunc(func(r connector.Record) error {
					if keys[r.IdempotencyKey()] {
						t.Errorf("key %s for the second time", r.IdempotencyKey())
					}
					keys[r.IdempotencyKey()] = true
					return nil
				}))
			}))
			submit(t, e, "p", "a")
			submit(t, e, "p", "b")
			closeEngine(t, e)
		})
	}
	if len(keys) != 4 {
		t.Errorf("%d records", len(keys))
	}
}

// A sink that panics loses its record, visibly.
func TestSinkPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := open(t, engine.Config{}, probeModule(sayAll), bind(func(b *engine.Binder) {
			engine.Deliver(b, said, connector.SinkFunc(func(connector.Record) error { panic(errTest) }))
		}))
		submit(t, e, "p", "a")
		closeEngine(t, e)
		if s := e.Stats().Egress[0]; s.Dropped != 1 {
			t.Errorf("%+v", s)
		}
	})
}
