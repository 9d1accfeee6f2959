// SPDX-License-Identifier: Apache-2.0

package prometheus_test

import (
	"context"
	"fmt"
	"log"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	client "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/millrace-io/millrace/connectors/prometheus"
	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/remote"
)

// Counter is what may be sent to a counter.
type Counter interface {
	Add(*engine.Context, int64) (int64, error)
}

// The counter and its one message, which is answered with the sum.
var (
	counterFunction = engine.Define[Counter]("example/counter")
	Add             = engine.Answer(counterFunction, engine.Int64, engine.Int64, Counter.Add)
)

type counter struct{ sum engine.Value[int64] }

func (c *counter) Add(ctx *engine.Context, n int64) (int64, error) {
	*c.sum.Edit(ctx) += n
	return c.sum.Get(ctx), nil
}

var counters = engine.Module{Name: "counters", Bind: func(b *engine.Binder) error {
	engine.Bind(b, counterFunction, func(s *engine.Schema) Counter {
		return &counter{engine.NewValue(s, "sum", engine.Int64)}
	})
	return nil
}}

// The collector is the engine's observer, so it is there before the engine.
func Example() {
	ctx := context.Background()
	collector := prometheus.NewCollector()
	e, err := engine.Open(ctx, engine.Config{Shards: 1, Observer: collector}, counters)
	if err != nil {
		log.Fatal(err)
	}
	collector.Watch(e)
	registry := client.NewRegistry() // Its promhttp.HandlerFor is what a server scrapes.
	registry.MustRegister(collector)

	fmt.Println(Add.Ask(ctx, e, "apples", 2))
	fmt.Println(e.Close(ctx))
	fmt.Println(testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP millrace_shard_invocations_total Invocations that took effect.
# TYPE millrace_shard_invocations_total counter
millrace_shard_invocations_total{shard="0"} 1
`), "millrace_shard_invocations_total"))
	// Output:
	// 2 <nil>
	// <nil>
	// <nil>
}

func open(t *testing.T, c *prometheus.Collector) *engine.Engine {
	t.Helper()
	e, err := engine.Open(t.Context(), engine.Config{Shards: 2, Observer: c}, counters)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	c.Watch(e)
	return e
}

// Whoever chooses ids cannot make series.
func TestIDsMakeNoSeries(t *testing.T) {
	c := prometheus.NewCollector()
	e := open(t, c)
	elsewhere := engine.FunctionType{Namespace: "example", Name: "elsewhere"}
	send := func(from, to int) {
		for i := from; i < to; i++ {
			if _, err := Add.Ask(t.Context(), e, strconv.Itoa(i), 1); err != nil {
				t.Fatal(err)
			}
			c.Invoked(elsewhere, time.Millisecond, &remote.Error{Endpoint: strconv.Itoa(i), Status: i})
		}
		// What the shards have counted shows a little later.
		if err := e.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	send(0, 10)
	few := testutil.CollectAndCount(c)
	send(10, 1000)
	if many := testutil.CollectAndCount(c); many != few || few == 0 {
		t.Errorf("%d series after 10 ids, %d after 1000", few, many)
	}
}

// Scrapes, observations and the engine's own work go on side by side.
func TestScrapeWhileItRuns(t *testing.T) {
	c := prometheus.NewCollector()
	e := open(t, c)
	registry := client.NewPedanticRegistry()
	registry.MustRegister(c)
	var all sync.WaitGroup
	for worker := range 4 {
		all.Go(func() {
			for i := range 200 {
				name := strconv.Itoa(i % 7)
				c.Invoked(engine.FunctionType{Namespace: "example", Name: name}, time.Duration(i), &remote.Error{Reason: remote.Reason(i % 6)})
				if _, err := Add.Ask(t.Context(), e, name, int64(worker)); err != nil {
					t.Error(err)
				}
			}
		})
		all.Go(func() {
			for range 50 {
				c.Watch(e)
				if _, err := registry.Gather(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	const latency = "millrace_function_remote_invocation_latency_seconds"
	if n := testutil.CollectAndCount(c, latency); n != 7 {
		t.Errorf("%d series of %s, want 7", n, latency)
	}
}
