// SPDX-License-Identifier: Apache-2.0

package remote

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// latency is a histogram of how long requests took. It belongs to one goroutine.
type latency struct{ nanos *hdrhistogram.Histogram }

func newLatency() latency { return latency{hdrhistogram.New(1, int64(time.Minute), 3)} }

func (l latency) record(took time.Duration) {
	// What is beyond the last bucket is recorded as the longest there is.
	_ = l.nanos.RecordValue(min(max(int64(took), 1), int64(time.Minute)))
}

// micros is a percentile in microseconds.
func (l latency) micros(percentile float64) float64 {
	return roundTo(float64(l.nanos.ValueAtPercentile(percentile))/1e3, 1)
}
