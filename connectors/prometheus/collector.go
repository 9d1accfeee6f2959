// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"strconv"
	"sync/atomic"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-io/millrace/engine"
)

// Source has counters to show. An *engine.Engine is one.
type Source interface {
	Stats() engine.Stats
}

// Collector shows the counters of one engine, and what it is told as the engine's Observer. Its methods are
// safe for concurrent use.
//
// The engine is given with Watch, because it has to be opened with its Observer.
type Collector struct {
	source   atomic.Pointer[Source]
	observed *observed

	engine    set[engine.Stats]
	shards    set[engine.ShardStats]
	egress    set[engine.EgressStats]
	functions set[engine.FunctionStats]
	remote    set[engine.FunctionStats]
	counters  set[engine.CounterStats]
}

var (
	_ prometheus.Collector = (*Collector)(nil)
	_ engine.Observer      = (*Collector)(nil)
)

// functionLabels name a function type: together they are one.
var functionLabels = []string{"namespace", "function"}

// NewCollector returns a collector that watches nothing yet.
func NewCollector() *Collector {
	return &Collector{
		observed:  newObserved(),
		engine:    newSet(engineMetrics, nil),
		shards:    newSet(shardMetrics, []string{"shard"}),
		egress:    newSet(egressMetrics, []string{"egress"}),
		functions: newSet(functionMetrics, functionLabels),
		remote:    newSet(remoteMetrics, functionLabels),
		counters:  newSet(counterMetrics, []string{"namespace", "function", "counter"}),
	}
}

// Watch has c show the counters of s from now on.
func (c *Collector) Watch(s Source) { c.source.Store(&s) }

// Describe implements prometheus.Collector.
func (c *Collector) Describe(to chan<- *prometheus.Desc) {
	c.observed.describe(to)
	c.engine.describe(to)
	c.shards.describe(to)
	c.egress.describe(to)
	c.functions.describe(to)
	c.remote.describe(to)
	c.counters.describe(to)
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(to chan<- prometheus.Metric) {
	c.observed.collect(to)
	source := c.source.Load()
	if source == nil {
		return
	}
	s := (*source).Stats()
	c.engine.collect(to, &s)
	for i := range s.Shards {
		c.shards.collect(to, &s.Shards[i], strconv.Itoa(i))
	}
	for i := range s.Egress {
		c.egress.collect(to, &s.Egress[i], s.Egress[i].Egress)
	}
	for i := range s.Functions {
		c.collectFunction(to, &s.Functions[i])
	}
}

func (c *Collector) collectFunction(to chan<- prometheus.Metric, f *engine.FunctionStats) {
	c.functions.collect(to, f, f.Type.Namespace, f.Type.Name)
	if f.Remote {
		c.remote.collect(to, f, f.Type.Namespace, f.Type.Name)
	}
	for i := range f.Counters {
		name := f.Counters[i].Name
		if !utf8.ValidString(name) { // The program has chosen it. It would fail the whole scrape.
			name = strconv.Quote(name)
		}
		c.counters.collect(to, &f.Counters[i], f.Type.Namespace, f.Type.Name, name)
	}
}

// set is metrics that are read from one struct and have the same labels.
type set[T any] struct {
	metrics []metric[T]
	descs   []*prometheus.Desc // Of the metrics, by index.
}

// metric is one number in a T.
type metric[T any] struct {
	name, help string
	kind       prometheus.ValueType
	value      func(*T) float64
}

func newSet[T any](metrics []metric[T], labels []string) set[T] {
	s := set[T]{metrics: metrics}
	for _, m := range metrics {
		s.descs = append(s.descs, prometheus.NewDesc(prefix+m.name, m.help, labels, nil))
	}
	return s
}

const prefix = "millrace_"

func (s set[T]) describe(to chan<- *prometheus.Desc) {
	for _, d := range s.descs {
		to <- d
	}
}

func (s set[T]) collect(to chan<- prometheus.Metric, of *T, labels ...string) {
	for i, m := range s.metrics {
		to <- prometheus.MustNewConstMetric(s.descs[i], m.kind, m.value(of), labels...)
	}
}
