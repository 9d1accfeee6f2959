// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/connector"
)

// goOn runs an engine that will be fenced by the next.
func goOn(t *testing.T, e *engine.Engine) {
	go func() { _ = e.Run(t.Context()) }()
	<-e.Ready()
}

func under(key string) connector.Delivery { return connector.Delivery{Key: []byte(key)} }

// heardBy is a probe that notes what it is told.
func heardBy(heard *list[string]) engine.Module {
	return probeModule(stateless(func(ctx *engine.Context, word string) error {
		heard.add(ctx.Self().ID + ":" + word)
		return nil
	}))
}

// A message that comes again under its key does not run again, before a crash or after it; another message under
// the key is refused (P17). Keys are those of an address.
func TestKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var heard list[string]
		l := newLife(t)
		d := &door{}
		doors := bind(func(b *engine.Binder) { b.Door(d) })
		send := func(id, word string, p connector.Delivery) error {
			defer synctest.Wait()
			return d.in.Send(t.Context(), engine.Address{Type: probeFunction.Type(), ID: id}, encoded(t, word), p)
		}
		durable := under("k1")
		durable.Durable = true
		steps := []struct {
			name     string
			id, word string
			p        connector.Delivery
			want     error
			heard    string
		}{
			{"the first", "a", "x", under("k1"), nil, "a:x"},
			{"again", "a", "x", under("k1"), nil, ""},
			{"again, to be sure", "a", "x", durable, nil, ""},
			{"another message", "a", "y", under("k1"), connector.ErrKeyReused, ""},
			{"another key", "a", "x", under("k2"), nil, "a:x"},
			{"another address", "b", "x", under("k1"), nil, "b:x"},
			{"without a key", "a", "x", connector.Delivery{}, nil, "a:x"},
			{"a long key", "a", "x", under(strings.Repeat("k", connector.KeyBytesMax)), nil, "a:x"},
			{"a key that is too long", "a", "x", under(strings.Repeat("k", connector.KeyBytesMax+1)), connector.ErrTooLarge, ""},
		}
		goOn(t, l.start(engine.Config{}, heardBy(&heard), doors))
		for round := range 3 {
			for _, s := range steps {
				if err := send(s.id, s.word, s.p); !errors.Is(err, s.want) || (err == nil) != (s.want == nil) {
					t.Errorf("round %d, %s: %v; want %v", round, s.name, err, s.want)
				}
				got := strings.Join(heard.take(), " ")
				if want := s.heard; round > 0 && len(s.p.Key) > 0 && got != "" || round == 0 && got != want {
					t.Errorf("round %d, %s: heard %q", round, s.name, got)
				}
			}
			if round == 0 {
				checkpoint(t, l.e)
			}
			d.in = nil
			goOn(t, l.start(engine.Config{Shards: 2 + round}, heardBy(&heard), doors))
			heard.take()
		}
	})
}

// A key is kept for its window, from the first message on, also through a restart.
func TestKeyWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var heard list[string]
		l := newLife(t)
		d := &door{}
		doors := bind(func(b *engine.Binder) { b.Door(d) })
		send := func(p connector.Delivery) {
			t.Helper()
			if err := d.in.Send(t.Context(), engine.Address{Type: probeFunction.Type(), ID: "a"}, encoded(t, "x"), p); err != nil {
				t.Error(err)
			}
			synctest.Wait()
		}
		run(t, l.start(engine.Config{}, heardBy(&heard), doors))
		start := time.Now()
		short, usual := under("short"), under("usual")
		short.Window = time.Minute
		send(short)
		send(usual)
		wantItems(t, &heard, "a:x", "a:x")
		for _, until := range []time.Duration{time.Minute - time.Second, time.Minute + time.Second, 24*time.Hour - time.Second} {
			time.Sleep(time.Until(start.Add(until)))
			run(t, l.restart(engine.Config{}, heardBy(&heard), doors))
			send(short)
			send(usual)
			want := until > time.Minute
			if got := heard.take(); (len(got) == 1) != want {
				t.Errorf("after %v: %q", until, got)
			}
		}
		time.Sleep(2 * time.Second)
		send(usual)
		wantItems(t, &heard, "a:x")
	})
}

// Those who call under one key get one answer, that of the first call, whenever they ask: while it is still to
// come, when it is there, and after a crash.
func TestKeyedCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked list[string]
		answers := askedModule(func(ctx *engine.Context, question string) (string, error) {
			asked.add(question)
			if caller, ok := ctx.Caller(); question == "later" && ok {
				raw := encoded(t, "late answer")
				ctx.SendAfter(time.Minute, caller, raw)
				return "", engine.ErrPending
			}
			return fmt.Sprint("answer ", len(question)), nil
		})
		l := newLife(t)
		d := &door{}
		doors := bind(func(b *engine.Binder) { b.Door(d) })
		call := func(question, key string) chan string {
			got := make(chan string, 1)
			go func() {
				p := connector.Delivery{Key: []byte(key), Durable: true}
				answer, err := d.in.Call(context.Background(), doorCaller, engine.Address{Type: askedFunction.Type(), ID: "a"}, encoded(t, question), p)
				if err != nil {
					got <- err.Error()
					return
				}
				text, _ := engine.String.Decode(answer.Value)
				got <- text
			}()
			synctest.Wait()
			return got
		}
		want := func(what string, got chan string, want string) {
			t.Helper()
			if len(got) != 1 {
				t.Errorf("%s: no answer", what)
				return
			}
			if answer := <-got; answer != want {
				t.Errorf("%s: %q; want %q", what, answer, want)
			}
		}
		goOn(t, l.start(engine.Config{}, answers, doors))
		want("the first", call("hello", "k1"), "answer 5")
		want("again", call("hello", "k1"), "answer 5")
		want("another question", call("bye", "k1"), connector.ErrKeyReused.Error())
		wantItems(t, &asked, "hello")

		first, second := call("later", "k2"), call("later", "k2")
		if len(first)+len(second) != 0 {
			t.Error("an answer that is not there yet")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		want("one who waits", first, "late answer")
		want("another who waits", second, "late answer")

		lost := call("later", "k3") // Its caller dies with the process.
		checkpoint(t, l.e)
		asked.take()
		run(t, l.start(engine.Config{Shards: 3}, answers, doors)) // As after a crash.
		want("after a crash", call("hello", "k1"), "answer 5")
		want("an answer that came late", call("later", "k2"), "late answer")
		again := call("later", "k3")
		time.Sleep(time.Minute)
		synctest.Wait()
		want("one who asks again", again, "late answer")
		wantItems(t, &asked)
		if got := <-lost; !strings.HasPrefix(got, connector.ErrClosing.Error()) {
			t.Errorf("the caller of another life gets %q", got)
		}
	})
}

// An event under a key is one message for each target, and each is judged there. Two for one target are two.
func TestKeyedRoute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var heard list[string]
		d := &door{}
		e := open(t, engine.Config{}, heardBy(&heard), bind(func(b *engine.Binder) {
			b.Door(d)
			engine.RouteFunc(b, words, func(down *engine.Downstream, w string) error {
				for to := range strings.FieldsSeq(w) {
					if err := engine.Forward(down, Do.To(to), "!"); err != nil {
						return err
					}
				}
				return nil
			})
		}))
		run(t, e)
		tests := []struct {
			event, key string
			want       error
			heard      []string
		}{
			{"a b a", "k", nil, []string{"a:!", "a:!", "b:!"}},
			{"a b a", "k", nil, nil},
			{"c", "k", nil, []string{"c:!"}},                           // Another target: it knows nothing of the others.
			{"d c", "k", connector.ErrKeyReused, []string{"d:!"}},      // One of two.
			{"d c", "k2", nil, []string{"c:!", "d:!"}},                 // Another event.
			{"", "k3", nil, nil},                                       // Nothing comes of it.
			{"a a a", "k4", nil, []string{"a:!", "a:!", "a:!"}},        // All the same.
			{"a a a a", "k4", connector.ErrKeyReused, []string{"a:!"}}, // The fourth is new, the event is another.
		}
		for _, tt := range tests {
			for _, durable := range []bool{true, false} {
				p := under(tt.key)
				p.Durable = durable
				err := d.in.Route(t.Context(), "test/words", connector.Event{Value: encoded(t, tt.event).Value}, p)
				synctest.Wait()
				if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
					t.Errorf("%q under %s: %v; want %v", tt.event, tt.key, err, tt.want)
				}
				got := heard.take()
				slices.Sort(got)
				if !slices.Equal(got, tt.heard) {
					t.Errorf("%q under %s: heard %q; want %q", tt.event, tt.key, got, tt.heard)
				}
				tt.heard = nil // It comes again.
			}
		}
	})
}
