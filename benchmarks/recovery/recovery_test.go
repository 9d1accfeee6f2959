// SPDX-License-Identifier: Apache-2.0

// Package recovery measures how long a process is away: from opening a store in which there is a checkpoint to
// the first answer.
package recovery

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/millrace-io/millrace/backends/file"
	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/connector"
)

type counter interface {
	Add(*engine.Context, int64) (int64, error)
}

type counterFn struct{ n engine.Value[int64] }

func (c counterFn) Add(ctx *engine.Context, by int64) (int64, error) {
	n := c.n.Edit(ctx)
	*n += by
	return *n, nil
}

var (
	function = engine.Define[counter]("bench/counter")
	add      = engine.Answer(function, engine.Int64, engine.Int64, counter.Add)
	ones     = engine.NewIngress("bench/ones", engine.Int64)
)

const application = "recovery"

// counting has a counter at every id that the source brings.
func counting(s connector.Source) engine.Module {
	return engine.Module{Name: "counter", Bind: func(b *engine.Binder) error {
		engine.Bind(b, function, func(s *engine.Schema) counter { return counterFn{engine.NewValue(s, "n", engine.Int64)} })
		if s != nil {
			engine.RouteFunc(b, ones, func(d *engine.Downstream, v int64) error { return engine.Forward(d, add.To(id(v)), 1) })
			engine.Connect(b, ones, s)
		}
		return nil
	}}
}

// id is what most people have: a number as text, which fits beside its state.
func id(n int64) string { return fmt.Sprintf("user%08d", n) }

// upTo counts, and then ends.
type upTo struct{ next, end int64 }

func (s *upTo) Open(context.Context, []byte) error { return nil }
func (s *upTo) Position() []byte                   { return binary.BigEndian.AppendUint64(nil, uint64(s.next)) }
func (s *upTo) Close() error                       { return nil }

func (s *upTo) Poll(_ context.Context, into *connector.Events) error {
	for ; s.next < s.end && into.Room() > 0; s.next++ {
		v, err := engine.Int64.Append(nil, s.next)
		if err != nil {
			return err
		}
		into.Append(nil, "", v)
	}
	if s.next == s.end {
		return io.EOF
	}
	return nil
}

func open(b *testing.B, dir string, modules ...engine.Module) (*engine.Engine, *file.Backend) {
	b.Helper()
	store, err := file.Open(b.Context(), file.Config{Dir: dir}, backend.Options{Application: application, KeyGroups: 128})
	if err != nil {
		b.Fatal(err)
	}
	e, err := engine.Open(b.Context(), engine.Config{Application: application, Backend: store, Logger: slog.New(slog.DiscardHandler)}, modules...)
	if err != nil {
		b.Fatal(err)
	}
	return e, store
}

func shut(b *testing.B, e *engine.Engine, store *file.Backend) {
	b.Helper()
	if err := e.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
	if err := store.Close(); err != nil {
		b.Fatal(err)
	}
}

// stores are the directories of stores by the number of their instances: made once, for all runs of a benchmark.
var stores struct {
	root string
	asks map[int64]int64 // How often each has been asked.
}

func TestMain(m *testing.M) {
	var err error
	if stores.root, err = os.MkdirTemp("", "recovery"); err != nil {
		panic(err)
	}
	stores.asks = map[int64]int64{}
	code := m.Run()
	_ = os.RemoveAll(stores.root)
	os.Exit(code)
}

func store(b *testing.B, instances int64) (dir string) {
	b.Helper()
	dir = filepath.Join(stores.root, fmt.Sprint(instances))
	if _, made := stores.asks[instances]; made {
		return dir
	}
	stores.asks[instances] = 0
	e, s := open(b, dir, counting(&upTo{end: instances}))
	if err := e.Run(b.Context()); err != nil {
		b.Fatal(err)
	}
	shut(b, e, s)
	return dir
}

// BenchmarkRecovery opens a store that a clean shutdown has left, with its files in the page cache, and asks one
// counter. An operation is all of that: locking the store, reading it, filling the shards, the first answer.
func BenchmarkRecovery(b *testing.B) {
	for _, instances := range []int64{1_000_000, 10_000_000} {
		b.Run(fmt.Sprintf("instances=%dM", instances/1_000_000), func(b *testing.B) {
			dir := store(b, instances)
			for b.Loop() {
				e, s := open(b, dir, counting(nil))
				stores.asks[instances]++
				want := 1 + stores.asks[instances]
				if got, err := add.Ask(b.Context(), e, id(instances/2), 1); err != nil || got != want {
					b.Fatalf("the counter is %d, %v; want %d", got, err, want)
				}
				b.StopTimer()
				shut(b, e, s)
				b.StartTimer()
			}
			b.ReportMetric(float64(instances)*float64(b.N)/b.Elapsed().Seconds(), "instances/s")
		})
	}
}
