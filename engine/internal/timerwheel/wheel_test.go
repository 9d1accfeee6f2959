// SPDX-License-Identifier: Apache-2.0

package timerwheel

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

const (
	minute = 60_000
	day    = 24 * 60 * minute
	year   = 365 * day
	today  = 1_767_225_600_000 // 2026-01-01, engine time
)

// A million timers under virtual time, a good part of them cancelled: each of the others fires once, at its
// millisecond when the clock shows every millisecond that matters, and in the order of due and Add.
func TestMillionTimers(t *testing.T) {
	const timers = 1_000_000
	tests := []struct {
		name string
		jump int64 // The clock moves by up to jump ms while timers are added.
	}{
		{"every millisecond", 1},
		{"in jumps", 5 * minute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(7, uint64(tt.jump)))
			delayMax := []int64{1, 1000, 1000, 1000, 60 * minute, 60 * minute, 30 * day, 100 * year}
			w, now := New(today), int64(today)
			var (
				dues      = make([]int64, 0, timers)
				handles   = make([]Handle, 0, timers)
				fired     = make([]uint64, 0, timers)
				stopped   = make([]bool, timers)
				done      = make([]bool, timers)
				cancelled = 0
			)
			for len(dues) < timers || w.Len() > 0 {
				for range min(rng.IntN(1000), timers-len(dues)) {
					due := now + rng.Int64N(delayMax[rng.IntN(len(delayMax))])
					handles = append(handles, w.Add(due, uint64(len(dues))))
					dues = append(dues, due)
					i := rng.IntN(len(dues)) // Often one that has fired or was cancelled already.
					if rng.IntN(2) == 0 {
						i = max(0, len(dues)-1-rng.IntN(100))
					}
					payload, ok := w.Cancel(handles[i])
					if ok == done[i] || ok && payload != uint64(i) {
						t.Fatalf("Cancel(timer %d) = %d, %v; it was done: %v", i, payload, ok, done[i])
					}
					if ok {
						stopped[i], done[i] = true, true
						cancelled++
					}
				}
				for {
					due, payload, ok := w.Pop(now)
					if !ok {
						break
					}
					if due != dues[payload] || due > now || tt.jump == 1 && due != now {
						t.Fatalf("timer %d, due %d, fired at %d as due %d", payload, dues[payload], now, due)
					}
					done[payload] = true
					fired = append(fired, payload)
				}
				if next, ok := w.Next(); ok && len(dues) == timers {
					now = next
				} else {
					now += 1 + rng.Int64N(tt.jump)
				}
			}
			want := make([]uint64, 0, timers)
			for payload := range uint64(timers) {
				if !stopped[payload] {
					want = append(want, payload)
				}
			}
			slices.SortStableFunc(want, func(a, b uint64) int { return cmp.Compare(dues[a], dues[b]) })
			if !slices.Equal(fired, want) {
				t.Errorf("%d timers fired, %d expected, or not in order", len(fired), len(want))
			}
			if cancelled < timers/4 {
				t.Errorf("only %d timers cancelled", cancelled)
			}
			checkStructure(t, w)
		})
	}
}

// Timers with one due time fire in the order of Add, however differently they got to their slot.
func TestOrderAcrossLevels(t *testing.T) {
	p := newPair(t, today)
	due := int64(today + 30*day + 12345)
	for _, now := range []int64{today, today + 20*day, due - 70_000, due - 300, due - 1, due, due + 1} {
		if now < due && p.pop(now) {
			t.Fatalf("fired at %d", now)
		}
		for range 2 * blockLen {
			p.add(due)
		}
		p.check()
		if now < due {
			continue
		}
		for range blockLen / 2 { // Late ones go behind those that are left.
			p.pop(now)
		}
	}
	for p.pop(due + 1) {
	}
	p.check()
}

// Timers that are late when they are added fire first, by due time, also from a half-popped wheel.
func TestOverdue(t *testing.T) {
	p := newPair(t, today)
	for i := range int64(3000) {
		p.add(today - i*7919%1000) // Each of 1,000 due times three times; the first is not overdue.
	}
	p.add(math.MinInt64)
	p.check()
	for i := range int64(1000) {
		p.pop(today)
		p.cancel(uint64(i * 3))
		p.add(today - i)
	}
	p.check()
	for p.pop(today - year) { // Time does not run backwards: they are due nevertheless.
	}
	p.check()
}

// A timer that always starts its successor without delay takes turns with the others due now, and
// none of those that are due before waits for it.
func TestNoDelayLoop(t *testing.T) {
	w := New(today)
	w.Add(today+10, 1)
	w.Add(today+10, 2)
	w.Add(today+9, 3)
	var got []uint64
	for range 8 {
		_, payload, _ := w.Pop(today + 10)
		got = append(got, payload)
		if payload < 3 {
			w.Add(today+10, payload)
		}
	}
	if want := []uint64{3, 1, 2, 1, 2, 1, 2, 1}; !slices.Equal(got, want) {
		t.Errorf("fired %v, want %v", got, want)
	}
}

// Due times at the ends of what an instant can hold neither overflow nor keep the wheel busy: a shard
// that sleeps until Next wakes at most once a level.
func TestFarFuture(t *testing.T) {
	for _, start := range []int64{math.MinInt64, -1, 0, today, math.MaxInt64 - 1} {
		for _, due := range []int64{math.MinInt64, -1, 0, today + 30*day, today + 100*year, math.MaxInt64} {
			w, now := New(start), start
			w.Add(due, 42)
			for wakes := 0; ; wakes++ {
				if _, payload, ok := w.Pop(now); ok {
					if payload != 42 || now != max(start, due) {
						t.Errorf("New(%d), Add(%d): %d fired at %d", start, due, payload, now)
					}
					break
				}
				next, ok := w.Next()
				if !ok || next <= now || next > due || wakes > 7 {
					t.Fatalf("New(%d), Add(%d): Next() = %d, %v at %d, wake %d", start, due, next, ok, now, wakes)
				}
				now = next
			}
			if next, ok := w.Next(); ok || w.Len() != 0 {
				t.Errorf("empty wheel: Next() = %d, Len() = %d", next, w.Len())
			}
		}
	}
}

// Advance divides the sorting of a full slot into small pieces; what is added and cancelled meanwhile
// finds its place.
func TestAdvanceInPieces(t *testing.T) {
	const timers, movesMax = 20_000, 100
	p := newPair(t, today)
	due := int64(today + day)
	for i := range int64(timers) {
		p.add(due + (timers-i)/2*5) // In pairs; the earliest are sorted last.
	}
	calls := 0
	for !p.advance(due+minute, movesMax) {
		calls++
		p.add(due + int64(calls)%7)
		p.cancel(uint64(calls * 31))
		if calls%10 == 0 {
			p.check()
		}
	}
	if want := timers / (movesMax + blockLen); calls < want {
		t.Errorf("sorted in %d calls, want at least %d", calls, want)
	}
	for p.pop(due + minute) {
	}
	p.check()
}

// A handle stays harmless for ever, although its slot in the table is used again four thousand million
// times: the slot is given up when its generations are used up.
func TestGenerationsUsedUp(t *testing.T) {
	w := New(today)
	first := w.Add(today, 1)
	w.Cancel(first)
	w.refs.at(first).gen = math.MaxUint32 - 1
	last := w.Add(today, 2)
	if uint32(last) != uint32(first) {
		t.Fatalf("handle %#x does not reuse %#x", last, first)
	}
	if _, ok := w.Cancel(last); !ok {
		t.Fatalf("Cancel(%#x) failed", last)
	}
	next := w.Add(today, 3)
	if uint32(next) == uint32(first) {
		t.Errorf("handle %#x reuses %#x", next, first)
	}
	for _, h := range []Handle{0, first, last} {
		if _, ok := w.Cancel(h); ok {
			t.Errorf("Cancel(%#x) of a stale handle succeeded", h)
		}
	}
}

// Cancelling most of what waits in a far slot frees its blocks for others long before it is due, in
// whatever order it happens.
func TestCancelledTimersFreeMemory(t *testing.T) {
	const timers, due = 100_000, today + 100*year
	rng := rand.New(rand.NewPCG(3, 4))
	orders := map[string]func(handles []Handle){
		"random":     func(h []Handle) { rng.Shuffle(len(h), func(i, j int) { h[i], h[j] = h[j], h[i] }) },
		"ascending":  func([]Handle) {},
		"descending": slices.Reverse[[]Handle],
	}
	for name, order := range orders {
		t.Run(name, func(t *testing.T) {
			w := New(today)
			handles := make([]Handle, 0, timers)
			for i := range timers {
				if h := w.Add(due, 0); i%blockLen != 0 { // One of each block is kept.
					handles = append(handles, h)
				}
			}
			order(handles)
			for n, h := range handles {
				w.Cancel(h)
				if n%(timers/10) == 0 {
					checkStructure(t, w)
				}
			}
			blocks := 0
			for n := w.slots[slotOf(keyOf(due), w.cur)].head; n != 0; n = w.blocks.at(n).next {
				blocks++
			}
			if blocksMax := w.Len() * 4 / blockLen; blocks > blocksMax {
				t.Errorf("%d timers left in %d blocks, want at most %d", w.Len(), blocks, blocksMax)
			}
		})
	}
}

// Once the wheel has grown, no call allocates.
func TestAllocatesNothing(t *testing.T) {
	w, now := New(today), int64(today)
	round := func() {
		for i := range int64(1000) {
			h := w.Add(now+i*i, 0)
			if i%3 == 0 {
				w.Cancel(h)
			}
			w.Add(now-i, 0)
		}
		now += minute
		w.Advance(now, 1000)
		for {
			if _, _, ok := w.Pop(now); !ok {
				break
			}
		}
		w.Next()
	}
	for range 100 {
		round()
	}
	if got := testing.AllocsPerRun(100, round); got != 0 {
		t.Errorf("%v allocations a round", got)
	}
}
