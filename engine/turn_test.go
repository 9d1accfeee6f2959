// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/connector"
)

// Messages between functions come first, but they do not keep ingress out for ever.
func TestIngressIsNotStarved(t *testing.T) {
	stopped := false // Of the one shard.
	begun := make(chan bool, 1)
	e := open(t, engine.Config{Shards: 1, BatchMax: 1}, probeModule(stateless(func(ctx *engine.Context, word string) error {
		switch {
		case word == "stop":
			stopped = true
		case !stopped:
			Do.Same().Send(ctx, "go on")
		}
		if word == "begin" {
			begun <- true
		}
		return nil
	})), bind(func(b *engine.Binder) {
		engine.Connect(b, words, ended("stop"))
		engine.RouteKey(b, words, Do)
	}))
	for range 20 { // More than the shard takes in one turn.
		if err := Do.To("p").Submit(t.Context(), e, "begin"); err != nil {
			t.Fatal(err)
		}
		<-begun
	}
	if err := e.Run(t.Context()); err != nil { // Returns when nothing moves any more.
		t.Error(err)
	}
}

// A source may say that it was interrupted when the engine has interrupted it, for the cut: that is no
// failure, and it is asked again.
func TestSourceIsInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &interrupted{}
		e := open(t, engine.Config{}, probeModule(sayAll), bind(func(b *engine.Binder) {
			engine.Connect(b, words, source)
			engine.RouteKey(b, words, Do)
		}))
		run(t, e) // Checks in the end that Run has returned no error.
		synctest.Wait()
		for range 3 {
			checkpoint(t, e)
		}
		if source.polls < 4 {
			t.Errorf("%d polls around three checkpoints", source.polls)
		}
	})
}

type interrupted struct{ polls int }

func (*interrupted) Open(context.Context, []byte) error { return nil }
func (*interrupted) Position() []byte                   { return nil }
func (*interrupted) Close() error                       { return nil }

func (i *interrupted) Poll(ctx context.Context, _ *connector.Events) error {
	i.polls++
	<-ctx.Done()
	return ctx.Err()
}

// Whoever waits for room in an inbox when the engine is closed is told; what is stuck holds Close.
func TestSubmitWhileClosing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan bool)
		e := open(t, engine.Config{Shards: 1, InboxSlots: 1}, probeModule(stateless(func(*engine.Context, string) error { <-release; return nil })))
		submit(t, e, "p", "busy", "p", "in the inbox")
		waits, closed := make(chan error, 1), make(chan error, 1)
		go func() { waits <- Do.To("p").Submit(t.Context(), e, "more") }()
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		go func() { closed <- e.Close(ctx) }()
		if err := <-waits; !errors.Is(err, engine.ErrClosing) {
			t.Errorf("Submit: %v", err)
		}
		synctest.Wait()
		if len(closed) != 0 {
			t.Error("Close has returned while a handler runs")
		}
		close(release)
		if err := <-closed; !errors.Is(err, context.Canceled) {
			t.Errorf("Close: %v", err)
		}
	})
}

// An engine that was closed before it ran does not run.
func TestRunAfterClose(t *testing.T) {
	source := ended("a")
	e := open(t, engine.Config{}, probeModule(sayAll), bind(func(b *engine.Binder) {
		engine.Connect(b, words, source)
		engine.RouteKey(b, words, Do)
	}))
	closeEngine(t, e)
	if err := e.Run(t.Context()); err == nil {
		t.Error("Run after Close")
	}
	if source.opened != 0 || source.closed != 0 {
		t.Errorf("the source was opened %d times and closed %d times", source.opened, source.closed)
	}
}
