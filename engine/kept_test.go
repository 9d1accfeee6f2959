// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/connector"
)

// The bytes that a program gets are its own: what is recycled behind them does not change them.
func TestBytesMayBeKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &door{}
		var kept list[engine.TypedValue]
		keeps := askedKeeper{askedFunc(func(_ *engine.Context, q string) (string, error) { return q, nil }), &kept}
		e := open(t, engine.Config{Shards: 1}, bind(func(b *engine.Binder) {
			b.Door(d)
			engine.Bind(b, askedFunction, func(*engine.Schema) asked { return keeps })
		}))
		run(t, e)
		to := engine.Address{Type: askedFunction.Type(), ID: "a"}
		var values, answers []engine.TypedValue
		for i := range 20 {
			text := strings.Repeat(string(rune('a'+i)), 100)
			values = append(values, engine.TypedValue{Typename: "test/kept", Value: []byte(text)})
			if err := d.in.Send(t.Context(), to, values[i], connector.Delivery{}); err != nil {
				t.Fatal(err)
			}
			answer, err := d.in.Call(t.Context(), doorCaller, to, encoded(t, text), connector.Delivery{})
			if err != nil {
				t.Fatal(err)
			}
			answers = append(answers, answer)
		}
		synctest.Wait()
		got := kept.take()
		if len(got) != len(values) {
			t.Fatalf("%d messages; want %d", len(got), len(values))
		}
		for i, v := range values {
			if string(got[i].Value) != string(v.Value) {
				t.Errorf("message %d has become %q", i, got[i].Value)
			}
			if want := encoded(t, string(v.Value)); string(answers[i].Value) != string(want.Value) {
				t.Errorf("answer %d has become %q", i, answers[i].Value)
			}
		}
	})
}

// askedKeeper keeps what has no input of its own.
type askedKeeper struct {
	askedFunc
	kept *list[engine.TypedValue]
}

func (k askedKeeper) Rest(_ *engine.Context, m engine.TypedValue) error { k.kept.add(m); return nil }

// once is a text that cannot be read back.
var once = engine.NewType("test/once",
	func(dst []byte, v string) ([]byte, error) { return append(dst, v...), nil },
	func([]byte) (string, error) { return "", errTest })

// State that does not decode fails whoever reads it, and is kept as it is.
func TestUndecodableState(t *testing.T) {
	reads := map[string]func(ctx *engine.Context, v engine.Value[string]){
		"Get":    func(ctx *engine.Context, v engine.Value[string]) { v.Get(ctx) },
		"Lookup": func(ctx *engine.Context, v engine.Value[string]) { v.Lookup(ctx) },
		"Edit":   func(ctx *engine.Context, v engine.Value[string]) { *v.Edit(ctx) = "new" },
	}
	for name, read := range reads {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var failures failureLog
				var records recorder
				e := open(t, engine.Config{Logger: slog.New(&failures), EpochInterval: engine.EpochsOff}, deliver(records.sink()),
					probeModule(func(s *engine.Schema) probeFunc {
						v := engine.NewValue(s, "v", once)
						return func(ctx *engine.Context, word string) error {
							switch word {
							case "set":
								v.Set(ctx, "old")
							case "read":
								read(ctx, v)
							}
							said.Send(ctx, word)
							return nil
						}
					}, engine.Retries(0)))
				submit(t, e, "p", "set", "q", "read", "p", "write only", "p", "read")
				got := map[string]bool{}
				for _, word := range records.take() {
					got[word] = true
				}
				if fmt.Sprint(got) != "map[read:true set:true write only:true]" { // q has none to read.
					t.Errorf("said %v", got)
				}
				if f := failures.take(); len(f) != 1 || !errors.Is(f[0].err, engine.ErrUndecodable) || !errors.Is(f[0].err, errTest) {
					t.Errorf("failures %v; want ErrUndecodable", f)
				}
			})
		})
	}
}
