// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/engine"
)

type (
	small struct {
		A int64
		B bool
		C [3]uint16
	}
	large    struct{ A, B [200]byte } // Too large to be kept as it lies in memory.
	document struct {
		Name string
		Tags []string
	}
)

// Values behave the same however they are kept: as they lie in memory, or encoded, and for how long.
func TestValue(t *testing.T) {
	testValue(t, engine.Bool, false, true)
	testValue(t, engine.Int32, 7, -7)
	testValue(t, engine.Int64, 1, 1<<60)
	testValue(t, engine.Float64, 1.5, -2.5)
	testValue(t, engine.String, "one", strings.Repeat("two", 100))
	testValue(t, engine.Bytes("test/bytes"), []byte{1}, []byte{})
	testValue(t, engine.Tokens, 1, 2)
	testValue(t, engine.Flat[small]("test/small"), small{A: 1, B: true}, small{C: [3]uint16{1, 2, 3}})
	testValue(t, engine.Flat[large]("test/large"), large{A: [200]byte{1}}, large{B: [200]byte{199: 2}})
	testValue(t, engine.JSON[document]("test/document"), document{Name: "a", Tags: []string{"x"}}, document{Tags: []string{"y", "z"}})
	testValue(t, engine.JSON[*document]("test/pointer"), &document{Name: "a"}, &document{Name: "b"})
}

func testValue[T any](t *testing.T, typ engine.Type[T], a, b T) {
	testLastingValue(t, typ.Typename(), typ, a, b)
	for i, ttl := range []engine.Expiration{engine.AfterWrite(time.Hour), engine.AfterReadOrWrite(time.Hour), engine.AfterInvoke(time.Hour)} {
		testLastingValue(t, fmt.Sprint(typ.Typename(), ", expiration ", i), typ, a, b, ttl)
	}
}

func testLastingValue[T any](t *testing.T, name string, typ engine.Type[T], a, b T, ttl ...engine.Expiration) {
	t.Run(name, func(t *testing.T) {
		var zero T
		// Each step is an invocation that checks what the last one left.
		steps := []struct {
			name  string
			do    func(ctx *engine.Context, v engine.Value[T])
			fails bool
			want  T
			has   bool
		}{
			{name: "nothing yet", want: zero},
			{name: "set zero", do: func(ctx *engine.Context, v engine.Value[T]) { v.Set(ctx, zero) }, want: zero, has: true},
			{name: "clear", do: func(ctx *engine.Context, v engine.Value[T]) { v.Clear(ctx) }, want: zero},
			{name: "edit nothing", do: func(ctx *engine.Context, v engine.Value[T]) { v.Edit(ctx) }, want: zero, has: true},
			{name: "set", do: func(ctx *engine.Context, v engine.Value[T]) { v.Set(ctx, a) }, want: a, has: true},
			{name: "set and fail", do: func(ctx *engine.Context, v engine.Value[T]) { v.Set(ctx, b) }, fails: true, want: a, has: true},
			{name: "clear and fail", do: func(ctx *engine.Context, v engine.Value[T]) { v.Clear(ctx) }, fails: true, want: a, has: true},
			{name: "edit and fail", do: func(ctx *engine.Context, v engine.Value[T]) { *v.Edit(ctx) = b }, fails: true, want: a, has: true},
			{name: "edit", do: func(ctx *engine.Context, v engine.Value[T]) { *v.Edit(ctx) = b }, want: b, has: true},
			{name: "edit twice", do: func(ctx *engine.Context, v engine.Value[T]) {
				p := v.Edit(ctx)
				*p = a
				if v.Edit(ctx) != p {
					panic("another pointer")
				}
			}, want: a, has: true},
			{name: "edit, then set", do: func(ctx *engine.Context, v engine.Value[T]) { *v.Edit(ctx) = a; v.Set(ctx, b) }, want: b, has: true},
			{name: "set, then edit", do: func(ctx *engine.Context, v engine.Value[T]) { v.Set(ctx, zero); *v.Edit(ctx) = a }, want: a, has: true},
			{name: "edit, then clear", do: func(ctx *engine.Context, v engine.Value[T]) { *v.Edit(ctx) = b; v.Clear(ctx) }, want: zero},
			{name: "clear, then set", do: func(ctx *engine.Context, v engine.Value[T]) { v.Clear(ctx); v.Set(ctx, b) }, want: b, has: true},
			{name: "clear twice", do: func(ctx *engine.Context, v engine.Value[T]) { v.Clear(ctx); v.Clear(ctx) }, want: zero},
			{name: "set and fail on nothing", do: func(ctx *engine.Context, v engine.Value[T]) { v.Set(ctx, a) }, fails: true, want: zero},
			{name: "set at last", do: func(ctx *engine.Context, v engine.Value[T]) { v.Set(ctx, b) }, want: b, has: true},
		}
		check := func(ctx *engine.Context, v engine.Value[T], want T, has bool) error {
			got, ok := v.Lookup(ctx)
			if !same(got, want) || ok != has || !same(v.Get(ctx), want) {
				return fmt.Errorf("got %v, %v; want %v, %v", got, ok, want, has)
			}
			return nil
		}
		synctest.Test(t, func(t *testing.T) {
			var failures failureLog
			number, failed := 0, false
			e := open(t, engine.Config{Logger: slog.New(&failures)}, probeModule(func(s *engine.Schema) probeFunc {
				before := engine.NewValue(s, "before", engine.Bool)
				v := engine.NewValue(s, "value", typ, ttl...)
				after := engine.NewValue(s, "after", typ)
				return func(ctx *engine.Context, word string) error {
					switch step := steps[number]; {
					case word == "check":
						if _, ok := before.Lookup(ctx); ok {
							return engine.Permanent(errors.New("the value before has been written"))
						}
						if err := check(ctx, after, a, number > 0); number > 0 && err != nil {
							return engine.Permanent(fmt.Errorf("after: %w", err))
						}
						if err := check(ctx, v, step.want, step.has); err != nil {
							return engine.Permanent(fmt.Errorf("%s: %w", step.name, err))
						}
					case failed: // It is tried again: what is undone stays undone.
						failed = false
					case step.do != nil:
						step.do(ctx, v)
						after.Set(ctx, a)
						if step.fails {
							failed = true
							return errTest
						}
						if err := check(ctx, v, step.want, step.has); err != nil {
							return engine.Permanent(fmt.Errorf("%s, at once: %w", step.name, err))
						}
					}
					return nil
				}
			}))
			for ; number < len(steps); number++ {
				submit(t, e, "p", "do")
				checkpoint(t, e) // Encodes it, whatever it is.
				submit(t, e, "p", "check")
				time.Sleep(time.Second) // For what is tried again.
				synctest.Wait()
				for _, f := range failures.take() {
					if f.err != errTest {
						t.Fatal(f.err)
					}
				}
			}
		})
	})
}

// same is equality, but for an empty slice and none: their encodings are the same.
func same[T any](a, b T) bool {
	return reflect.DeepEqual(a, b) || reflect.TypeFor[T]().Kind() == reflect.Slice && reflect.ValueOf(a).Len() == 0 && reflect.ValueOf(b).Len() == 0
}

// What one invocation gets from a value is its own: changing it changes nothing for the next.
func TestValueIsNotShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var records recorder
		e := open(t, engine.Config{EpochInterval: engine.EpochsOff}, deliver(records.sink()), probeModule(func(s *engine.Schema) probeFunc {
			if s.FunctionType() != probeFunction.Type() {
				t.Errorf("the schema is of %v", s.FunctionType())
			}
			v := engine.NewValue(s, "document", engine.JSON[document]("test/document"))
			return func(ctx *engine.Context, word string) error {
				if word == "set" {
					v.Set(ctx, document{Tags: []string{"kept"}})
				}
				v.Get(ctx).Tags[0] = "changed"
				said.Send(ctx, v.Get(ctx).Tags[0])
				return nil
			}
		}))
		submit(t, e, "p", "set", "p", "get")
		wantItems(t, &records.list, "kept", "kept")
	})
}

// A value that is kept encoded and is over the limit fails the invocation, also when it is edited.
func TestValueLimit(t *testing.T) {
	const most = 64
	tests := []struct {
		name string
		do   func(ctx *engine.Context, v engine.Value[string], text string)
	}{
		{"set", func(ctx *engine.Context, v engine.Value[string], text string) { v.Set(ctx, text) }},
		{"edit", func(ctx *engine.Context, v engine.Value[string], text string) { *v.Edit(ctx) = text }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var failures failureLog
				var records recorder
				e := open(t, engine.Config{PayloadBytesMax: most, Logger: slog.New(&failures), EpochInterval: engine.EpochsOff},
					deliver(records.sink()), probeModule(func(s *engine.Schema) probeFunc {
						v := engine.NewValue(s, "text", engine.String)
						return func(ctx *engine.Context, word string) error {
							switch word {
							case "at":
								tt.do(ctx, v, strings.Repeat("x", most-2))
							case "over":
								tt.do(ctx, v, strings.Repeat("x", most-1))
							}
							said.Send(ctx, fmt.Sprint(len(v.Get(ctx))))
							return nil
						}
					}, engine.Retries(0)))
				submit(t, e, "p", "at", "p", "show", "p", "over")
				wantItems(t, &records.list, "62", "62")
				if f := failures.take(); len(f) != 1 || !errors.Is(f[0].err, engine.ErrLimit) {
					t.Errorf("failures %v, want ErrLimit", f)
				}
			})
		})
	}
}

// Up to 32 values, of all sizes, do not overlap.
func TestManyValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failures failureLog
		e := open(t, engine.Config{Logger: slog.New(&failures)}, probeModule(func(s *engine.Schema) probeFunc {
			var flags [16]engine.Value[bool]
			var texts [16]engine.Value[string]
			for i := range flags {
				flags[i] = engine.NewValue(s, fmt.Sprint("flag", i), engine.Bool)
				texts[i] = engine.NewValue(s, fmt.Sprint("text", i), engine.String)
			}
			return func(ctx *engine.Context, word string) error {
				for i := range flags {
					switch {
					case word == "set" && i%2 == 0:
						flags[i].Set(ctx, true)
						texts[i].Set(ctx, fmt.Sprint(i))
					case word == "check":
						text, has := texts[i].Lookup(ctx)
						if flags[i].Get(ctx) != (i%2 == 0) || has != (i%2 == 0) || has && text != fmt.Sprint(i) {
							return engine.Permanent(fmt.Errorf("value %d is %v, %q", i, flags[i].Get(ctx), text))
						}
					}
				}
				return nil
			}
		}))
		submit(t, e, "p", "set", "p", "check")
		if f := failures.take(); len(f) != 0 {
			t.Error(f)
		}
	})
}
