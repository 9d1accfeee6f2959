// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"testing"

	"github.com/millrace-io/millrace/engine"
)

type busyFn interface {
	Again(*engine.Context, int32) error
	Hit(*engine.Context, int64) error
}

var (
	busyFunction = engine.Define[busyFn]("test/busy")
	busyAgain    = engine.Accept(busyFunction, engine.Int32, busyFn.Again)
	busyHit      = engine.Accept(busyFunction, engine.Int64, busyFn.Hit)
)

// busy sends to itself, over and over. From time to time it waits until a message from outside is there, and counts
// how many of its own come before that.
type busy struct {
	left   int // Until it waits; 0: it ends.
	waited int
	hit    chan chan int
	pushed chan struct{}
	answer chan int
}

func (f *busy) Again(ctx *engine.Context, _ int32) error {
	if f.left == 0 {
		return nil // That was all.
	}
	if f.left--; f.left == 0 {
		f.left, f.answer, f.waited = 1<<30, make(chan int, 1), 0
		f.hit <- f.answer
		<-f.pushed
	}
	f.waited++
	busyAgain.Same().Send(ctx, 0)
	return nil
}

func (f *busy) Hit(_ *engine.Context, again int64) error {
	f.left = int(again)
	f.answer <- f.waited
	return nil
}

// A shard that is busy with itself takes what comes from outside after so many messages as it says turns, although
// a turn may be several messages to itself long.
func TestBusyWithItself(t *testing.T) {
	f := &busy{left: 1000, hit: make(chan chan int), pushed: make(chan struct{})}
	e, err := engine.Open(t.Context(), engine.Config{Shards: 1}, bind(func(b *engine.Binder) {
		engine.Bind(b, busyFunction, func(*engine.Schema) busyFn { return f })
	}))
	if err != nil {
		t.Fatal(err)
	}
	if err := busyAgain.To("a").Submit(t.Context(), e, 0); err != nil {
		t.Fatal(err)
	}
	for again := int64(1500); again >= 0; again -= 75 { // The last one ends it.
		answer := <-f.hit
		if err := busyHit.To("a").Submit(t.Context(), e, again); err != nil {
			t.Fatal(err)
		}
		f.pushed <- struct{}{}
		if waited, most := <-answer, 64+8; waited > most {
			t.Errorf("%d messages to itself have come before one from outside, want at most %d", waited, most)
		}
	}
	if err := e.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
