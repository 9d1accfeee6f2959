// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"errors"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/remote"
)

// latencyBuckets are for servers that do not take native histograms: from a function on the same machine to
// the longest that StateFun waits by default.
var latencyBuckets = []float64{
	0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
}

// reasons are the values of the label reason. The last is for what the others do not name.
var reasons = []string{
	remote.Unreachable: "unreachable",
	remote.TimedOut:    "timed_out",
	remote.Refused:     "refused",
	remote.Broken:      "broken",
	remote.TooLarge:    "too_large",
	other:              "other",
}

const other = remote.TooLarge + 1

// observed is what invokers have told.
type observed struct {
	latency  *prometheus.HistogramVec
	failures *prometheus.CounterVec

	// The series of each function type: finding them by their labels hashes those and takes a lock each.
	mu     sync.RWMutex
	series map[engine.FunctionType]*series // Guarded by mu.
}

// series are those of one function type.
type series struct {
	latency  prometheus.Observer
	failures []prometheus.Counter // By remote.Reason, and other.
}

func newObserved() *observed {
	return &observed{
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: prefix + "function_remote_invocation_latency_seconds",
			Help: "How long an attempt to invoke the function has taken, whatever its outcome.",

			Buckets:                        latencyBuckets,
			NativeHistogramBucketFactor:    1.1,
			NativeHistogramMaxBucketNumber: 100,
			// Coarse buckets, once the limit is reached, last no longer than this.
			NativeHistogramMinResetDuration: time.Hour,
		}, functionLabels),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: prefix + "function_remote_invocation_failures_total",
			Help: "Attempts to invoke the function that brought no valid reply.",
		}, []string{"namespace", "function", "reason"}),
		series: map[engine.FunctionType]*series{},
	}
}

// Invoked implements engine.Observer.
func (c *Collector) Invoked(t engine.FunctionType, took time.Duration, err error) {
	s := c.observed.of(t)
	s.latency.Observe(took.Seconds())
	if err != nil {
		s.failures[reasonOf(err)].Inc()
	}
}

func reasonOf(err error) remote.Reason {
	if e, ok := errors.AsType[*remote.Error](err); ok {
		return min(e.Reason, other)
	}
	return other
}

func (o *observed) of(t engine.FunctionType) *series {
	o.mu.RLock()
	s := o.series[t]
	o.mu.RUnlock()
	if s != nil {
		return s
	}
	// All reasons at once: a rate cannot see a counter that begins with its first failure. Two goroutines
	// may get here at once; they get the same series.
	s = &series{latency: o.latency.WithLabelValues(t.Namespace, t.Name)}
	for _, r := range reasons {
		s.failures = append(s.failures, o.failures.WithLabelValues(t.Namespace, t.Name, r))
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.series[t] = s
	return s
}

func (o *observed) describe(to chan<- *prometheus.Desc) {
	o.latency.Describe(to)
	o.failures.Describe(to)
}

func (o *observed) collect(to chan<- prometheus.Metric) {
	o.latency.Collect(to)
	o.failures.Collect(to)
}
