// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/backendtest"
	"github.com/millrace-io/millrace/engine/statefun"
)

// What the tests of recovery share: a function that keeps values of every form and answers with them, and a
// store that outlives its engines.

type keeper interface {
	Do(*engine.Context, string) (string, error)
}

type keeperFunc func(ctx *engine.Context, word string) (string, error)

func (f keeperFunc) Do(ctx *engine.Context, word string) (string, error) { return f(ctx, word) }

var (
	keeperFunction = engine.Define[keeper]("test/keeper")
	keep           = engine.Answer(keeperFunction, engine.String, engine.String, keeper.Do)
)

func keeperModule(f func(*engine.Schema) keeperFunc, options ...engine.FunctionOption) engine.Module {
	return engine.Module{Name: "keeper", Bind: func(b *engine.Binder) error {
		engine.Bind(b, keeperFunction, func(s *engine.Schema) keeper { return f(s) }, options...)
		return nil
	}}
}

// kept is a state value that a word can change: "name=…" sets it, "name" clears it.
type kept struct {
	name string
	set  func(*engine.Context, string) // "": to the zero value.
	drop func(*engine.Context)
	show func(*engine.Context) (string, bool)
}

// value declares a state value that is shown as fmt does.
func value[T any](s *engine.Schema, name string, t engine.Type[T], parse func(string) T) kept {
	v := engine.NewValue(s, name, t)
	return kept{
		name: name,
		set:  func(ctx *engine.Context, w string) { v.Set(ctx, parse(w)) },
		drop: v.Clear,
		show: func(ctx *engine.Context) (string, bool) {
			got, ok := v.Lookup(ctx)
			return fmt.Sprint(got), ok
		},
	}
}

func number(s *engine.Schema, name string) kept {
	return value(s, name, engine.Int64, func(w string) (n int64) { _, _ = fmt.Sscan(w, &n); return n })
}

func pair(s *engine.Schema, name string) kept {
	return value(s, name, engine.Flat[[2]int32]("test/pair"), func(w string) [2]int32 { return [2]int32{int32(len(w)), -1} })
}

func text(s *engine.Schema, name string) kept {
	return value(s, name, engine.String, func(w string) string { return w })
}

func bill(s *engine.Schema, name string) kept {
	return value(s, name, engine.JSON[map[string]string]("test/document"), func(w string) map[string]string { return map[string]string{"w": w} })
}

// keeps declares values and answers every word with all of them: "n=5 text=".
func keeps(declare ...func(*engine.Schema) kept) engine.Module {
	return keeperModule(keeping(declare...))
}

func keeping(declare ...func(*engine.Schema) kept) func(*engine.Schema) keeperFunc {
	return func(s *engine.Schema) keeperFunc {
		var values []kept
		for _, d := range declare {
			values = append(values, d(s))
		}
		return func(ctx *engine.Context, word string) (string, error) {
			name, to, set := strings.Cut(word, "=")
			var all []string
			for _, v := range values {
				switch {
				case v.name == name && set:
					v.set(ctx, to)
				case v.name == name:
					v.drop(ctx)
				}
				if shown, ok := v.show(ctx); ok {
					all = append(all, v.name+"="+shown)
				}
			}
			return strings.Join(all, " "), nil
		}
	}
}

// called names a value.
func called(f func(*engine.Schema, string) kept, name string) func(*engine.Schema) kept {
	return func(s *engine.Schema) kept { return f(s, name) }
}

// everyForm keeps a value of every form.
func everyForm() engine.Module {
	return keeps(called(number, "n"), called(pair, "pair"), called(text, "text"), called(bill, "doc"))
}

func told(t *testing.T, e *engine.Engine, id, word string) string {
	t.Helper()
	answer, err := keep.Ask(t.Context(), e, id, word)
	if err != nil {
		t.Fatalf("%s at %q: %v", word, id, err)
	}
	return answer
}

var storeOptions = backend.Options{Application: "test", KeyGroups: 128}

// life is a store and the engines that run on it, one after the other.
type life struct {
	t     *testing.T
	store *backendtest.Model
	e     *engine.Engine
}

func newLife(t *testing.T) *life { return &life{t: t, store: model(t)} }

// start opens an engine on what the store holds, as the next process would: the last one may still run, and is
// fenced.
func (l *life) start(c engine.Config, modules ...engine.Module) *engine.Engine {
	l.t.Helper()
	var err error
	if l.store, err = l.store.Reopen(storeOptions); err != nil {
		l.t.Fatal(err)
	}
	c.Application, c.Backend = storeOptions.Application, l.store
	l.e = open(l.t, c, modules...)
	return l.e
}

// restart closes the engine and opens another.
func (l *life) restart(c engine.Config, modules ...engine.Module) *engine.Engine {
	l.t.Helper()
	closeEngine(l.t, l.e)
	return l.start(c, modules...)
}

// entries lists what the store holds: group, key and value.
func (l *life) entries() (list []string) {
	l.t.Helper()
	for e, err := range l.store.Scan(context.Background(), backend.KeyGroupRange{End: 128}) {
		if err != nil {
			l.t.Fatal(err)
		}
		list = append(list, fmt.Sprintf("%d %x %x", e.Group, e.Key, e.Value))
	}
	return list
}

// latest returns what the store's newest checkpoint says of itself.
func (l *life) latest() backend.Checkpoint {
	l.t.Helper()
	cp, ok, err := l.store.Latest(context.Background())
	if err != nil || !ok {
		l.t.Fatalf("no checkpoint: %v", err)
	}
	return cp
}

// refuses demands that an engine does not open on the store, says why, and leaves the store as it was.
func (l *life) refuses(c engine.Config, want []string, modules ...engine.Module) {
	l.t.Helper()
	var err error
	if l.store, err = l.store.Reopen(storeOptions); err != nil {
		l.t.Fatal(err)
	}
	before, entries := l.latest(), l.entries()
	if c.Backend == nil {
		c.Backend = l.store
	}
	c.Logger = quiet
	e, err := engine.Open(l.t.Context(), c, modules...)
	if err == nil {
		_ = e.Close(context.Background())
		l.t.Fatal("it opens")
	}
	for _, part := range want {
		if !strings.Contains(err.Error(), part) {
			l.t.Errorf("nothing says %q in: %v", part, err)
		}
	}
	after := l.latest()
	if before.Epoch != after.Epoch || !slices.Equal(before.Names, after.Names) || !slices.Equal(entries, l.entries()) {
		l.t.Errorf("the store has changed: epoch %d is now %d", before.Epoch, after.Epoch)
	}
}

// suspended lists the suspended addresses with their reasons, in order.
func suspended(e *engine.Engine) []string {
	all := map[string]string{}
	for _, s := range e.Suspended() {
		all[s.Address.String()] = fmt.Sprint(s.Err)
	}
	var list []string
	for _, a := range slices.Sorted(maps.Keys(all)) {
		list = append(list, a+": "+all[a])
	}
	return list
}

func keeperAddress(id string) engine.Address {
	return engine.Address{Type: keeperFunction.Type(), ID: id}
}

// show describes values of an address: "n=…wire…".
func show(s engine.State) string {
	var all []string
	for _, v := range s.Values {
		all = append(all, fmt.Sprintf("%s %s %x", v.Name, v.Typename, v.Value))
	}
	return strings.Join(all, ", ")
}

func typ(namespace, name string) engine.FunctionType {
	return statefun.FunctionType{Namespace: namespace, Name: name}
}
