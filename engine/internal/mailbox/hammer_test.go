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

// Many leave work and wake the owner, who sleeps whenever there is none: no wake-up is lost, however the
// two sides meet, with a timer running or without, and every token is taken.
func TestParkerHammer(t *testing.T) {
	const wakers, works = 4, 100_000
	for _, d := range []time.Duration{-1, time.Hour} {
		t.Run(fmt.Sprint(d), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := NewParker()
				var left atomic.Int64
				var all sync.WaitGroup
				for i := range wakers {
					all.Go(func() {
						rng := rand.New(rand.NewPCG(1, uint64(i)))
						for range works {
							left.Add(1)
							yieldSometimes(rng)
							p.Wake()
							yieldSometimes(rng)
						}
					})
				}
				for taken := int64(0); taken < wakers*works; {
					n := left.Swap(0)
					if taken += n; n == 0 {
						p.Park(func() bool { return left.Load() != 0 }, d)
					}
				}
				all.Wait()
				if p.parked.Load() || len(p.wake) != 0 {
					t.Errorf("awake, but parked %v with %d tokens", p.parked.Load(), len(p.wake))
				}
			})
		})
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
// ever while there is room, though some give up in the middle of it.
func TestGateHammer(t *testing.T) {
	const sources, events, size = 8, 20_000, 10
	bubble(t, func(t *testing.T) {
		gate := NewGate(4 * size)
		p := NewParker()
		var left atomic.Int64
		var all sync.WaitGroup
		for i := range sources {
			all.Go(func() {
				rng := rand.New(rand.NewPCG(1, uint64(i)))
				for n := 0; n < events; {
					ctx, cancel := context.WithCancel(t.Context())
					if rng.IntN(16) == 0 {
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
					yieldSometimes(rng)
				}
			})
		}
		rng := rand.New(rand.NewPCG(2, 2))
		for taken := int64(0); taken < sources*events; {
			n := left.Swap(0)
			if taken += n; n == 0 {
				p.Park(func() bool { return left.Load() != 0 }, -1)
				continue
			}
			yieldSometimes(rng)
			gate.Add(-n * size)
			gate.Notify()
		}
		all.Wait()
		if gate.Queued() != 0 || gate.waiting.Load() != 0 || !gate.Open() {
			t.Errorf("%d bytes queued, %d wait, open %v", gate.Queued(), gate.waiting.Load(), gate.Open())
		}
		// Each source may have looked while there was room for one more.
		if most := int64((4 - 1 + sources) * size); gate.Peak() > most {
			t.Errorf("the peak is %d bytes; want at most %d", gate.Peak(), most)
		}
	})
}

// Producers at full speed and one consumer: what is let in is taken, once, in each producer's order.
func TestInboxHammer(t *testing.T) {
	for _, slots := range []int{1, 2, 64} {
		t.Run(fmt.Sprintf("slots=%d", slots), func(t *testing.T) {
			const producers, batches = 4, 20_000
			inbox := NewInbox(slots)
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
