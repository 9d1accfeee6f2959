// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/connector"
)

// durably are all ways in, with what each promises.
func durably(t *testing.T, e *engine.Engine, d *door) map[string]func(ctx context.Context) error {
	promise := connector.Delivery{Durable: true}
	hello := encoded(t, "hello")
	probeAt := func(id string) engine.Address { return engine.Address{Type: probeFunction.Type(), ID: id} }
	answered := func(answer engine.TypedValue, err error) error {
		if want := encoded(t, "hello from test/door"); err == nil && string(answer.Value) != string(want.Value) {
			return errors.New("the answer is another")
		}
		return err
	}
	return map[string]func(ctx context.Context) error{
		"Send": func(ctx context.Context) error { return d.in.Send(ctx, probeAt("a"), hello, promise) },
		"Route": func(ctx context.Context) error {
			return d.in.Route(ctx, "test/words", connector.Event{Value: hello.Value}, promise)
		},
		"Submit": func(ctx context.Context) error { return Do.To("b").Submit(ctx, e, "hello", engine.Durable()) },
		"Call": func(ctx context.Context) error {
			return answered(d.in.Call(ctx, doorCaller, engine.Address{Type: askedFunction.Type(), ID: "c"}, hello, promise))
		},
		"Ask": func(ctx context.Context) error {
			_, err := Ask.Ask(ctx, e, "d", "hello", engine.Durable())
			return err
		},
		"keyed Send": func(ctx context.Context) error {
			return d.in.Send(ctx, probeAt("e"), hello, connector.Delivery{Durable: true, Key: []byte("key")})
		},
		"keyed Call": func(ctx context.Context) error {
			return answered(d.in.Call(ctx, doorCaller, engine.Address{Type: askedFunction.Type(), ID: "f"}, hello,
				connector.Delivery{Durable: true, Key: []byte("key")}))
		},
	}
}

// durableModules are an application that all ways lead into: an event goes to three addresses.
func durableModules(d *door) []engine.Module {
	return []engine.Module{probeModule(stateless(func(*engine.Context, string) error { return nil })), echoes, bind(func(b *engine.Binder) {
		b.Door(d)
		engine.RouteFunc(b, words, func(down *engine.Downstream, w string) error {
			for _, id := range []string{"one", "two", "three"} {
				if err := engine.Forward(down, Do.To(id), w); err != nil {
					return err
				}
			}
			return nil
		})
	})}
}

// begin calls something that waits.
func begin(ctx context.Context, call func(context.Context) error) chan error {
	done := make(chan error, 1)
	go func() { done <- call(ctx) }()
	synctest.Wait()
	return done
}

// Who asks for durability is told when the commit of the epoch has returned that the message belongs to, and its
// answer (P18, I5); nobody else has to ask for that epoch.
func TestDurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &paced{Model: model(t), release: make(chan error)}
		d := &door{}
		e := open(t, engine.Config{Application: "test", Backend: store}, durableModules(d)...)
		run(t, e)
		for name, call := range durably(t, e, d) {
			done := begin(t.Context(), call)
			if n := len(store.begun.take()); n != 1 || len(done) != 0 {
				t.Fatalf("%s: %d commits have begun, %d have returned before", name, n, len(done))
			}
			store.release <- nil
			if err := <-done; err != nil {
				t.Errorf("%s: %v", name, err)
			}
			synctest.Wait()
			if n := len(store.begun.take()); n != 0 {
				t.Errorf("%s: %d further commits, for which nobody waits", name, n)
			}
		}
		close(store.release)
	})
}

// Who asks while an epoch is being committed waits for the next, which begins at once when it can (P20).
func TestDurableDuringCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &paced{Model: model(t), release: make(chan error)}
		d := &door{}
		e := open(t, engine.Config{Application: "test", Backend: store}, durableModules(d)...)
		run(t, e)
		for name, call := range durably(t, e, d) {
			first, second := begin(t.Context(), call), begin(t.Context(), call)
			store.release <- nil
			synctest.Wait()
			if n := len(store.begun.take()); len(first) != 1 || len(second) != 0 || n != 2 {
				t.Fatalf("%s: after the first commit %d and %d have returned, %d commits have begun", name, len(first), len(second), n)
			}
			store.release <- nil
			synctest.Wait()
			if n := len(store.begun.take()); len(second) != 1 || n != 0 {
				t.Errorf("%s: after the second commit %d have returned, %d more have begun", name, len(second), n)
			}
			for _, done := range []chan error{first, second} {
				if err := <-done; err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
		close(store.release)
	})
}

// A commit that fails for a while keeps those who wait, and nobody else is let in (P24, D5).
func TestDurableCommitIsRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &paced{Model: model(t), release: make(chan error)}
		d := &door{}
		e := open(t, engine.Config{Application: "test", Backend: store}, durableModules(d)...)
		run(t, e)
		calls := durably(t, e, d)
		var waiting []chan error
		for _, call := range calls {
			waiting = append(waiting, begin(t.Context(), call))
		}
		for range 3 {
			store.release <- errTest
			time.Sleep(time.Minute) // The next attempt.
			synctest.Wait()
		}
		for i, done := range waiting {
			if len(done) != 0 {
				t.Errorf("call %d has returned: %v", i, <-done)
			}
		}
		for name, call := range calls {
			if name == "Submit" || name == "Ask" {
				continue // They wait.
			}
			if err := call(t.Context()); !errors.Is(err, connector.ErrNoCredit) {
				t.Errorf("%s while the commit fails: %v", name, err)
			}
		}
		close(store.release)
		for i, done := range waiting {
			if err := <-done; err != nil {
				t.Errorf("call %d: %v", i, err)
			}
		}
	})
}

// Doubt ends the engine and all waiting: nobody is told that he is safe, nothing further is committed, and Run
// says why (D6).
func TestDurableInDoubt(t *testing.T) {
	for _, fatal := range []error{backend.ErrSync, backend.ErrFenced} {
		t.Run(fatal.Error(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &paced{Model: model(t), release: make(chan error)}
				d := &door{}
				e := open(t, engine.Config{Application: "test", Backend: store}, durableModules(d)...)
				ended := begin(t.Context(), e.Run)
				<-e.Ready()
				calls := durably(t, e, d)
				waiting := map[string]chan error{}
				for name, call := range calls {
					waiting[name] = begin(t.Context(), call)
				}
				store.release <- fatal
				for name, done := range waiting {
					if err := <-done; !errors.Is(err, connector.ErrClosing) || !errors.Is(err, fatal) {
						t.Errorf("%s: %v", name, err)
					}
				}
				if err := <-ended; !errors.Is(err, fatal) {
					t.Errorf("Run: %v", err)
				}
				for name, call := range calls {
					if err := call(t.Context()); !errors.Is(err, connector.ErrClosing) {
						t.Errorf("%s afterwards: %v", name, err)
					}
				}
				if err := Do.To("p").Submit(t.Context(), e, "x"); !errors.Is(err, connector.ErrClosing) {
					t.Errorf("Submit afterwards: %v", err)
				}
				if err := e.Close(t.Context()); !errors.Is(err, fatal) {
					t.Errorf("Close: %v", err)
				}
				if n := len(store.begun.take()); n != 1 {
					t.Errorf("%d commits were tried", n)
				}
			})
		})
	}
}

// Who gives up waiting is told that nobody knows; others are not mistaken for him afterwards.
func TestDurableGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &paced{Model: model(t), release: make(chan error)}
		d := &door{}
		e := open(t, engine.Config{Application: "test", Backend: store}, durableModules(d)...)
		run(t, e)
		for name, call := range durably(t, e, d) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if err := call(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v", name, err)
			}
			cancel()
			patient := begin(t.Context(), call)
			store.release <- nil
			synctest.Wait()
			if len(patient) != 0 {
				t.Errorf("%s: told by the ticket of another: %v", name, <-patient)
				continue
			}
			store.release <- nil
			if err := <-patient; err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		close(store.release)
	})
}

// Effects and acknowledgements of a volatile engine behave alike; one without epochs has nothing to wait for.
func TestDurableVolatile(t *testing.T) {
	for name, interval := range map[string]time.Duration{"epochs": 24 * time.Hour, "no epochs": engine.EpochsOff} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &door{}
				e := open(t, engine.Config{EpochInterval: interval}, durableModules(d)...)
				run(t, e)
				if d.in.IsDurable() {
					t.Error("it says that what is committed survives")
				}
				var waited int64
				for name, call := range durably(t, e, d) {
					if err := call(t.Context()); err != nil {
						t.Errorf("%s: %v", name, err)
					}
					waited++
				}
				if interval == engine.EpochsOff {
					waited = 0
				}
				if n := e.Stats().EpochsCommitted; n != waited {
					t.Errorf("%d epochs; want %d", n, waited)
				}
			})
		})
	}
}

// What is acknowledged is there after a crash, and what is not acknowledged may be.
func TestDurableSurvives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLife(t)
		e := l.start(engine.Config{}, probeModule(counting), deliver(connector.SinkFunc(func(connector.Record) error { return nil })))
		if err := Do.To("p").Submit(t.Context(), e, "a", engine.Durable()); err != nil {
			t.Error(err)
		}
		submit(t, e, "p", "b") // Of an epoch that is never committed.
		var records recorder
		e = l.start(engine.Config{Shards: 3}, probeModule(counting), deliver(records.sink()))
		synctest.Wait()
		wantItems(t, &records.list, "a1") // Nobody has said that it is delivered.
		submit(t, e, "p", "c")
		checkpoint(t, e)
		wantItems(t, &records.list, "c2")
	})
}
