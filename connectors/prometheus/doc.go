// SPDX-License-Identifier: Apache-2.0

// Package prometheus shows an engine's counters to Prometheus.
//
// A [Collector] reads them when it is scraped, so that they cost the shards nothing. Labels name function
// types, shards and egresses, never ids: the number of series is bounded by what the modules declare. There
// are no rates: PromQL makes them of the counters. docs/metrics.md lists every metric, with its unit and
// with the name that it has in StateFun.
package prometheus
