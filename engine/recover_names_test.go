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
	entries "github.com/millrace-io/millrace/engine/internal/checkpoint"
)

// State values are known by name. One that is no longer declared is kept as it is, also while others of its
// instance change, and is there again when it is declared again.
func TestRecoverOtherValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		steps := []struct {
			module engine.Module
			word   string
			want   string
		}{
			{everyForm(), "n=5", "n=5"},
			{everyForm(), "pair=abc", "n=5 pair=[3 -1]"},
			{everyForm(), "doc=x", "n=5 pair=[3 -1] doc=map[w:x]"},
			{keeps(called(text, "text"), called(number, "n")), "text=new", "text=new n=5"}, // In another order, with less.
			{keeps(called(text, "text"), called(number, "n")), "n", "text=new"},
			{keeps(called(number, "m"), called(text, "text")), "m=1", "m=1 text=new"}, // One has become another.
			{keeps(), "?", ""}, // None at all.
			{keeps(called(number, "m")), "m", ""},
			{everyForm(), "?", "pair=[3 -1] text=new doc=map[w:x]"},
			{everyForm(), "doc", "pair=[3 -1] text=new"},
			{keeps(called(bill, "doc"), called(pair, "pair")), "?", "pair=[3 -1]"},
		}
		l := newLife(t)
		for i, step := range steps {
			e := l.start(engine.Config{Shards: 1 + i%3}, step.module)
			if got := told(t, e, "a", step.word); got != step.want {
				t.Errorf("step %d: %q gives %q; want %q", i, step.word, got, step.want)
			}
			if got := told(t, e, "b", "?"); got != "" {
				t.Errorf("step %d: another instance keeps %q", i, got)
			}
			closeEngine(t, e)
		}
	})
}

// Numbers are those of the store, whatever is added in front, taken away, or given another name: what is stored
// under them is what was.
func TestRecoverOtherFunctions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLife(t)
		e := l.start(engine.Config{}, everyForm())
		want := told(t, e, "a", "n=5")
		first := engine.Define[probe]("a/first") // Before all others by name.
		engine.Accept(first, engine.String, probe.Do)
		beside := bind(func(b *engine.Binder) {
			engine.Bind(b, first, func(s *engine.Schema) probe { return probeFunc(func(*engine.Context, string) error { return nil }) })
		})
		names := func() (list []string) {
			all, err := entries.ParseNames(l.latest().Names)
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range all {
				list = append(list, n.Function)
			}
			return list
		}
		e = l.restart(engine.Config{}, beside, everyForm(), probeModule(sayAll))
		if got := told(t, e, "a", "?"); got != want {
			t.Errorf("it keeps %q; want %q", got, want)
		}
		l.restart(engine.Config{}, probeModule(sayAll))
		e = l.restart(engine.Config{}, everyForm())
		if got := told(t, e, "a", "?"); got != want {
			t.Errorf("it keeps %q; want %q", got, want)
		}
		closeEngine(t, e)
		if got, want := names(), []string{"io.millrace.engine/caller", "test/keeper", "a/first", "test/probe"}; !slices.Equal(got, want) {
			t.Errorf("the names are %q; want %q", got, want)
		}
	})
}

// State of a function type that no module provides stays in the store, however much is committed meanwhile: nobody puts
// it again, so no commit may say that everything has been (ADR 0018). The store would refuse it.
func TestRecoverAbsentState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLife(t)
		told(t, l.start(engine.Config{}, everyForm()), "a", "n=5")
		log := &failureLog{}
		other := probeModule(func(s *engine.Schema) probeFunc {
			n := engine.NewValue(s, "n", engine.Int64)
			return func(ctx *engine.Context, _ string) error { n.Set(ctx, n.Get(ctx)+1); return nil }
		})
		e := l.restart(engine.Config{Logger: slog.New(log)}, other)
		for range 40 { // Several laps.
			submit(t, e, "b", "x")
			synctest.Wait()
			checkpoint(t, e)
		}
		if f := log.take(); len(f) != 0 {
			t.Errorf("failures: %v", f)
		}
		if got := told(t, l.restart(engine.Config{}, everyForm(), other), "a", "n2="); got != "n=5" {
			t.Errorf("the state has become %q", got)
		}
	})
}

// What waits for a function type that no module provides waits until one does (P38), and is listed. Nobody can
// send to it meanwhile.
func TestRecoverAbsentFunction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var heard list[string]
		broken := true
		target := keeperModule(func(*engine.Schema) keeperFunc {
			return func(ctx *engine.Context, word string) (string, error) {
				if broken {
					return "", errTest
				}
				heard.add(ctx.Self().ID + ": " + word)
				return "", engine.ErrPending // No answer: the probe would send it on.
			}
		})
		sender := probeModule(stateless(func(ctx *engine.Context, word string) error {
			keep.Same().Send(ctx, word)
			keep.Same().SendAfter(ctx, time.Hour, word+" later")
			return nil
		}), engine.Retries(0))
		l := newLife(t)
		e := l.start(engine.Config{Shards: 2}, target, sender)
		submit(t, e, "a", "1", "a", "2")

		log := &failureLog{}
		e = l.restart(engine.Config{Shards: 3, Logger: slog.New(log)}, sender)
		parked := []string{"test/keeper/a: no module provides the function type"}
		if got := suspended(e); !slices.Equal(got, parked) {
			t.Errorf("suspended are %q; want %q", got, parked)
		}
		if f := functionStats(t, e, "test/keeper"); f.Backlog != 2 || f.Suspended != 1 {
			t.Errorf("%+v", f)
		}
		if err := keep.To("a").Submit(t.Context(), e, "3"); !errors.Is(err, engine.ErrNoFunction) {
			t.Errorf("Submit: %v", err)
		}
		submit(t, e, "b", "3")
		if f := log.take(); len(f) != 1 || !errors.Is(f[0].err, engine.ErrNoFunction) {
			t.Errorf("a send from a function: %v", f)
		}
		time.Sleep(2 * time.Hour) // Delayed messages come due, and wait with the others.
		synctest.Wait()
		checkpoint(t, e)
		if err := e.Resume(t.Context(), keeperAddress("a")); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if got := suspended(e); !slices.Contains(got, parked[0]) {
			t.Errorf("suspended are %q after Resume; want %q", got, parked)
		}

		broken = false
		e = l.restart(engine.Config{Shards: 1}, sender, target)
		time.Sleep(time.Minute)
		synctest.Wait()
		wantItems(t, &heard, "a: 1", "a: 2", "a: 1 later", "a: 2 later")
		if err := e.Skip(t.Context(), engine.Address{Type: probeFunction.Type(), ID: "b"}); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if got := suspended(e); len(got) != 0 {
			t.Errorf("suspended are %q", got)
		}
	})
}

// A state value whose type has changed is refused before anything is touched: its bytes would be read as what
// they are not.
func TestRecoverTypeChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLife(t)
		e := l.start(engine.Config{}, everyForm())
		told(t, e, "a", "n=5")
		closeEngine(t, e)
		config := engine.Config{Application: "test"}
		l.refuses(config, []string{
			`test/keeper: state value "n" is a io.statefun.types/string, and the store has it as a io.statefun.types/long: to change its type, rename it`,
			`state value "text" is a io.statefun.types/long, and the store has it as a io.statefun.types/string`,
		}, keeps(called(text, "n"), called(number, "text")))
		e = l.start(engine.Config{}, keeps(called(text, "n2"), called(number, "n")))
		if got := told(t, e, "a", "?"); got != "n=5" {
			t.Errorf("it keeps %q", got)
		}
	})
}

// What is no longer declared needs a mark of its own beside those of the declared values.
func TestRecoverManyValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		many := func(prefix string, n int) (list []func(*engine.Schema) kept) {
			for i := range n {
				list = append(list, called(number, fmt.Sprint(prefix, i)))
			}
			return list
		}
		l := newLife(t)
		e := l.start(engine.Config{}, keeps(many("v", 32)...))
		told(t, e, "a", "v31=1")
		closeEngine(t, e)
		l.refuses(engine.Config{Application: "test"}, []string{"test/keeper: 32 state values, and 1 that the store has and the function no longer declares: at most 31"}, keeps(append(many("v", 31), called(number, "new"))...))
		e = l.start(engine.Config{}, keeps(append(many("v", 30), called(number, "new"))...))
		if got := told(t, e, "a", "new=2"); got != "new=2" {
			t.Errorf("it keeps %q", got)
		}
		e = l.restart(engine.Config{}, keeps(append(many("v", 31)[1:], called(number, "v31"))...))
		if got := told(t, e, "a", "?"); got != "v31=1" {
			t.Errorf("it keeps %q", got)
		}
		closeEngine(t, e)
		for i := range 31 { // Numbers are used up.
			e = l.start(engine.Config{}, keeps(many(fmt.Sprint("r", i, "."), 31)...))
			closeEngine(t, e)
		}
		l.refuses(engine.Config{Application: "test"}, []string{"test/keeper: 1025 state values, with 994 that the store has and the function no longer declares: at most 1023"}, keeps(many("last", 31)...))
	})
}
