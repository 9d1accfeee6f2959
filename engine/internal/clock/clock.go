// SPDX-License-Identifier: Apache-2.0

// Package clock is engine time: milliseconds that never run backwards, real or virtual.
package clock

import (
	"sync/atomic"
	"time"
)

// Instant is a point in engine time, in milliseconds since the Unix epoch.
type Instant int64

// Time returns the instant as a time.Time in UTC.
func (i Instant) Time() time.Time { return time.UnixMilli(int64(i)).UTC() }

// Clock tells engine time. It is read once per turn of a shard, never per message.
type Clock interface {
	Now() Instant
}

// Real is engine time as it passes: it starts at the wall clock, or at a high-water mark that is later,
// and goes on by the monotonic clock, so that nothing that is done to the wall clock can fire a timer
// early or twice.
type Real struct {
	start time.Time // With a monotonic reading.
	base  Instant
}

// NewReal starts a clock that is never before notBefore.
func NewReal(notBefore Instant) *Real { return newReal(time.Now(), notBefore) }

func newReal(now time.Time, notBefore Instant) *Real {
	return &Real{start: now, base: max(Instant(now.UnixMilli()), notBefore)}
}

// Now returns engine time. It may be called from any goroutine.
func (c *Real) Now() Instant { return c.base + Instant(time.Since(c.start)/time.Millisecond) }

// Virtual is time that only moves when it is told to.
type Virtual struct{ now atomic.Int64 }

// NewVirtual returns a clock that stands at start.
func NewVirtual(start Instant) *Virtual {
	c := &Virtual{}
	c.now.Store(int64(start))
	return c
}

// Now returns where the clock stands.
func (c *Virtual) Now() Instant { return Instant(c.now.Load()) }

// Advance moves the clock on by d milliseconds. Moving it back is ignored, as by a real clock.
func (c *Virtual) Advance(d Instant) {
	if d > 0 {
		c.now.Add(int64(d))
	}
}
