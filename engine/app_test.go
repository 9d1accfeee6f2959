// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/connector"
)

// What the tests of this package share: a function that does whatever the test says, an egress, an
// ingress, and a log that keeps failures. Most tests run in a bubble of testing/synctest, where an engine
// that has nothing to do lets time pass: back-off and delays take no real time.

type probe interface {
	Do(*engine.Context, string) error
}

type probeFunc func(ctx *engine.Context, word string) error

func (f probeFunc) Do(ctx *engine.Context, word string) error { return f(ctx, word) }

var (
	probeFunction = engine.Define[probe]("test/probe")
	Do            = engine.Accept(probeFunction, engine.String, probe.Do)
	words         = engine.NewIngress("test/words", engine.String)
	said          = engine.NewEgress("test/said", engine.String)
	nowhere       = engine.NewEgress("test/nowhere", engine.String)

	absentFunction = engine.Define[probe]("test/absent")
	toAbsent       = engine.Accept(absentFunction, engine.String, probe.Do)

	errTest = errors.New("as the test wants it")
)

// probeModule binds the probe. make is called once for each shard.
func probeModule(f func(*engine.Schema) probeFunc, options ...engine.FunctionOption) engine.Module {
	return engine.Module{Name: "probe", Bind: func(b *engine.Binder) error {
		engine.Bind(b, probeFunction, func(s *engine.Schema) probe { return f(s) }, options...)
		return nil
	}}
}

// stateless is for probes without state.
func stateless(f probeFunc) func(*engine.Schema) probeFunc {
	return func(*engine.Schema) probeFunc { return f }
}

// sayAll is a probe that says what it is told.
var sayAll = stateless(func(ctx *engine.Context, word string) error {
	said.Send(ctx, ctx.Self().ID+":"+word)
	return nil
})

func bind(f func(b *engine.Binder)) engine.Module {
	return engine.Module{Name: "more", Bind: func(b *engine.Binder) error { f(b); return nil }}
}

// deliver binds a sink to the egress said.
func deliver(s connector.Sink) engine.Module {
	return bind(func(b *engine.Binder) { engine.Deliver(b, said, s) })
}

// open opens an engine whose epochs end only when asked, unless c says otherwise, and closes it in the end.
func open(t *testing.T, c engine.Config, modules ...engine.Module) *engine.Engine {
	t.Helper()
	if c.Shards == 0 {
		c.Shards = 2
	}
	if c.EpochInterval == 0 {
		c.EpochInterval = 24 * time.Hour
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	e, err := engine.Open(t.Context(), c, modules...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close(context.Background()) })
	return e
}

// submit sends words to probes, in turn: id, word, id, word. When it returns, all is done.
func submit(t *testing.T, e *engine.Engine, idsAndWords ...string) {
	t.Helper()
	for pair := range slices.Chunk(idsAndWords, 2) {
		if err := Do.To(pair[0]).Submit(t.Context(), e, pair[1]); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Wait()
}

// checkpoint ends the epoch, so that its records leave.
func checkpoint(t *testing.T, e *engine.Engine) {
	t.Helper()
	if err := e.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

func closeEngine(t *testing.T, e *engine.Engine) {
	t.Helper()
	if err := e.Close(context.Background()); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// list keeps what several goroutines append.
type list[T any] struct {
	mu    sync.Mutex
	items []T
}

func (l *list[T]) add(items ...T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.items = append(l.items, items...)
}

// take returns what was appended since the last call.
func (l *list[T]) take() []T {
	l.mu.Lock()
	defer l.mu.Unlock()
	items := l.items
	l.items = nil
	return items
}

func wantItems[T comparable](t *testing.T, l *list[T], want ...T) {
	t.Helper()
	if got := l.take(); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// recorder is a sink that keeps the words that were said.
type recorder struct{ list[string] }

func (r *recorder) sink() connector.Sink {
	return connector.SinkFunc(func(rec connector.Record) error {
		word, err := engine.String.Decode(rec.Value)
		r.add(word)
		return err
	})
}

// failureLog is a slog.Handler that keeps the failures that the engine logs.
type failureLog struct{ list[failure] }

type failure struct {
	suspended bool
	err       error
	address   string
}

func (*failureLog) Enabled(context.Context, slog.Level) bool { return true }
func (l *failureLog) WithAttrs([]slog.Attr) slog.Handler     { return l }
func (l *failureLog) WithGroup(string) slog.Handler          { return l }

func (l *failureLog) Handle(_ context.Context, r slog.Record) error {
	var address string
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "address" {
			address = a.Value.String()
		}
		if err, ok := a.Value.Any().(error); ok {
			l.add(failure{r.Level == slog.LevelError, err, address})
		}
		return true
	})
	return nil
}

// wordSource hands out words, one a poll, whose keys are the words, and then ends, fails or waits.
type wordSource struct {
	words          []string
	end            error // nil: it waits.
	opened, closed int
	openErr        error
	next           int
}

func (s *wordSource) Open(context.Context, []byte) error { s.opened++; return s.openErr }

func (s *wordSource) Poll(ctx context.Context, into *connector.Events) error {
	if s.next < len(s.words) {
		word, err := engine.String.Append(nil, s.words[s.next])
		if err != nil {
			return err
		}
		into.Append([]byte(s.words[s.next]), "", word)
		s.next++
		return nil
	}
	if s.end == nil {
		<-ctx.Done()
	}
	return s.end
}

func (s *wordSource) Position() []byte { return []byte{byte(s.next)} }
func (s *wordSource) Close() error     { s.closed++; return nil }

// ended is a source that comes to its end.
func ended(words ...string) *wordSource { return &wordSource{words: words, end: io.EOF} }
