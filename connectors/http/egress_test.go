// SPDX-License-Identifier: Apache-2.0

package http

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Each sender's records arrive in order, one after the other, whatever fails meanwhile; every record is
// done once; no more than MaxInFlight requests are under way. The model is a list for each sender.
func TestEgressOrder(t *testing.T) {
	for seed := range int64(30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rng, fates := rand.New(rand.NewSource(seed)), rand.New(rand.NewSource(-seed))
				var mu sync.Mutex // Guards under and fates.
				under := map[string]bool{}
				r := &receiver{}
				r.answer = func(_ int, a arrived) string {
					mu.Lock()
					if under[a.sender] {
						t.Errorf("two requests of %s at a time", a.sender)
					}
					under[a.sender] = true
					fate, pause := fates.Intn(6), time.Duration(fates.Intn(100))*time.Millisecond
					mu.Unlock()
					time.Sleep(pause) // In the bubble's time.
					mu.Lock()
					delete(under, a.sender)
					mu.Unlock()
					switch fate {
					case 0:
						return ""
					case 1:
						return status("503 X")
					case 2:
						return status("200 X", "Connection: close")
					case 3:
						return status("400 X")
					}
					return ok
				}
				inFlight := 1 + rng.Intn(4)
				e := r.egress(t, EgressConfig{MaxInFlight: inFlight, MaxQueued: 1 + rng.Intn(20)})
				o := outcomes{t: t}
				model := map[string][]string{}
				const records = 100
				for i := range uint64(records) {
					sender := fmt.Sprint(rng.Intn(6))
					rec := record(sender, i)
					model["shop/cart/"+sender] = append(model["shop/cart/"+sender], rec.IdempotencyKey())
					o.publish(e, rec)
				}
				shut(t, e)
				if o.count() != records {
					t.Errorf("%d records are done, want %d", o.count(), records)
				}
				got := map[string][]string{}
				for _, a := range r.arrived() { // Repeated attempts follow each other.
					if keys := got[a.sender]; len(keys) == 0 || keys[len(keys)-1] != a.key {
						got[a.sender] = append(got[a.sender], a.key)
					}
				}
				for sender, want := range model {
					if !slices.Equal(got[sender], want) {
						t.Errorf("of %s arrived %v, want %v", sender, got[sender], want)
					}
				}
				if r.most > inFlight {
					t.Errorf("%d requests at a time, want %d at most", r.most, inFlight)
				}
			})
		})
	}
}

// A sender whose record is refused again and again holds up nobody else, not even with one request at a
// time: it does not keep the turn while it waits.
func TestEgressFailingSenderHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{answer: func(_ int, a arrived) string {
			if a.sender == "shop/cart/bad" {
				return status("503 X", "Retry-After: 60")
			}
			return ok
		}}
		e := r.egress(t, EgressConfig{MaxInFlight: 1})
		o := outcomes{t: t}
		start := time.Now()
		o.publish(e, record("bad", 0))
		for i := range uint64(10) {
			o.publish(e, record(fmt.Sprint(i), 1+i))
		}
		synctest.Wait()
		if n := o.count(); n != 10 || time.Since(start) != 0 {
			t.Errorf("%d records are done after %v, want 10 at once", n, time.Since(start))
		}
		ctx, stop := context.WithCancel(t.Context())
		stop()
		if err := e.Close(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Close = %v", err)
		}
	})
}

// Publish holds the engine back at MaxQueued records, and goes on when one of them is done.
func TestEgressPublishBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		r := &receiver{answer: func(int, arrived) string {
			<-release
			return ok
		}}
		const most = 5
		e := r.egress(t, EgressConfig{MaxQueued: most})
		o := outcomes{t: t}
		var mu sync.Mutex
		published := 0
		go func() {
			for i := range uint64(most + 2) {
				o.publish(e, record("a", i))
				mu.Lock()
				published++
				mu.Unlock()
			}
		}()
		for want := most; want <= most+2; want++ {
			synctest.Wait()
			mu.Lock()
			if published != want {
				t.Errorf("%d records are published, want %d", published, want)
			}
			mu.Unlock()
			release <- struct{}{}
		}
		close(release)
		synctest.Wait()
		shut(t, e)
		o.check(most+2, nil)
	})
}

// Close waits for what is published, and what comes later is not taken.
func TestEgressCloseWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{answer: func(n int, _ arrived) string {
			time.Sleep(time.Second)
			if n%2 == 0 {
				return status("503 X")
			}
			return ok
		}}
		e := r.egress(t, EgressConfig{})
		o := outcomes{t: t}
		for i := range uint64(10) {
			o.publish(e, record("a", i))
		}
		shut(t, e)
		o.check(10, nil)
		e.Publish(record("a", 11), func(err error) {
			if !errors.Is(err, ErrClosed) {
				t.Errorf("published after Close: %v, want %v", err, ErrClosed)
			}
		})
	})
}

// When its context is over, Close gives everything up at once, wherever it is: dialling, waiting for an
// answer, backing off, waiting for a turn, queued, or blocked in Publish.
func TestEgressCloseGivesUp(t *testing.T) {
	stages := map[string]func(r *receiver, e *Egress, over chan struct{}){
		"dialling": func(_ *receiver, e *Egress, _ chan struct{}) {
			e.client.dial = func(ctx context.Context) (net.Conn, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}
		},
		"answer": func(r *receiver, _ *Egress, over chan struct{}) {
			r.answer = func(int, arrived) string {
				<-over
				return ok
			}
		},
		"back-off": func(r *receiver, _ *Egress, _ chan struct{}) {
			r.answer = func(int, arrived) string { return status("503 X", "Retry-After: 300") }
		},
	}
	for name, stage := range stages {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &receiver{}
				e := r.egress(t, EgressConfig{MaxInFlight: 1, MaxQueued: 6, Timeout: 10 * time.Hour})
				over := make(chan struct{})
				defer close(over)
				stage(r, e, over)
				o := outcomes{t: t}
				go func() {
					for i := range uint64(8) { // Two more than are taken over.
						o.publish(e, record(fmt.Sprint(i%3), i))
					}
				}()
				synctest.Wait()
				ctx, stop := context.WithTimeout(t.Context(), time.Minute)
				defer stop()
				start := time.Now()
				if err := e.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("Close = %v, want %v", err, context.DeadlineExceeded)
				}
				if d := time.Since(start); d != time.Minute {
					t.Errorf("Close took %v, want a minute", d)
				}
				synctest.Wait()
				o.check(8, ErrClosed)
			})
		})
	}
}
