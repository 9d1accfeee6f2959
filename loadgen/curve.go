// SPDX-License-Identifier: Apache-2.0

package loadgen

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Curve is what a plot shows of a load: how much was done up to each moment, and how long it took.
type Curve struct {
	Name    string // Of the line, where there are several.
	Unit    string // What Done counts, in the plural.
	Samples []Sample
	Latency *hdrhistogram.Histogram // In nanoseconds; nil when none were taken.

	every time.Duration // Between samples.
}

// Sample is how much was done At a moment, counted from the beginning.
type Sample struct {
	At   time.Duration
	Done int64
}

// samplesMax is more than a plot is wide, so that any load fits in little memory.
const samplesMax = 2000

// Observe notes how much is done. A curve that has become long keeps every second sample, and from then on
// leaves out as many. A nil Curve takes nothing.
func (c *Curve) Observe(at time.Duration, done int64) {
	if c == nil {
		return
	}
	if n := len(c.Samples); n > 0 && at < c.Samples[n-1].At+max(c.every, 1) {
		return
	}
	c.Samples = append(c.Samples, Sample{at, done})
	if len(c.Samples) < samplesMax {
		return
	}
	kept := c.Samples[:0]
	for i := 0; i < samplesMax; i += 2 {
		kept = append(kept, c.Samples[i])
	}
	c.Samples = kept
	c.every = max(2*c.every, 2*at/samplesMax)
}

// Last is the newest sample, or the beginning.
func (c *Curve) Last() (s Sample) {
	if c != nil && len(c.Samples) > 0 {
		s = c.Samples[len(c.Samples)-1]
	}
	return s
}

// Took notes latencies, to those that were noted before. A nil Curve takes none.
func (c *Curve) Took(latency *hdrhistogram.Histogram) {
	if c == nil {
		return
	}
	if c.Latency == nil {
		c.Latency = hdrhistogram.Import(latency.Export())
		return
	}
	c.Latency.Merge(latency)
}
