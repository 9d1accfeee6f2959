// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/backendtest"
	"github.com/millrace-io/millrace/engine/connector"
)

// twoHandlers is a contract that the declarations below use wrongly.
type twoHandlers interface {
	First(*engine.Context, string) error
	Second(*engine.Context, string) error
}

type twoFn struct{}

func (twoFn) First(*engine.Context, string) error  { return nil }
func (twoFn) Second(*engine.Context, string) error { return nil }

var (
	ambiguous = engine.Define[twoHandlers]("test/ambiguous")
	_         = engine.Accept(ambiguous, engine.String, twoHandlers.First)
	_         = engine.Accept(ambiguous, engine.String, twoHandlers.Second)

	halfUsed = engine.Define[twoHandlers]("test/half-used")
	_        = engine.Accept(halfUsed, engine.String, twoHandlers.First)

	numbers = engine.NewIngress("test/words", engine.Int64) // Not what words says.
)

func provideTwo(*engine.Schema) twoHandlers { return twoFn{} }

// state has the probe declare state values with the given names, and nothing else.
func state(names ...string) engine.Module {
	return probeModule(func(s *engine.Schema) probeFunc {
		for _, name := range names {
			engine.NewValue(s, name, engine.Int64)
		}
		return func(*engine.Context, string) error { return nil }
	})
}

func named(name string, m engine.Module) engine.Module { m.Name = name; return m }

// Open says everything that is wrong, at once, with the names of what and where.
func TestOpenRefuses(t *testing.T) {
	key := func(w string) string { return w }
	many := make([]string, 33)
	for i := range many {
		many[i] = fmt.Sprint("v", i)
	}
	shards := 0
	tests := []struct {
		name    string
		config  engine.Config
		modules []engine.Module
		want    []string // Each on a line of its own.
	}{
		{name: "config", config: engine.Config{BatchMax: -1}, want: []string{"Config.BatchMax is -1: want 1 to 65536"}},
		{name: "no Bind", modules: []engine.Module{{Name: "hollow"}}, want: []string{"module hollow: Bind is nil"}},
		{
			name:    "Bind fails",
			modules: []engine.Module{{Name: "sad", Bind: func(*engine.Binder) error { return errTest }}},
			want:    []string{"module sad: as the test wants it"},
		},
		{
			name:    "two inputs with one typename",
			modules: []engine.Module{bind(func(b *engine.Binder) { engine.Bind(b, ambiguous, provideTwo) })},
			want:    []string{"module more: test/ambiguous: two inputs have the typename io.statefun.types/string"},
		},
		{
			name:    "a method without input",
			modules: []engine.Module{bind(func(b *engine.Binder) { engine.Bind(b, halfUsed, provideTwo) })},
			want:    []string{"module more: test/half-used: the contract engine_test.twoHandlers has 2 methods, but only 1 inputs"},
		},
		{name: "bound twice", modules: []engine.Module{named("a", state()), named("b", state())}, want: []string{"test/probe is bound by module a and by module b"}},
		{
			name: "what is nil",
			modules: []engine.Module{bind(func(b *engine.Binder) {
				b.Door(nil)
				engine.Connect(b, words, nil)
				engine.Deliver(b, said, nil)
			})},
			want: []string{"module more: a door is nil", "module more: ingress test/words: the source is nil", "module more: egress test/said: the sink is nil"},
		},
		{
			name: "a caller's type",
			modules: []engine.Module{bind(func(b *engine.Binder) {
				engine.Bind(b, engine.Define[interface{}]("io.millrace.engine/caller"), func(*engine.Schema) any { return nil })
			})},
			want: []string{"io.millrace.engine/caller is bound by module more, but is the type of callers from outside"},
		},
		{
			name:    "required and not bound",
			modules: []engine.Module{bind(func(b *engine.Binder) { b.Require(probeFunction, absentFunction) }), state()},
			want:    []string{"module more requires test/absent, which no module binds"},
		},
		{
			name: "routed to and not bound",
			modules: []engine.Module{bind(func(b *engine.Binder) {
				engine.Route(b, words, toAbsent, key)
				engine.RouteKey(b, words, Do)
			})},
			want: []string{"module more requires test/absent", "module more requires test/probe"},
		},
		{
			name:    "source without route",
			modules: []engine.Module{bind(func(b *engine.Binder) { engine.Connect(b, words, &wordSource{}) })},
			want:    []string{"ingress test/words has a source and no route"},
		},
		{
			name: "ingress with two types",
			modules: []engine.Module{bind(func(b *engine.Binder) {
				engine.RouteFunc(b, words, func(*engine.Downstream, string) error { return nil })
				engine.RouteFunc(b, numbers, func(*engine.Downstream, int64) error { return nil })
			})},
			want: []string{"ingress test/words is routed as io.statefun.types/long and as io.statefun.types/string"},
		},
		{
			name:    "two sinks",
			modules: []engine.Module{deliver(connector.SinkFunc(nil)), deliver(connector.SinkFunc(nil))},
			want:    []string{"module more: egress test/said: a second sink"},
		},
		{name: "negative retries", modules: []engine.Module{probeModule(sayAll, engine.Retries(-1))}, want: []string{"module probe: test/probe: -1 retries"}},
		{name: "two states of one name", modules: []engine.Module{state("n", "m", "n")}, want: []string{`test/probe: two state values are named "n"`}},
		{name: "state without a name", modules: []engine.Module{state("")}, want: []string{"test/probe: a state value has no name"}},
		{name: "too many states", modules: []engine.Module{state(many...)}, want: []string{`test/probe: state value "v32" is one too many: at most 32`}},
		{
			name: "state with a zero Type",
			modules: []engine.Module{probeModule(func(s *engine.Schema) probeFunc {
				engine.NewValue(s, "n", engine.Type[int64]{})
				return nil
			})},
			want: []string{`test/probe: state value "n" has a Type that was never made`},
		},
		{
			name:   "state that depends on the shard",
			config: engine.Config{Shards: 2},
			modules: []engine.Module{probeModule(func(s *engine.Schema) probeFunc {
				engine.NewValue(s, fmt.Sprint("n", shards), engine.Int64)
				shards++
				return nil
			})},
			want: []string{"test/probe: state declared for shard 1 differs from shard 0"},
		},
		{
			name:    "all of it",
			modules: []engine.Module{{Name: "hollow"}, named("a", state("n", "n")), named("b", state()), bind(func(b *engine.Binder) { b.Require(absentFunction) })},
			want:    []string{"module hollow", "module a and by module b", "two state values", "requires test/absent"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sink := &lifecycle{}
			modules := append(tt.modules, bind(func(b *engine.Binder) { engine.Deliver(b, nowhere, sink) }))
			e, err := engine.Open(t.Context(), tt.config, modules...)
			if err == nil {
				_ = e.Close(context.Background())
				t.Fatal("Open takes it")
			}
			lines := strings.Split(err.Error(), "\n")
			for _, want := range tt.want {
				if !containsPart(lines, want) {
					t.Errorf("no line with %q in\n%v", want, err)
				}
			}
			if sink.opened != 0 {
				t.Error("a sink was opened")
			}
		})
	}
}

func containsPart(lines []string, part string) bool {
	for _, l := range lines {
		if strings.Contains(l, part) {
			return true
		}
	}
	return false
}

// lifecycle is a sink that counts what happens to it.
type lifecycle struct {
	connector.SinkFunc
	opened, closed int
	openErr        error
}

func (l *lifecycle) Open(context.Context) error { l.opened++; return l.openErr }

func (l *lifecycle) Close(context.Context) error { l.closed++; return nil }

// A sink that does not open fails Open, which closes those that did.
func TestOpenSinkFails(t *testing.T) {
	good, bad := &lifecycle{}, &lifecycle{openErr: errTest}
	_, err := engine.Open(t.Context(), engine.Config{}, bind(func(b *engine.Binder) {
		engine.Deliver(b, said, bad)
		engine.Deliver(b, nowhere, good)
	}))
	if !errors.Is(err, errTest) || !strings.Contains(err.Error(), "egress test/said") {
		t.Errorf("Open: %v", err)
	}
	if good.opened != 1 || good.closed != 1 || bad.opened != 1 || bad.closed != 0 {
		t.Errorf("good %+v, bad %+v", good, bad)
	}
}

// Close commits what is there. A store that cannot say what it holds is not taken for an empty one.
func TestOpenReadsLatest(t *testing.T) {
	store := model(t)
	e := open(t, engine.Config{Application: "test", Backend: store}, probeModule(sayAll))
	closeEngine(t, e)
	cp, ok, err := store.Latest(t.Context())
	if !ok || err != nil || cp.Application != "test" || cp.KeyGroups != 128 || cp.Generation != 1 {
		t.Errorf("Close has committed %+v, %v, %v", cp, ok, err)
	}
	_ = store.Close()
	if _, err := engine.Open(t.Context(), engine.Config{Application: "test", Backend: store}, probeModule(sayAll)); !errors.Is(err, os.ErrClosed) || !strings.Contains(err.Error(), "read the latest checkpoint") {
		t.Errorf("Open: %v", err)
	}
}

func model(t *testing.T) *backendtest.Model {
	t.Helper()
	m, err := backendtest.NewModel(backend.Options{Application: "test", KeyGroups: 128})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestConfigValidate(t *testing.T) {
	if err := (engine.Config{}).Validate(); err != nil {
		t.Errorf("the zero Config: %v", err)
	}
	tests := []struct {
		config engine.Config
		want   string // "": valid.
	}{
		{engine.Config{Application: "a\nb"}, `Application "a\nb": want up to 255 bytes without line breaks`},
		{engine.Config{Application: strings.Repeat("a", 256)}, "Application"},
		{engine.Config{KeyGroups: -1}, "KeyGroups is -1: want 1 to 32768"},
		{engine.Config{KeyGroups: 1 << 15}, ""},
		{engine.Config{KeyGroups: 1<<15 + 1}, "KeyGroups is 32769"},
		{engine.Config{Shards: 3, KeyGroups: 2}, "Shards is 3: want 1 to 2"},
		{engine.Config{Shards: 200}, ""},
		{engine.Config{Shards: 1025}, "Shards is 1025: want 1 to 1024"},
		{engine.Config{EpochInterval: engine.EpochsOff}, ""},
		{engine.Config{EpochInterval: time.Millisecond}, ""},
		{engine.Config{EpochInterval: time.Millisecond - 1}, "EpochInterval is 999.999µs: want at least 1ms, or EpochsOff"},
		{engine.Config{EpochInterval: -2}, "EpochInterval is -2ns"},
		{engine.Config{QueueBytesMax: -1}, "QueueBytesMax is -1"},
		{engine.Config{PayloadBytesMax: 1<<30 + 1}, "PayloadBytesMax is 1073741825: want 1 to 1073741824"},
		{engine.Config{SendsMax: -1}, "SendsMax is -1"},
		{engine.Config{BatchMax: 1 << 17}, "BatchMax is 131072"},
		{engine.Config{RingSlots: -1}, "RingSlots is -1"},
		{engine.Config{InboxSlots: 1<<24 + 1}, "InboxSlots is 16777217"},
	}
	for _, tt := range tests {
		t.Run(tt.want, func(t *testing.T) {
			err := tt.config.Validate()
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), "engine: Config."+tt.want)) {
				t.Errorf("%+v: %v", tt.config, err)
			}
		})
	}
	err := engine.Config{KeyGroups: -1, SendsMax: -1, RingSlots: -1}.Validate()
	if err == nil || strings.Count(err.Error(), "engine: Config.") != 4 { // Shards cannot be right either.
		t.Errorf("several problems: %v", err)
	}
}

// What stands in the program text and is malformed panics when the program starts.
func TestDeclarationsPanic(t *testing.T) {
	tests := map[string]func(){
		"Define(name)":       func() { engine.Define[probe]("probe") },
		"Define(contract)":   func() { engine.Define[probeFunc]("test/probe") },
		"Accept(zero Type)":  func() { engine.Accept(absentFunction, engine.Type[string]{}, probe.Do) },
		"NewIngress":         func() { engine.NewIngress("words", engine.String) },
		"NewEgress":          func() { engine.NewEgress("/said", engine.String) },
		"JSON(typename)":     func() { engine.JSON[int]("int") },
		"Flat(with pointer)": func() { engine.Flat[string]("test/flat") },
	}
	for name, declare := range tests {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if p, ok := recover().(string); !ok || p == "" {
					t.Errorf("recovered %v, want a message", p)
				}
			}()
			declare()
		})
	}
}
