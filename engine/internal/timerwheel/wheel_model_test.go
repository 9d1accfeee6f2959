// SPDX-License-Identifier: Apache-2.0

package timerwheel

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// The wheel behaves like a slice in firing order, whatever is called in whatever sequence.
func TestWheelAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := rapid.OneOf(rapid.SampledFrom([]int64{today, 0, math.MinInt64, math.MaxInt64 - day}), rapid.Int64())
		p := newPair(t, start.Draw(t, "start"))
		t.Repeat(map[string]func(*rapid.T){
			"": func(*rapid.T) { p.check() },
			"add": func(t *rapid.T) {
				p.add(drawDue(t, p))
			},
			"addMany": func(t *rapid.T) { // More than a block, in one slot or in neighbouring ones.
				due, spread := drawDue(t, p), rapid.SampledFrom([]int64{1, 3, 700}).Draw(t, "spread")
				for i := range rapid.Int64Range(1, 4*blockLen).Draw(t, "n") {
					p.add(later(due, i*7%spread))
				}
			},
			"cancel": func(t *rapid.T) {
				p.cancel(drawTimer(t, p))
			},
			"cancelMany": func(t *rapid.T) {
				first, stride := drawTimer(t, p), rapid.Uint64Range(1, 5).Draw(t, "stride")
				for i := range rapid.Uint64Range(1, 4*blockLen).Draw(t, "n") {
					if payload := first + i*stride; payload < uint64(len(p.handles)) {
						p.cancel(payload)
					}
				}
			},
			"cancelForged": func(t *rapid.T) {
				h := Handle(rapid.Uint64().Draw(t, "handle"))
				if rapid.Bool().Draw(t, "known") && len(p.handles) > 0 {
					h = p.handles[drawTimer(t, p)] ^ 1<<rapid.IntRange(0, 63).Draw(t, "bit")
				}
				if slices.Contains(p.handles, h) {
					t.Skip("not forged")
				}
				if _, ok := p.w.Cancel(h); ok {
					t.Fatalf("Cancel(%#x) of a handle never given succeeded", h)
				}
			},
			"pop": func(t *rapid.T) {
				now := drawNow(t, p)
				for n := rapid.IntRange(1, 100).Draw(t, "n"); n > 0 && p.pop(now); n-- {
				}
			},
			"popAll": func(t *rapid.T) {
				for now := drawNow(t, p); p.pop(now); {
				}
			},
			"advance": func(t *rapid.T) {
				p.advance(drawNow(t, p), rapid.SampledFrom([]int{0, 1, 1, 100}).Draw(t, "moves"))
			},
		})
		for p.pop(math.MaxInt64) {
		}
		p.check()
	})
}

// drawDue draws due times around the present, around the edges of slots, equal to pending ones, and
// anywhere.
func drawDue(t *rapid.T, p *pair) int64 {
	switch rapid.IntRange(0, 4).Draw(t, "due") {
	case 0:
		return rapid.SampledFrom([]int64{math.MinInt64, math.MaxInt64, p.m.now}).Draw(t, "due")
	case 1:
		edge := later(p.m.now, 1<<rapid.IntRange(0, 62).Draw(t, "bits")) >> 8 << 8
		return later(edge, rapid.Int64Range(0, 2).Draw(t, "offset")) - 1
	case 2:
		if n := len(p.m.pending); n > 0 {
			return p.m.pending[rapid.IntRange(0, n-1).Draw(t, "pending")].due
		}
		return p.m.now
	case 3:
		return rapid.Int64().Draw(t, "due")
	default:
		return later(max(p.m.now, math.MinInt64+1000)-1000, rapid.Int64Range(0, 2000).Draw(t, "due"))
	}
}

func drawNow(t *rapid.T, p *pair) int64 {
	switch rapid.IntRange(0, 3).Draw(t, "now") {
	case 0:
		return p.m.now
	case 1:
		if n := len(p.m.pending); n > 0 {
			return p.m.pending[rapid.IntRange(0, n-1).Draw(t, "pending")].due
		}
		return p.m.now
	case 2: // Backwards now and then, which is ignored.
		return later(max(p.m.now, math.MinInt64+100)-100, rapid.Int64Range(0, 2000).Draw(t, "step"))
	default:
		return later(p.m.now, 1<<rapid.IntRange(0, 62).Draw(t, "bits"))
	}
}

func drawTimer(t *rapid.T, p *pair) uint64 {
	if len(p.handles) == 0 {
		t.Skip("no timer yet")
	}
	return rapid.Uint64Range(0, uint64(len(p.handles)-1)).Draw(t, "timer")
}

// failer is the part of testing.T that rapid.T has too.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// model is the obvious timer queue: a slice in firing order.
type model struct {
	now     int64
	pending []modelTimer
}

type modelTimer struct {
	due     int64
	payload uint64
}

// add inserts behind all timers with the same due time. Payloads are unique.
func (m *model) add(due int64, payload uint64) {
	i, _ := slices.BinarySearchFunc(m.pending, due, func(t modelTimer, due int64) int {
		if t.due <= due {
			return -1
		}
		return 1
	})
	m.pending = slices.Insert(m.pending, i, modelTimer{due, payload})
}

func (m *model) cancel(payload uint64) (ok bool) {
	i := slices.IndexFunc(m.pending, func(t modelTimer) bool { return t.payload == payload })
	if i >= 0 {
		m.pending = slices.Delete(m.pending, i, i+1)
	}
	return i >= 0
}

func (m *model) pop(now int64) (t modelTimer, ok bool) {
	m.now = max(m.now, now)
	if len(m.pending) == 0 || m.pending[0].due > m.now {
		return modelTimer{}, false
	}
	t, m.pending = m.pending[0], m.pending[1:]
	return t, true
}

// pair drives a wheel and its model with the same calls and compares what they return.
type pair struct {
	t       failer
	w       *Wheel
	m       model
	handles []Handle // By payload, stale ones too.
}

func newPair(t failer, now int64) *pair {
	return &pair{t: t, w: New(now), m: model{now: now}}
}

func (p *pair) add(due int64) {
	p.t.Helper()
	payload := uint64(len(p.handles))
	h := p.w.Add(due, payload)
	if h == 0 {
		p.t.Fatalf("Add(%d) = 0", due)
	}
	p.handles = append(p.handles, h)
	p.m.add(due, payload)
}

func (p *pair) cancel(payload uint64) {
	p.t.Helper()
	got, ok := p.w.Cancel(p.handles[payload])
	want := p.m.cancel(payload)
	if ok != want || ok && got != payload {
		p.t.Fatalf("Cancel(timer %d) = %d, %v; want ok %v", payload, got, ok, want)
	}
}

// pop reports whether there was a timer.
func (p *pair) pop(now int64) bool {
	p.t.Helper()
	due, payload, ok := p.w.Pop(now)
	want, wantOK := p.m.pop(now)
	if got := (modelTimer{due, payload}); got != want || ok != wantOK {
		p.t.Fatalf("Pop(%d) = %v, %v; want %v, %v", now, got, ok, want, wantOK)
	}
	if !ok && dueOf(p.w.cur) != p.m.now { // New timers would be sorted more often than they need.
		p.t.Fatalf("Pop(%d): position %d lags behind %d", now, dueOf(p.w.cur), p.m.now)
	}
	return ok
}

// advance lets the wheel sort ahead. The model has nothing to do: no timer may appear or vanish.
func (p *pair) advance(now int64, movesMax int) (ready bool) {
	p.t.Helper()
	p.m.now = max(p.m.now, now)
	if p.w.Advance(now, movesMax) {
		return true
	}
	if next, ok := p.w.Next(); !ok || next > p.m.now {
		p.t.Fatalf("Next() = %d, %v with sorting left to do at %d", next, ok, p.m.now)
	}
	return false
}

// check compares Len and Next and verifies the structure of the wheel.
func (p *pair) check() {
	p.t.Helper()
	if got, want := p.w.Len(), len(p.m.pending); got != want {
		p.t.Fatalf("Len() = %d, want %d", got, want)
	}
	next, ok := p.w.Next()
	if ok != (len(p.m.pending) > 0) || ok && next > p.m.pending[0].due {
		p.t.Fatalf("Next() = %d, %v; pending %v", next, ok, p.m.pending)
	}
	if ok && p.w.sorting == 0 {
		if due := p.m.pending[0].due; due>>levelBits <= dueOf(p.w.cur)>>levelBits && next != due {
			p.t.Fatalf("Next() = %d, not exact for %d at %d", next, due, dueOf(p.w.cur))
		}
	}
	checkStructure(p.t, p.w)
}

// later returns instant + delay, or the last instant there is.
func later(instant, delay int64) int64 {
	if instant > math.MaxInt64-delay {
		return math.MaxInt64
	}
	return instant + delay
}
