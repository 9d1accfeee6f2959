// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/internal/bridge"
	"github.com/millrace-io/millrace/engine/internal/clock"
)

// What a message costs, in one goroutine: what the processor does, without what goroutines and cores do to each
// other. The ids come out of a sequential buffer, as from a network.

type turnKey interface {
	Add(*engine.Context, int64) error
	Hop(*engine.Context, int64) error
}

type turnKeyFn struct {
	count engine.Value[int64]
	ids   *turnIDs
}

func (f *turnKeyFn) Add(ctx *engine.Context, _ int64) error {
	*f.count.Edit(ctx)++
	return nil
}

func (f *turnKeyFn) Hop(ctx *engine.Context, n int64) error {
	*f.count.Edit(ctx)++
	turnHops.To(f.ids.next()).Send(ctx, n+1)
	return nil
}

var (
	turnKeys = engine.Define[turnKey]("io.millrace.test/turn")
	turnAdds = engine.Accept(turnKeys, engine.Int64, turnKey.Add)
	turnHops = engine.Accept(turnKeys, engine.Flat[int64]("io.millrace.test/hop"), turnKey.Hop)
)

// turnIDs are ids in a random order, end to end.
type turnIDs struct {
	all   string
	at    int
	taken int
}

const turnIDBytes = 16

func newTurnIDs(keys int) *turnIDs {
	rng := rand.New(rand.NewPCG(1, 2))
	all := make([]byte, 0, (1<<20)*turnIDBytes)
	for i := range 1 << 20 {
		k := uint64(rng.IntN(keys))
		if i < keys {
			k = uint64(i) * 2654435761 % uint64(keys)
		}
		all = append(all, "user-key"...)
		all = binary.BigEndian.AppendUint64(all, k)
	}
	return &turnIDs{all: string(all)}
}

func (r *turnIDs) next() string {
	if r.at == len(r.all) {
		r.at = 0
	}
	r.at += turnIDBytes
	r.taken++
	return r.all[r.at-turnIDBytes : r.at]
}

// turnSource hands out events while there are any left.
type turnSource struct {
	ids  *turnIDs
	left int
}

func (s *turnSource) Open(context.Context, []byte) error { return nil }
func (s *turnSource) Position() []byte                   { return nil }
func (s *turnSource) Close() error                       { return nil }

func (s *turnSource) Poll(_ context.Context, into *connector.Events) error {
	n := min(into.Room(), s.left)
	for range n {
		id := s.ids.next()
		into.Append([]byte(id), "", nil)
	}
	s.left -= n
	return nil
}

func turnApp(b *testing.B, keys int, interval time.Duration, bind func(*engine.Binder, *turnSource)) (*bridge.Application, *turnSource) {
	ids := newTurnIDs(keys)
	src := &turnSource{ids: ids}
	config := engine.Config{Shards: 2, EpochInterval: interval}
	app, err := bridge.Assemble(b.Context(), config, clock.NewVirtual(1_700_000_000_000), []engine.Module{{Name: "turn", Bind: func(to *engine.Binder) error {
		engine.Bind(to, turnKeys, func(s *engine.Schema) turnKey {
			return &turnKeyFn{count: engine.NewValue(s, "count", engine.Int64), ids: ids}
		})
		bind(to, src)
		return nil
	}}}, func(err error) { b.Error(err) })
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(app.Memory.Free)
	return app, src
}

func BenchmarkTurnCounter(b *testing.B) { benchmarkTurn(b, engine.EpochsOff) }

// With an epoch for every million messages, which is kept nowhere: of a million instances most are encoded for each.
func BenchmarkTurnEpochs(b *testing.B) { benchmarkTurn(b, time.Second) }

func benchmarkTurn(b *testing.B, interval time.Duration) {
	const every = 1 << 20
	in := engine.NewIngress("io.millrace.test/in", engine.Int64)
	for _, keys := range []int{1_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("keys=%d", keys), func(b *testing.B) {
			app, src := turnApp(b, keys, interval, func(to *engine.Binder, src *turnSource) {
				engine.Connect(to, in, src)
				engine.RouteKey(to, in, turnAdds)
			})
			now := clock.Instant(1_700_000_000_000)
			var routing, running time.Duration
			last := 0
			turn := func() {
				begin := time.Now()
				app.Pumps[0].Turn(b.Context())
				routed := time.Now()
				for _, l := range app.Loops {
					for l.Turn(now) {
					}
				}
				routing += routed.Sub(begin)
				running += time.Since(routed)
				if interval != engine.EpochsOff {
					epoch := src.left&^(every-1) != last
					last = src.left &^ (every - 1)
					if _, err := app.Epochs.Turn(b.Context(), epoch); err != nil {
						b.Fatal(err)
					}
				}
			}
			for src.left = 2 << 20; src.left > 0; {
				turn()
			}
			routing, running = 0, 0
			b.ReportAllocs()
			b.ResetTimer()
			for src.left = b.N; src.left > 0; {
				turn()
			}
			b.ReportMetric(float64(routing.Nanoseconds())/float64(b.N), "ingress-ns/op")
			b.ReportMetric(float64(running.Nanoseconds())/float64(b.N), "shard-ns/op")
		})
	}
}

func BenchmarkTurnRelay(b *testing.B) {
	in := engine.NewIngress("io.millrace.test/in", engine.Int64)
	for _, keys := range []int{1_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("keys=%d", keys), func(b *testing.B) {
			app, src := turnApp(b, keys, engine.EpochsOff, func(to *engine.Binder, src *turnSource) {
				engine.Connect(to, in, src)
				engine.RouteFunc(to, in, func(d *engine.Downstream, v int64) error {
					return engine.Forward(d, turnHops.To(src.ids.next()), v)
				})
			})
			now := clock.Instant(1_700_000_000_000)
			run := func(hops int) {
				for end := src.ids.taken + hops; src.ids.taken < end; {
					for _, l := range app.Loops {
						l.Turn(now)
					}
				}
			}
			for src.left = 1 << 14; src.left > 0; {
				app.Pumps[0].Turn(b.Context())
			}
			run(2 << 20)
			b.ReportAllocs()
			b.ResetTimer()
			run(b.N)
		})
	}
}
