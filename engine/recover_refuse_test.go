// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/backend"
	entries "github.com/millrace-io/millrace/engine/internal/checkpoint"
)

// altered is a store whose entries and checkpoint a test changes on their way to the engine.
type altered struct {
	backend.Backend
	entries func([]backend.Entry) []backend.Entry
	latest  func(*backend.Checkpoint)
	err     error // Of a scan that breaks off.
	all     bool  // Whatever key groups are asked for.
}

func (a altered) Latest(ctx context.Context) (backend.Checkpoint, bool, error) {
	cp, ok, err := a.Backend.Latest(ctx)
	if a.latest != nil {
		a.latest(&cp)
	}
	return cp, ok, err
}

func (a altered) Scan(ctx context.Context, r backend.KeyGroupRange) iter.Seq2[backend.Entry, error] {
	if a.all {
		r = backend.KeyGroupRange{End: 128}
	}
	var all []backend.Entry
	for e, err := range a.Backend.Scan(ctx, r) {
		if err != nil {
			panic(err)
		}
		all = append(all, e)
	}
	if a.entries != nil {
		all = a.entries(all)
	}
	return func(yield func(backend.Entry, error) bool) {
		for _, e := range all {
			if !yield(e, nil) {
				return
			}
		}
		if a.err != nil {
			yield(backend.Entry{}, a.err)
		}
	}
}

// oneOfEach leaves in a store entries of all kinds, and returns what can be opened on it.
func oneOfEach(t *testing.T) (l *life, modules []engine.Module) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { l, modules = leaveOneOfEach(t) })
	l.t = t
	kinds := map[byte]int{}
	for e, err := range l.store.Scan(t.Context(), backend.KeyGroupRange{End: 128}) {
		if err != nil {
			t.Fatal(err)
		}
		kinds[entries.KindOf(e.Key)]++
	}
	for _, kind := range []byte{entries.KindState, entries.KindMessage, entries.KindSuspended, entries.KindDelayed, entries.KindRecord} {
		if kinds[kind] == 0 {
			t.Fatalf("no entries of kind %d: %v", kind, kinds)
		}
	}
	return l, modules
}

func leaveOneOfEach(t *testing.T) (*life, []engine.Module) {
	t.Helper()
	modules := []engine.Module{probeModule(func(s *engine.Schema) probeFunc {
		n := engine.NewValue(s, "n", engine.Int64)
		return func(ctx *engine.Context, word string) error {
			if word == "fail" {
				return errTest
			}
			n.Set(ctx, 5)
			Do.Same().SendAfter(ctx, 1e9, "later")
			said.Send(ctx, word)
			return nil
		}
	}, engine.Retries(0))}
	l := newLife(t)
	e := l.start(engine.Config{Shards: 2}, append(modules, deliver(&heldSink{closed: make(chan struct{})}))...)
	submit(t, e, "a", "fine", "a", "fail")
	checkpoint(t, e)
	var err error
	if l.store, err = l.store.Reopen(storeOptions); err != nil { // What e does from here on is of no account.
		t.Fatal(err)
	}
	return l, append(modules, deliver((&recorder{}).sink()))
}

// Whatever is not for this application, or not what it was when it was written, is refused, with where it lies,
// and the store stays as it is.
func TestRecoverRefuses(t *testing.T) {
	one := func(kind byte, change func(e *backend.Entry)) func([]backend.Entry) []backend.Entry {
		return func(all []backend.Entry) []backend.Entry {
			for i := range all {
				if e := &all[i]; entries.KindOf(e.Key) == kind {
					e.Key, e.Value = slices.Clone(e.Key), slices.Clone(e.Value)
					change(e)
				}
			}
			return all
		}
	}
	cut := func(e *backend.Entry) { e.Value = e.Value[:len(e.Value)-1] }
	unknown := func(e *backend.Entry) { e.Key = append([]byte{e.Key[0], 0xff, 0x7f}, e.Key[2:]...) }
	elsewhere := func(e *backend.Entry) { e.Group ^= 1 }
	tests := []struct {
		name   string
		store  altered
		config engine.Config
		want   []string
	}{
		{"application", altered{}, engine.Config{Application: "other"}, []string{`is one of application "test", and Config.Application is "other"`, "another application"}},
		{"key groups", altered{}, engine.Config{KeyGroups: 64}, []string{"has 128 key groups, and Config.KeyGroups is 64", "another application"}},
		{"names", altered{latest: func(cp *backend.Checkpoint) { cp.Names = cp.Names[1:] }}, engine.Config{}, []string{"corrupt", "names"}},
		{
			"names that are none",
			altered{latest: func(cp *backend.Checkpoint) {
				cp.Names = entries.AppendNames(nil, []entries.FunctionNames{{Function: "probe"}})
			}},
			engine.Config{},
			[]string{"corrupt", "name of function type 0", `"probe"`},
		},
		{
			"one name twice",
			altered{latest: func(cp *backend.Checkpoint) {
				cp.Names = entries.AppendNames(nil, []entries.FunctionNames{{Function: "a/b"}, {Function: "a/b"}})
			}},
			engine.Config{},
			[]string{"corrupt", "two function types are named a/b"},
		},
		{
			"one value twice",
			altered{latest: func(cp *backend.Checkpoint) {
				cp.Names = entries.AppendNames(nil, []entries.FunctionNames{{Function: "a/b", Values: []entries.ValueName{{Name: "n"}, {Name: "n"}}}})
			}},
			engine.Config{},
			[]string{"corrupt", `a/b: two state values are named "n"`},
		},
		{
			"too many function types",
			altered{latest: func(cp *backend.Checkpoint) {
				var names []entries.FunctionNames
				for n := range 1<<16 - 1 {
					names = append(names, entries.FunctionNames{Function: fmt.Sprint("a/f", n)})
				}
				cp.Names = entries.AppendNames(nil, names)
			}},
			engine.Config{},
			[]string{"65537 function types, with 65535 that the store knows and no module provides: at most 65536 are possible"},
		},
		{"a scan that breaks off", altered{err: errTest}, engine.Config{}, []string{"scan key groups", "as the test wants it"}},
		{"another shard's", altered{all: true}, engine.Config{Shards: 2}, []string{"corrupt", "asked for key groups"}},
		{"no key", altered{entries: one(1, func(e *backend.Entry) { e.Key = nil })}, engine.Config{}, []string{"corrupt", "key group", "kind 0"}},
		{"kind", altered{entries: one(1, func(e *backend.Entry) { e.Key[0] = 77 })}, engine.Config{}, []string{"corrupt", "key group", "key 4d", "kind 77"}},
		{"state: cut", altered{entries: one(1, cut)}, engine.Config{}, []string{"corrupt", "key group", "key 01"}},
		{"state: decoded", altered{entries: one(1, func(e *backend.Entry) { e.Value = []byte{0, 1, 0xff} })}, engine.Config{}, []string{"corrupt", "key 01", `state "n" of test/probe/a`}},
		{"state: value", altered{entries: one(1, func(e *backend.Entry) { e.Value[0] = 200; e.Value = slices.Insert(e.Value, 1, 1) })}, engine.Config{}, []string{"corrupt", "key 01"}},
		{"state: function", altered{entries: one(1, unknown)}, engine.Config{}, []string{"corrupt", "key 01ff7f", "function type 16383"}},
		{"state: key group", altered{entries: one(1, elsewhere)}, engine.Config{}, []string{"corrupt", "key 01"}},
		{"state: twice", altered{entries: func(all []backend.Entry) []backend.Entry { return append(all, all...) }}, engine.Config{}, []string{"corrupt", "key 01", "second"}},
		{"message: cut", altered{entries: one(2, func(e *backend.Entry) { e.Value = e.Value[:1] })}, engine.Config{}, []string{"corrupt", "key 02"}},
		{"message: function", altered{entries: one(2, unknown)}, engine.Config{}, []string{"corrupt", "key 02ff7f"}},
		{"message: key group", altered{entries: one(2, elsewhere)}, engine.Config{}, []string{"corrupt", "key 02"}},
		{"message: caller", altered{entries: one(2, func(e *backend.Entry) {
			e.Value = append(entries.AppendMessage(nil, &entries.Message{HasCaller: true, Caller: 9999, CallerID: []byte("x"), Typename: []byte("a/b")}), 1)
		})}, engine.Config{}, []string{"corrupt", "key 02", "9999"}},
		{"suspended: function", altered{entries: one(3, unknown)}, engine.Config{}, []string{"corrupt", "key 03ff7f"}},
		{"suspended: key group", altered{entries: one(3, elsewhere)}, engine.Config{}, []string{"corrupt", "key 03"}},
		{"delayed: cut", altered{entries: one(4, func(e *backend.Entry) { e.Value = e.Value[:9] })}, engine.Config{}, []string{"corrupt", "key 04"}},
		{"delayed: key group", altered{entries: one(4, elsewhere)}, engine.Config{}, []string{"corrupt", "key 04"}},
		{"key: cut", altered{entries: func(all []backend.Entry) []backend.Entry {
			if len(all) > 0 {
				all = append(all, backend.Entry{Group: all[0].Group, Key: entries.AppendKeyKey(nil, 1, []byte("a"), []byte("k")), Value: []byte("x")})
			}
			return all
		}}, engine.Config{}, []string{"corrupt", "key 05"}},
		{"record: cut", altered{entries: one(6, func(e *backend.Entry) { e.Value = e.Value[:3] })}, engine.Config{}, []string{"corrupt", "key 06"}},
		{"record: key", altered{entries: one(6, func(e *backend.Entry) { e.Key = e.Key[:4] })}, engine.Config{}, []string{"corrupt", "key 06"}},
		{"record: key group", altered{entries: one(6, elsewhere)}, engine.Config{}, []string{"corrupt", "key 06"}},
		{"record: sender", altered{entries: one(6, func(e *backend.Entry) {
			e.Value = entries.AppendRecord(nil, &entries.Record{Egress: []byte("test/said"), Sender: 9999, SenderID: []byte("a"), Typename: []byte("a/b")})
		})}, engine.Config{}, []string{"corrupt", "key 06", "9999"}},
	}
	l, modules := oneOfEach(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l.t = t
			tt.store.Backend = l.store
			tt.config.Backend, tt.config.Shards = tt.store, max(tt.config.Shards, 1)
			if tt.config.Application == "" {
				tt.config.Application = "test"
			}
			l.refuses(tt.config, tt.want, modules...)
		})
	}
}

// A context that ends ends the loading.
func TestRecoverIsCancelled(t *testing.T) {
	l, modules := oneOfEach(t)
	sink := &lifecycle{}
	modules = append(modules, bind(func(b *engine.Binder) { engine.Deliver(b, nowhere, sink) }))
	ctx, cancel := context.WithCancel(t.Context())
	store := altered{Backend: l.store, entries: func(all []backend.Entry) []backend.Entry { cancel(); return all }}
	_, err := engine.Open(ctx, engine.Config{Application: "test", Backend: store, Logger: quiet}, modules...)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Open: %v", err)
	}
	if sink.opened != sink.closed {
		t.Errorf("a sink was opened %d times and closed %d times", sink.opened, sink.closed)
	}
}

// An epoch that is never committed has numbers of its own too: what leaves in it leaves under names that were
// never used (P33).
func TestRecoverWithoutEpochs(t *testing.T) {
	l, modules := oneOfEach(t)
	synctest.Test(t, func(t *testing.T) {
		l.t = t
		time.Sleep(time.Hour)
		e := l.start(engine.Config{EpochInterval: engine.EpochsOff}, modules...)
		before := l.latest().Epoch
		checkpoint(t, e)
		if after := l.latest().Epoch; after <= before+1 || uint64(after) > math.MaxInt64 {
			t.Errorf("epoch %d behind %d", after, before)
		}
	})
}

// A function type cannot become one of callers, nor the other way round, while there is state under its name.
func TestRecoverBecomesCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		doorFunction := engine.Define[probe]("test/door")
		toDoor := engine.Accept(doorFunction, engine.String, probe.Do)
		l := newLife(t)
		e := l.start(engine.Config{}, bind(func(b *engine.Binder) {
			engine.Bind(b, doorFunction, func(s *engine.Schema) probe {
				n := engine.NewValue(s, "n", engine.Int64)
				return probeFunc(func(ctx *engine.Context, _ string) error { n.Set(ctx, 1); return nil })
			})
		}))
		if err := toDoor.To("a").Submit(t.Context(), e, "x"); err != nil {
			t.Fatal(err)
		}
		closeEngine(t, e)
		l.refuses(engine.Config{Application: "test"}, []string{"test/door is the type of callers from outside, and the store has state"}, bind(func(b *engine.Binder) { b.Door(&door{}) }))
	})
}
