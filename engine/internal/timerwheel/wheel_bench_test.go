// SPDX-License-Identifier: Apache-2.0

package timerwheel

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
)

// Due times are spread evenly over one hour: far enough that every timer is moved twice.
const benchSpan = 3600_000

// pendingCounts are the sizes of a busy shard, and of one that holds all timers of a large process.
var pendingCounts = []int{10_000, 10_000_000}

func fill(w *Wheel, rng *rand.Rand, now int64, n int) []Handle {
	handles := make([]Handle, n)
	for i := range handles {
		handles[i] = w.Add(now+1+rng.Int64N(benchSpan), uint64(i))
	}
	return handles
}

// BenchmarkAdd starts timers; they are cancelled outside the measurement.
func BenchmarkAdd(b *testing.B) {
	const batch = 1 << 16
	for _, pending := range pendingCounts {
		b.Run(fmt.Sprintf("pending=%d", pending), func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 2))
			w := New(0)
			fill(w, rng, 0, pending)
			dues, handles := make([]int64, batch), make([]Handle, batch)
			for i := range dues {
				dues[i] = 1 + rng.Int64N(benchSpan)
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if i == batch {
					b.StopTimer()
					for _, h := range handles {
						w.Cancel(h)
					}
					i = 0
					b.StartTimer()
				}
				handles[i] = w.Add(dues[i], 0)
				i++
			}
		})
	}
}

// BenchmarkAddCancel is the life of a timeout: started, and cancelled by handle when 1,000 younger ones
// have been started.
func BenchmarkAddCancel(b *testing.B) {
	for _, pending := range pendingCounts {
		b.Run(fmt.Sprintf("pending=%d", pending), func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 2))
			w := New(0)
			fill(w, rng, 0, pending)
			var young [1000]Handle
			i := 0
			b.ReportAllocs()
			for b.Loop() {
				w.Cancel(young[i%len(young)])
				young[i%len(young)] = w.Add(30_000+int64(i%1024), 0)
				i++
			}
		})
	}
}

// BenchmarkCancel cancels timers picked at random from all pending ones: every access is a cache miss.
// It is run until the wheel is half empty, and includes the joining of blocks.
func BenchmarkCancel(b *testing.B) {
	for _, pending := range pendingCounts {
		b.Run(fmt.Sprintf("pending=%d", pending), func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 2))
			w := New(0)
			handles := fill(w, rng, 0, pending)
			shuffle := func() {
				rng.Shuffle(len(handles), func(i, j int) { handles[i], handles[j] = handles[j], handles[i] })
			}
			shuffle()
			i := 0
			b.ReportAllocs()
			for b.Loop() {
				if i == pending/2 {
					b.StopTimer()
					for i > 0 {
						i--
						handles[i] = w.Add(1+rng.Int64N(benchSpan), 0)
					}
					shuffle()
					b.StartTimer()
				}
				w.Cancel(handles[i])
				i++
			}
		})
	}
}

// BenchmarkFire pops timers in order while time passes tick by tick, with all the sorting that takes.
// Each fired timer is replaced by a new one, in the measurement too: as many pending at the end as at
// the start.
func BenchmarkFire(b *testing.B) {
	for _, pending := range pendingCounts {
		b.Run(fmt.Sprintf("pending=%d", pending), func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 2))
			w, now := New(0), int64(0)
			fill(w, rng, now, pending)
			delays := make([]int64, 1<<16)
			for i := range delays {
				delays[i] = 1 + rng.Int64N(benchSpan)
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				_, payload, ok := w.Pop(now)
				for !ok {
					now, _ = w.Next()
					_, payload, ok = w.Pop(now)
				}
				w.Add(now+delays[i%len(delays)], payload)
				i++
			}
		})
	}
}

// BenchmarkDrain pops all timers of a full wheel, as after a restart with all of them overdue.
func BenchmarkDrain(b *testing.B) {
	for _, pending := range pendingCounts {
		b.Run(fmt.Sprintf("pending=%d", pending), func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 2))
			w, now := New(0), int64(benchSpan)
			fill(w, rng, 0, pending)
			b.ReportAllocs()
			for b.Loop() {
				if w.Len() == 0 {
					b.StopTimer()
					fill(w, rng, now, pending)
					now += benchSpan
					b.StartTimer()
				}
				w.Pop(now)
			}
		})
	}
}

// BenchmarkMemory reports the heap behind one pending timer, handles kept by the caller not included.
func BenchmarkMemory(b *testing.B) {
	const pending = 10_000_000
	b.Run(fmt.Sprintf("pending=%d", pending), func(b *testing.B) {
		for b.Loop() {
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			rng := rand.New(rand.NewPCG(1, 2))
			w := New(0)
			for i := range uint64(pending) {
				w.Add(1+rng.Int64N(benchSpan), i)
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/pending, "B/timer")
			runtime.KeepAlive(w)
		}
	})
}
