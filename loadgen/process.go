// SPDX-License-Identifier: Apache-2.0

package loadgen

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"

	"github.com/millrace-io/millrace/engine"
)

const gcPauses = "/sched/pauses/total/gc:seconds"

// Usage is what an engine has done, and its process has used, up to a moment.
type Usage struct {
	stats    engine.Stats
	mallocs  uint64
	pauses   metrics.Float64Histogram
	resident int64
}

// ReadUsage returns the usage up to now; without an engine, that of the process alone.
func ReadUsage(e *engine.Engine) Usage {
	u := readProcess()
	if e != nil {
		u.stats = e.Stats()
	}
	return u
}

func readProcess() Usage {
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	samples := []metrics.Sample{{Name: gcPauses}}
	metrics.Read(samples)
	u := Usage{mallocs: mem.Mallocs, resident: residentBytes()}
	if samples[0].Value.Kind() == metrics.KindFloat64Histogram {
		u.pauses = *samples[0].Value.Float64Histogram()
	}
	return u
}

// pauseP99 returns the 99th percentile, in seconds, of the garbage collector's pauses between before
// and after: the upper bound of its bucket.
func pauseP99(before, after metrics.Float64Histogram) float64 {
	counts := make([]uint64, len(after.Counts))
	var total uint64
	for i := range counts {
		counts[i] = after.Counts[i]
		if i < len(before.Counts) {
			counts[i] -= before.Counts[i]
		}
		total += counts[i]
	}
	var seen uint64
	for i, n := range counts {
		if seen += n; n > 0 && float64(seen) >= 0.99*float64(total) {
			// The first and the last bucket may reach to infinity.
			if upper := after.Buckets[i+1]; !math.IsInf(upper, 1) {
				return upper
			}
			return after.Buckets[i]
		}
	}
	return 0
}

// residentBytes returns the resident set size of the process; 0 where the system does not say.
func residentBytes() int64 {
	b, err := os.ReadFile("/proc/self/statm") // Linux: total and resident size, in pages.
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

// settledBytes is residentBytes without what the garbage collector could give back.
func settledBytes() int64 {
	debug.FreeOSMemory()
	return residentBytes()
}
