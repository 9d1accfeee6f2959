// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/backendtest"
	"github.com/millrace-io/millrace/engine/connector"
)

// BenchmarkDurableSend measures from a door's Send to the commit of its epoch, with senders that each wait for
// the last before they send the next: as many connections of a server. The store only copies; what a disk adds
// to a commit comes on top.
func BenchmarkDurableSend(b *testing.B) {
	for _, senders := range []int{1, 64} {
		for _, store := range []string{"none", "model"} {
			b.Run(fmt.Sprintf("senders=%d/store=%s", senders, store), func(b *testing.B) { durableSend(b, senders, store) })
		}
	}
}

func durableSend(b *testing.B, senders int, store string) {
	c := engine.Config{Application: "test", Shards: 2, Logger: slog.New(slog.DiscardHandler)}
	if store == "model" {
		model, err := backendtest.NewModel(backend.Options{Application: "test", KeyGroups: 128})
		if err != nil {
			b.Fatal(err)
		}
		c.Backend = model
	}
	d := &door{}
	e, err := engine.Open(b.Context(), c, probeModule(func(s *engine.Schema) probeFunc {
		count := engine.NewValue(s, "count", engine.Int64)
		return func(ctx *engine.Context, _ string) error { *count.Edit(ctx)++; return nil }
	}), bind(func(b *engine.Binder) { b.Door(d) }))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = e.Close(context.Background()) }()
	go func() { _ = e.Run(b.Context()) }()
	<-e.Ready()

	value, err := engine.String.Append(nil, "x")
	if err != nil {
		b.Fatal(err)
	}
	m := engine.TypedValue{Typename: engine.String.Typename(), Value: value}
	took := make([]time.Duration, b.N)
	var next atomic.Int64
	var all sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for sender := range senders {
		all.Go(func() {
			to := Do.To(fmt.Sprint("id-", sender)).Address()
			for n := next.Add(1) - 1; n < int64(b.N); n = next.Add(1) - 1 {
				start := time.Now()
				if err := d.in.Send(b.Context(), to, m, connector.Delivery{Durable: true}); err != nil {
					b.Error(err)
					return
				}
				took[n] = time.Since(start)
			}
		})
	}
	all.Wait()
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "sends/s")
	b.ReportMetric(float64(took[b.N/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[b.N*99/100].Microseconds()), "p99-µs")
	b.ReportMetric(float64(b.N)/float64(max(1, e.Stats().EpochsCommitted)), "sends/epoch")
}
