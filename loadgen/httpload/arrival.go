// SPDX-License-Identifier: Apache-2.0

package httpload

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/millrace-io/millrace/loadgen/keys"
)

// arrivals is when requests come due, counted from the beginning: never before the one before.
type arrivals struct {
	gap     float64    // The mean, in nanoseconds.
	rand    *rand.Rand // nil: constant.
	count   float64
	elapsed float64
}

func newArrivals(c Config) *arrivals {
	a := &arrivals{gap: float64(time.Second) / c.Rate}
	if c.Arrivals == Poisson {
		const stream = 0x6172726976616c // Apart from the generator of keys with the same seed.
		a.rand = rand.New(rand.NewPCG(c.Seed, stream))
	}
	return a
}

// next is when the next request is due.
func (a *arrivals) next() time.Duration {
	if a.rand != nil {
		a.elapsed += a.rand.ExpFloat64() * a.gap
	} else {
		a.elapsed = a.count * a.gap // A sum would drift.
		a.count++
	}
	return time.Duration(a.elapsed)
}

// arrival is a request that has come due.
type arrival struct {
	due time.Duration
	key string // "" when requests do not differ.
}

// schedule hands out requests as they come due. Whoever is free waits for the next one with the lock held:
// one connection waits for the clock, the others for the lock, and the one whose request comes due sends it
// without having to wake another goroutine.
type schedule struct {
	clock      clock
	last, over time.Duration // When the last request may come due, and when none is sent any more.

	mu       sync.Mutex
	arrivals *arrivals    // nil: a closed loop.
	ids      *keys.Cursor // nil: no keys.
	ended    bool
	pending  time.Duration // Came due when nothing was sent any more; valid when there is an end and late.
	late     bool
}

func newSchedule(c Config, at clock) (*schedule, error) {
	s := &schedule{clock: at, last: c.Duration, over: c.Duration + c.Timeout}
	if c.Rate > 0 {
		s.arrivals = newArrivals(c)
	}
	if c.keyed() {
		ring, err := keys.NewRing(c.load())
		if err != nil {
			return nil, err
		}
		ids := ring.Cursor(0)
		s.ids = &ids
	}
	return s, nil
}

// next waits for the next request; ok is false when there is none. One whose time has passed is due at once.
func (s *schedule) next(ctx context.Context) (a arrival, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || ctx.Err() != nil {
		return arrival{}, false
	}
	if s.arrivals == nil {
		a.due = s.clock.now()
	} else {
		a.due = s.arrivals.next()
	}
	if a.due >= s.last {
		s.ended = true
		return arrival{}, false
	}
	if s.clock.now() >= s.over {
		s.ended, s.late, s.pending = true, true, a.due
		return arrival{}, false
	}
	if s.clock.until(ctx, a.due) != nil {
		s.ended = true
		return arrival{}, false
	}
	if s.ids != nil {
		a.key = s.ids.Next()
	}
	return a, true
}

// unsent calls f for each request that came due and was not sent, once next has returned nothing. They can be more
// than anybody has the patience for.
func (s *schedule) unsent(ctx context.Context, f func(due time.Duration)) error {
	if !s.late {
		return nil
	}
	const lookEvery = 1 << 16
	for i, due := 1, s.pending; due < s.last; i, due = i+1, s.arrivals.next() {
		if f(due); i%lookEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}
