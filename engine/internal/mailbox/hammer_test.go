// SPDX-License-Identifier: Apache-2.0

package mailbox

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/statefun"
)

// bubble runs f where a lost wake-up is found at once: when all of f's goroutines sleep for ever,
// synctest fails the test; and when one of them sleeps until a timer ends it, the bubble's clock moves,
// which it never does while anybody is awake.
func bubble(t *testing.T, f func(*testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		f(t)
		if late := time.Since(start); late != 0 {
			t.Errorf("somebody slept for %v although there was work", late)
		}
	})
}

// Two who wait for each other, so that one lost wake-up is the end: whoever has the ball passes it on and
// sleeps until it comes back, now at once, now after looking around for it a while.
func TestParkerHammer(t *testing.T) {
	for _, d := range []time.Duration{-1, time.Hour} {
		t.Run(fmt.Sprint(d), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				const passes = 200_000
				parkers := [2]*Parker{NewParker(), NewParker()}
				var ball atomic.Int64 // How often it was passed: the lowest bit says who has it.
				var both sync.WaitGroup
				for me := range int64(2) {
					both.Go(func() {
						rng := rand.New(rand.NewPCG(1, uint64(me)))
						for n := me; n < passes; n += 2 {
							for range rng.IntN(100) {
								if ball.Load() == n {
									break
								}
							}
							for ball.Load() != n {
								parkers[me].Park(func() bool { return ball.Load() == n }, d)
							}
							ball.Add(1)
							parkers[1-me].Wake()
						}
					})
				}
				both.Wait()
				for _, p := range parkers {
					if p.parked.Load() || len(p.wake) != 0 {
						t.Errorf("awake, but parked %v with %d tokens", p.parked.Load(), len(p.wake))
					}
				}
			})
		})
	}
}

// Work that comes while the owner is about to sleep: after it has looked, or while it looks and finds it.
func TestParkerWokenWhileLooking(t *testing.T) {
	for _, found := range []bool{false, true} {
		for _, d := range []time.Duration{-1, time.Hour} {
			bubble(t, func(t *testing.T) {
				p := NewParker()
				p.Park(func() bool { p.Wake(); return found }, d)
				if p.parked.Load() || len(p.wake) != 0 {
					t.Errorf("awake, but parked %v with %d tokens", p.parked.Load(), len(p.wake))
				}
			})
		}
	}
}

// A timer that ends a sleep at the moment when somebody else does leaves no token behind: it would end
// the next sleep, or block the next waker.
func TestParkerTimerHammer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewParker()
		var stop atomic.Bool
		var waker sync.WaitGroup
		waker.Go(func() {
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			for !stop.Load() {
				<-tick.C // At the same instant as the owner's timer.
				p.Wake()
			}
		})
		for range 20_000 {
			p.Park(func() bool { return false }, time.Millisecond)
			if p.parked.Load() || len(p.wake) != 0 {
				t.Fatalf("awake, but parked %v with %d tokens", p.parked.Load(), len(p.wake))
			}
		}
		stop.Store(true)
		waker.Wait()
		if p.Parks() != 20_000 {
			t.Errorf("%d sleeps were counted; want 20000", p.Parks())
		}
	})
}

// Sources take credit and leave work, a shard takes the work and lets them look again: nobody waits for
// ever while there is room, though some give up in the middle of it. There is room for one, so that with
// a single source one lost notice is the end.
func TestGateHammer(t *testing.T) {
	for _, sources := range []int{1, 2, 8} {
		t.Run(fmt.Sprintf("sources=%d", sources), func(t *testing.T) {
			bubble(t, func(t *testing.T) { hammerGate(t, sources) })
		})
	}
}

func hammerGate(t *testing.T, sources int) {
	const size = 10
	events := 40_000 / sources
	gate := NewGate(size)
	p := NewParker()
	var left atomic.Int64
	var all sync.WaitGroup
	for i := range sources {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(i)))
			for n := 0; n < events; {
				ctx, cancel := context.WithCancel(t.Context())
				if rng.IntN(32) == 0 {
					all.Go(cancel) // At some moment of the wait, or before it, or after.
				}
				err := gate.Wait(ctx)
				cancel()
				if err != nil {
					continue
				}
				gate.Add(size)
				left.Add(1)
				p.Wake()
				n++
			}
		})
	}
	rng := rand.New(rand.NewPCG(2, 2))
	for taken := 0; taken < sources*events; {
		for range rng.IntN(100) {
			if left.Load() != 0 {
				break
			}
		}
		n := left.Swap(0)
		if taken += int(n); n == 0 {
			p.Park(func() bool { return left.Load() != 0 }, -1)
			continue
		}
		gate.Add(-n * size)
		gate.Notify()
	}
	all.Wait()
	if gate.Queued() != 0 || gate.waiting.Load() != 0 || !gate.Open() {
		t.Errorf("%d bytes queued, %d wait, open %v", gate.Queued(), gate.waiting.Load(), gate.Open())
	}
	if most := int64(sources * size); gate.Peak() > most { // Each may have looked while there was room.
		t.Errorf("the peak is %d bytes; want at most %d", gate.Peak(), most)
	}
}

// Producers at full speed and one consumer: what is let in is taken, once, in each producer's order.
func TestInboxHammer(t *testing.T) {
	for _, slots := range []int{1, 2, 64} {
		t.Run(fmt.Sprintf("slots=%d", slots), func(t *testing.T) {
			const producers, batches = 4, 20_000
			inbox := NewInbox[envelope.Batch](slots)
			var refused atomic.Int64
			var all sync.WaitGroup
			for i := range producers {
				all.Go(func() {
					for n := range batches {
						b := envelope.New(1)
						b.Epoch = statefun.Epoch(n)
						b.Append(envelope.Function(i), 0, 0, "a")
						for !inbox.TryPush(b) {
							refused.Add(1)
							runtime.Gosched()
						}
					}
				})
			}
			var next [producers]statefun.Epoch
			for taken := 0; taken < producers*batches; {
				b := inbox.Pop()
				if b == nil {
					runtime.Gosched()
					continue
				}
				from := b.Envelopes[0].Function
				if b.Epoch != next[from] {
					t.Fatalf("batch %d of producer %d; want %d", b.Epoch, from, next[from])
				}
				next[from]++
				taken++
			}
			all.Wait()
			if b := inbox.Pop(); b != nil || !inbox.Empty() {
				t.Errorf("after the last batch: Pop() = %v, Empty() = %v", b, inbox.Empty())
			}
			if slots == 1 && refused.Load() == 0 {
				t.Error("four producers were never refused the one slot")
			}
		})
	}
}
