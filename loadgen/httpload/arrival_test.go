// SPDX-License-Identifier: Apache-2.0

package httpload

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Constant arrivals never drift, however many there are; of Poisson arrivals the gaps have the mean that the rate
// says, and vary by as much.
func TestArrivals(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := Config{Rate: rapid.Float64Range(0.1, 1e7).Draw(t, "rate"), Seed: rapid.Uint64().Draw(t, "seed"), Arrivals: Constant}
		const n = 20_000
		gap := float64(time.Second) / c.Rate
		constant := newArrivals(c)
		for i := range n {
			if due := constant.next(); math.Abs(float64(due)-float64(i)*gap) > 1 {
				t.Fatalf("arrival %d at %v, want %v", i, due, time.Duration(float64(i)*gap))
			}
		}
		c.Arrivals = Poisson
		poisson, last, sum, squares := newArrivals(c), time.Duration(0), 0.0, 0.0
		for i := range n {
			due := poisson.next()
			if due < last {
				t.Fatalf("arrival %d at %v, after one at %v", i, due, last)
			}
			x := float64(due-last) / gap
			sum, squares, last = sum+x, squares+x*x, due
		}
		// Gaps of less than some nanoseconds are cut: at 10 million a second, by half a percent of the mean.
		mean := sum / n
		if deviation := math.Sqrt(squares/n - mean*mean); math.Abs(mean-1) > 0.05 || math.Abs(deviation-1) > 0.1 {
			t.Fatalf("gaps have the mean %v and the deviation %v of what the rate says, want 1 and 1", mean, deviation)
		}
	})
}

// Every request is handed out once, when it is due, and those left at the end are the others.
func TestScheduleHandsOutAll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		clock := newManual()
		c := Config{
			URL: "http://a/", Rate: 1000, Arrivals: rapid.SampledFrom([]Arrivals{Poisson, Constant}).Draw(t, "arrivals"),
			Duration: time.Duration(rapid.IntRange(1, 500).Draw(t, "ms")) * time.Millisecond, Timeout: 100 * time.Millisecond,
		}
		s, err := newSchedule(c, clock)
		if err != nil {
			t.Fatal(err)
		}
		model := newArrivals(c)
		want := model.next()
		check := func(due time.Duration) {
			if due != want {
				t.Fatalf("due at %v, want %v", due, want)
			}
			want = model.next()
		}
		for {
			clock.advance(want - clock.now()) // So that nothing waits.
			clock.advance(time.Duration(rapid.IntRange(0, 20).Draw(t, "took")) * time.Millisecond)
			now := clock.now()
			a, ok := s.next(t.Context())
			if !ok {
				if want < c.Duration && now < c.Duration+c.Timeout {
					t.Fatalf("nothing at %v, want what was due at %v", now, want)
				}
				break
			}
			check(a.due)
		}
		if err := s.unsent(t.Context(), check); err != nil {
			t.Fatal(err)
		}
		if want < c.Duration {
			t.Fatalf("the request that was due at %v is neither sent nor unsent", want)
		}
		if _, again := s.next(t.Context()); again {
			t.Fatal("a request after the end")
		}
	})
}
