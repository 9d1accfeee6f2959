// SPDX-License-Identifier: Apache-2.0

package loadgen

import (
	"slices"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"pgregory.net/rapid"
)

// However long a load is, its curve stays short, begins where it did, and shows each stretch as well as any other:
// samples are of those that were offered, and no gap is many times another.
func TestCurveStaysShort(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c Curve
		n, gap := rapid.IntRange(1, 50_000).Draw(t, "samples"), time.Duration(rapid.IntRange(1, 1e6).Draw(t, "gap"))
		for i := range n {
			c.Observe(time.Duration(i)*gap, int64(i))
		}
		s := c.Samples
		if len(s) > samplesMax || s[0] != (Sample{}) || len(s) < min(n, samplesMax/4) {
			t.Fatalf("%d samples of %d, from %v", len(s), n, s[0])
		}
		var least, most time.Duration = 1 << 62, 0
		for i := 1; i < len(s); i++ {
			if s[i].At != time.Duration(s[i].Done)*gap {
				t.Fatalf("%v was never offered", s[i])
			}
			least, most = min(least, s[i].At-s[i-1].At), max(most, s[i].At-s[i-1].At)
		}
		if len(s) > 1 && (least <= 0 || most > 4*least) {
			t.Fatalf("%d samples of %d, between %v and %v apart", len(s), n, least, most)
		}
	})
}

// A curve's latencies are those of all that it took, and its own.
func TestCurveTakesLatencies(t *testing.T) {
	one, other := hdrhistogram.New(1, int64(time.Hour), 3), hdrhistogram.New(1, int64(time.Hour), 3)
	_, _ = one.RecordValue(5), other.RecordValue(7)
	var c, none *Curve
	c = &Curve{}
	for _, h := range []*hdrhistogram.Histogram{one, other} {
		c.Took(h)
		none.Took(h)
		none.Observe(1, 1)
	}
	if got := []int64{c.Latency.TotalCount(), c.Latency.Min(), c.Latency.Max(), one.TotalCount()}; !slices.Equal(got, []int64{2, 5, 7, 1}) {
		t.Errorf("count, min, max and those of the first: %v, want 2, 5, 7 and 1", got)
	}
}
