// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/connector"
)

// State of every form comes back, at ids of every length, whatever the number of shards was and is; a value that
// was cleared does not.
func TestRecoverState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLife(t)
		e := l.start(engine.Config{Shards: 1}, everyForm())
		want := map[string]string{}
		random := rand.New(rand.NewPCG(1, 2))
		ids := []string{"a", "\x00\xff", "exactly sixteen.", "seventeen, surely", strings.Repeat("long ", 200)}
		for i := range 60 {
			ids = append(ids, fmt.Sprint("id", i))
		}
		work := func() {
			t.Helper()
			for range 150 {
				id := ids[random.IntN(len(ids))]
				word := []string{"n", "pair", "text", "doc"}[random.IntN(4)]
				if random.IntN(3) > 0 {
					word += "=" + []string{"", "7", strings.Repeat("w", 300)}[random.IntN(3)]
				}
				want[id] = told(t, e, id, word)
			}
		}
		work()
		for _, shards := range []int{2, 7, 1, 2} {
			e = l.restart(engine.Config{Shards: shards}, everyForm())
			for _, id := range ids {
				if got := told(t, e, id, "?"); got != want[id] {
					t.Fatalf("%d shards: %q keeps %q; want %q", shards, id, got, want[id])
				}
			}
			work()
		}
	})
}

// A process that dies leaves what it has committed, and nothing later (I4). Time goes on, epochs go on (P33, P37).
func TestRecoverAfterCrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLife(t)
		first := l.start(engine.Config{}, everyForm())
		committed := told(t, first, "a", "n=1")
		checkpoint(t, first)
		cp := l.latest()
		told(t, first, "a", "n=2")
		told(t, first, "b", "text=lost")

		e := l.start(engine.Config{Shards: 3}, everyForm())
		if got := told(t, e, "a", "?"); got != committed {
			t.Errorf("it keeps %q; want %q", got, committed)
		}
		if got := told(t, e, "b", "?"); got != "" {
			t.Errorf("it keeps %q, which was never committed", got)
		}
		checkpoint(t, e)
		if after := l.latest(); after.Epoch != cp.Epoch+1 || after.CreatedAt < cp.CreatedAt || after.Generation <= cp.Generation {
			t.Errorf("epoch %d of %d, generation %d, behind epoch %d of %d, generation %d",
				after.Epoch, after.CreatedAt, after.Generation, cp.Epoch, cp.CreatedAt, cp.Generation)
		}
		if err := first.Close(context.Background()); !errors.Is(err, backend.ErrFenced) {
			t.Errorf("the first engine closes with %v", err)
		}
	})
}

// Engine time goes on where it stood, though the wall clock has been set back since (P37).
func TestRecoverTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := keeperModule(func(*engine.Schema) keeperFunc {
			return func(ctx *engine.Context, _ string) (string, error) { return ctx.Now().Format(time.DateTime), nil }
		})
		l := newLife(t)
		closeEngine(t, l.start(engine.Config{}, now))
		store, err := l.store.Reopen(storeOptions)
		if err != nil {
			t.Fatal(err)
		}
		ahead := altered{Backend: store, latest: func(cp *backend.Checkpoint) { cp.CreatedAt += 24 * time.Hour.Milliseconds() }}
		e := open(t, engine.Config{Application: "test", Backend: ahead}, now)
		time.Sleep(time.Minute)
		if got, want := told(t, e, "a", "?"), time.Now().UTC().Add(24*time.Hour).Format(time.DateTime); got != want {
			t.Errorf("engine time is %s; want %s", got, want)
		}
	})
}

// leaving is a sink that notes records with their names, and is done with them when it is told to.
type leaving struct {
	list[string]
	done bool
}

func (*leaving) Open(context.Context) error { return nil }

func (s *leaving) Publish(r connector.Record, done func(error)) {
	s.add(fmt.Sprintf("%s %s: %x", r.IdempotencyKey(), r.Sender, r.Value))
	if s.done {
		done(nil)
	}
}

func (*leaving) Close(context.Context) error { return nil }

// Records that had not been delivered leave again, in their order and under their names, however many shards
// there are, and in whatever order egresses are bound. Those of an egress that nobody binds wait (P38). What has
// been delivered does not leave again.
func TestRecoverRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		both := probeModule(stateless(func(ctx *engine.Context, word string) error {
			said.Send(ctx, word)
			nowhere.Send(ctx, word+", nowhere")
			return nil
		}))
		first, second := &leaving{}, &leaving{}
		bound := func(first, second connector.Sink) engine.Module {
			return bind(func(b *engine.Binder) {
				engine.Deliver(b, nowhere, second)
				engine.Deliver(b, said, first)
			})
		}
		l := newLife(t)
		e := l.start(engine.Config{Shards: 3}, both, bound(first, second))
		for n := range 20 {
			submit(t, e, fmt.Sprint("p", n%7), fmt.Sprint(n))
			if n%5 == 0 {
				checkpoint(t, e)
			}
		}
		checkpoint(t, e)
		said, elsewhere := first.take(), second.take()
		if len(said) != 20 || len(elsewhere) != 20 {
			t.Fatalf("%d and %d records", len(said), len(elsewhere))
		}
		first = &leaving{done: true}
		e = l.start(engine.Config{Shards: 1}, both, deliver(first)) // The first engine is fenced.
		synctest.Wait()
		if got := first.take(); !slices.Equal(got, said) {
			t.Errorf("after a crash leave %q; want %q", got, said)
		}
		checkpoint(t, e)
		e = l.restart(engine.Config{Shards: 2}, both, bound(first, second))
		synctest.Wait()
		wantItems(t, &first.list)
		if got := second.take(); !slices.Equal(got, elsewhere) {
			t.Errorf("when somebody binds it leave %q; want %q", got, elsewhere)
		}
		if e.Stats().QueuedBytes == 0 {
			t.Error("records that leave do not count as queued")
		}
	})
}

// What is under way is under way again, in its order, however the addresses are spread over shards: messages at
// an address that is suspended and at one that is tried again, delayed messages, and tokens that cancel them.
func TestRecoverInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const ids = 12
		var heard list[string]
		broken := true
		module := probeModule(func(s *engine.Schema) probeFunc {
			token := engine.NewValue(s, "token", engine.Tokens)
			return func(ctx *engine.Context, word string) error {
				id := ctx.Self().ID
				switch {
				case broken && strings.HasPrefix(id, "stuck"):
					return engine.Permanent(errTest)
				case broken && strings.HasPrefix(id, "again"):
					return errTest
				case word == "later":
					Do.Same().SendAfter(ctx, time.Hour, "later 1")
					token.Set(ctx, Do.Same().SendAfter(ctx, time.Hour, "cancelled"))
					Do.To("other "+id).SendAfter(ctx, time.Hour, "later 2")
				case word == "cancel":
					if !ctx.Cancel(token.Get(ctx)) {
						return errors.New("there is nothing to cancel")
					}
				default:
					heard.add(id + ": " + word)
				}
				return nil
			}
		}, engine.Retries(1_000_000))
		l := newLife(t)
		e := l.start(engine.Config{Shards: 1}, module)
		start := time.Now()
		for n := range ids {
			submit(t, e, fmt.Sprint("timer", n), "later")
		}
		var stuck []string
		for n := range ids {
			stuck = append(stuck, fmt.Sprintf("test/probe/stuck%02d: %v", n, errTest))
		}
		restarts := []int{2, 7, 2}
		for round, shards := range append(restarts, 0) {
			for n := range ids {
				for part := range 3 {
					word := fmt.Sprint(round, ".", part)
					submit(t, e, fmt.Sprintf("stuck%02d", n), word, fmt.Sprintf("again%02d", n), word)
				}
			}
			if shards == 0 {
				break
			}
			e = l.restart(engine.Config{Shards: shards, Logger: slog.New(slog.DiscardHandler)}, module)
			if got := suspended(e); !slices.Equal(got, stuck) {
				t.Fatalf("%d shards: suspended are %q; want %q", shards, got, stuck)
			}
			if e.Stats().QueuedBytes == 0 {
				t.Error("what waits does not count as queued")
			}
		}
		for n := range ids {
			submit(t, e, fmt.Sprint("timer", n), "cancel")
		}
		wantItems(t, &heard)

		broken = false
		for n := range ids {
			if err := e.Resume(t.Context(), engine.Address{Type: probeFunction.Type(), ID: fmt.Sprintf("stuck%02d", n)}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Until(start.Add(time.Hour - time.Millisecond)))
		synctest.Wait()
		want := map[string]int{}
		for _, s := range heard.take() {
			id, word, _ := strings.Cut(s, ": ")
			if next := fmt.Sprint(want[id]/3, ".", want[id]%3); word != next {
				t.Errorf("%s hears %s; want %s", id, word, next)
			}
			want[id]++
		}
		if len(want) != 2*ids {
			t.Errorf("%d addresses have gone on; want %d", len(want), 2*ids)
		}
		for id, n := range want {
			if n != 3*(len(restarts)+1) {
				t.Errorf("%s hears %d words", id, n)
			}
		}
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
		var later []string
		for n := range ids {
			later = append(later, fmt.Sprintf("other timer%d: later 2", n), fmt.Sprintf("timer%d: later 1", n))
		}
		slices.Sort(later)
		got := heard.take()
		slices.Sort(got)
		if !slices.Equal(got, later) {
			t.Errorf("after an hour: %q; want %q", got, later)
		}
		if left := suspended(e); len(left) > 0 || e.Stats().QueuedBytes != 0 {
			t.Errorf("suspended are %q, %d bytes are queued", left, e.Stats().QueuedBytes)
		}
	})
}

// positioned is a source that notes where it is opened, and hands out numbers from there on until it is told to
// wait.
type positioned struct {
	opened list[string]
	next   byte
	until  byte
}

func (s *positioned) Open(_ context.Context, position []byte) error {
	s.opened.add(fmt.Sprintf("%x", position))
	if len(position) > 0 {
		s.next = position[0]
	}
	return nil
}

func (s *positioned) Poll(ctx context.Context, into *connector.Events) error {
	if s.next == s.until {
		<-ctx.Done()
		return nil
	}
	word, err := engine.String.Append(nil, fmt.Sprint(s.next))
	into.Append([]byte("p"), "", word)
	s.next++
	return err
}

func (s *positioned) Position() []byte { return []byte{s.next} }
func (s *positioned) Close() error     { return nil }

// Sources go on where they stood. One that is away for a run finds its position again (P38), and those of other
// ingresses do not count in its name.
func TestRecoverPositions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var heard list[string]
		probes := probeModule(stateless(func(_ *engine.Context, word string) error { heard.add(word); return nil }))
		connect := func(sources ...connector.Source) engine.Module {
			return bind(func(b *engine.Binder) {
				engine.RouteKey(b, words, Do)
				for _, s := range sources {
					engine.Connect(b, words, s)
				}
			})
		}
		other := engine.NewIngress("test/first", engine.String)
		before := bind(func(b *engine.Binder) {
			engine.RouteKey(b, other, Do)
			engine.Connect(b, other, &positioned{until: 1})
		})
		l := newLife(t)
		a, b := &positioned{until: 3}, &positioned{until: 5}
		run(t, l.start(engine.Config{}, probes, connect(a, b)))
		synctest.Wait()
		wantItems(t, &a.opened, "")
		wantItems(t, &b.opened, "")
		if n := len(heard.take()); n != 8 {
			t.Errorf("%d events", n)
		}

		a = &positioned{until: 4}
		run(t, l.restart(engine.Config{Shards: 3}, before, probes, connect(a))) // Without b.
		synctest.Wait()
		wantItems(t, &a.opened, "03")
		if got := heard.take(); len(got) != 2 { // One of them is the other ingress's.
			t.Errorf("events %q", got)
		}

		a, b = &positioned{until: 4}, &positioned{until: 6}
		run(t, l.restart(engine.Config{}, probes, connect(a, b)))
		synctest.Wait()
		wantItems(t, &a.opened, "04")
		wantItems(t, &b.opened, "05")
		wantItems(t, &heard, "5")
	})
}

// Without epochs on the interval, those that are asked for, and the last, hold everything all the same: state, messages that
// wait for their time, and positions as of the same moment.
func TestRecoverEpochsOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		probes := probeModule(func(s *engine.Schema) probeFunc {
			n := engine.NewValue(s, "n", engine.Int64)
			return func(ctx *engine.Context, word string) error {
				if *n.Edit(ctx)++; word == "0" {
					Do.To("later").SendAfter(ctx, time.Hour, "late")
				}
				return nil
			}
		})
		connect := func(s *positioned) engine.Module {
			return bind(func(b *engine.Binder) { engine.RouteKey(b, words, Do); engine.Connect(b, words, s) })
		}
		l := newLife(t)
		run(t, l.start(engine.Config{EpochInterval: engine.EpochsOff}, probes, connect(&positioned{until: 3})))
		synctest.Wait()
		checkpoint(t, l.e)
		source := &positioned{until: 5}
		run(t, l.restart(engine.Config{EpochInterval: engine.EpochsOff}, probes, connect(source)))
		synctest.Wait()
		if at := source.opened.take(); !slices.Equal(at, []string{"03"}) {
			t.Errorf("the source is opened at %q", at)
		}
		closeEngine(t, l.e)
		var seen list[int64]
		counted := probeModule(func(s *engine.Schema) probeFunc {
			n := engine.NewValue(s, "n", engine.Int64)
			return func(ctx *engine.Context, word string) error { seen.add(n.Get(ctx)); return nil }
		})
		l.start(engine.Config{EpochInterval: engine.EpochsOff}, counted)
		submit(t, l.e, "p", "?")
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if n := seen.take(); !slices.Equal(n, []int64{5, 0}) {
			t.Errorf("p has seen %d events, and then there is %d; want 5, and the late message at an instance with nothing", n[0], n[1:])
		}
	})
}
