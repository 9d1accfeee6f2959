// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/connector"
)

// latestSource begins at the end of what there is when it is opened for the first time, and notes what is done
// with it.
type latestSource struct {
	log  list[string]
	end  byte
	next byte
}

func (s *latestSource) Open(_ context.Context, position []byte) error {
	if s.next = s.end; len(position) > 0 {
		s.next = position[0]
	}
	s.log.add(fmt.Sprintf("open %x", position))
	return nil
}

func (s *latestSource) Poll(ctx context.Context, _ *connector.Events) error {
	s.log.add(fmt.Sprint("poll ", s.next))
	<-ctx.Done()
	return nil
}

func (s *latestSource) Position() []byte { return []byte{s.next} }
func (s *latestSource) Close() error     { return nil }

// Where a new source begins is committed before it is read for the first time (P39): after a crash in between it
// must not be chosen again, for events may have come meanwhile. One that has a position is read at once.
func TestStartPosition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &latestSource{end: 7}
		modules := []engine.Module{probeModule(sayTwice), bind(func(b *engine.Binder) {
			engine.Connect(b, words, source)
			engine.RouteKey(b, words, Do)
		})}
		store := &paced{Model: model(t), release: make(chan error)}
		e := open(t, engine.Config{Application: "test", Backend: store}, modules...)
		goOn(t, e)
		synctest.Wait()
		wantItems(t, &source.log, "open ")
		if n := len(store.begun.take()); n != 1 {
			t.Fatalf("%d commits have begun; want one, without anybody asking", n)
		}
		store.release <- errTest
		synctest.Wait()
		wantItems(t, &source.log)
		store.release <- nil
		synctest.Wait()
		wantItems(t, &source.log, "poll 7")

		l := &life{t: t, store: store.Model}
		if got := l.latest().Sources; len(got) != 1 || !slices.Equal(got[0].Position, []byte{7}) {
			t.Errorf("positions %+v are stored", got)
		}
		close(store.release)
		source.end = 9
		goOn(t, l.start(engine.Config{}, modules...))
		synctest.Wait()
		wantItems(t, &source.log, "open 07", "poll 7")
	})
}

// A volatile engine has nothing to begin from again, and one whose source is hushed before it has begun stops all
// the same.
func TestStartPositionIsNotStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []engine.Config{{}, {EpochInterval: engine.EpochsOff, Application: "test", Backend: model(t)}} {
			source := &latestSource{}
			e := open(t, c, probeModule(sayTwice), bind(func(b *engine.Binder) {
				engine.Connect(b, words, source)
				engine.RouteKey(b, words, Do)
			}))
			goOn(t, e)
			synctest.Wait()
			wantItems(t, &source.log, "open ", "poll 0")
			if n := e.Stats().EpochsCommitted; n != 0 {
				t.Errorf("%d epochs", n)
			}
		}
		source := &latestSource{}
		store := &paced{Model: model(t), release: make(chan error)}
		e := open(t, engine.Config{Application: "test", Backend: store}, probeModule(sayTwice), bind(func(b *engine.Binder) {
			engine.Connect(b, words, source)
			engine.RouteKey(b, words, Do)
		}))
		goOn(t, e)
		synctest.Wait()
		closed := begin(t.Context(), e.Close)
		close(store.release)
		if err := <-closed; err != nil {
			t.Errorf("Close: %v", err)
		}
		wantItems(t, &source.log, "open ")
	})
}

// closedSource cannot be opened, until it can.
type closedSource struct {
	latestSource
	err error
}

func (s *closedSource) Open(ctx context.Context, position []byte) error {
	s.log.add(fmt.Sprint("configured: ", position == nil))
	return s.err
}

// A source that has never been opened has no position: a restart has it begin where it is configured to, also when
// epochs have been committed meanwhile.
func TestStartPositionOfNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLife(t)
		source := &closedSource{err: errTest}
		modules := []engine.Module{probeModule(sayTwice), bind(func(b *engine.Binder) {
			engine.Connect(b, words, source)
			engine.RouteKey(b, words, Do)
		})}
		closeEngine(t, l.start(engine.Config{}, modules...)) // Without Run.
		wantItems(t, &source.log)
		goOn(t, l.start(engine.Config{}, modules...))
		checkpoint(t, l.e)
		wantItems(t, &source.log, "configured: true")
		if got := l.latest().Sources; len(got) != 0 {
			t.Errorf("positions %+v are stored", got)
		}
		source.err = nil
		for _, want := range []string{"configured: true", "configured: false"} {
			goOn(t, l.start(engine.Config{}, modules...))
			synctest.Wait()
			if got := source.log.take(); got[0] != want {
				t.Errorf("%q; want %q first", got, want)
			}
			checkpoint(t, l.e)
			source.log.take()
		}
	})
}

// slowSource does not answer when it is opened, as a broker that is away, until it is told to or the engine closes.
type slowSource struct {
	latestSource
	answer chan struct{}
}

func (s *slowSource) Open(ctx context.Context, position []byte) error {
	select {
	case <-s.answer:
		return s.latestSource.Open(ctx, position)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A source that takes its time to open holds nobody up: epochs end, and whoever waits for one is told. Its position
// is in the store when it has one, and an engine that closes meanwhile closes it.
func TestSlowOpen(t *testing.T) {
	for _, answers := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			source := &slowSource{latestSource: latestSource{end: 7}, answer: make(chan struct{})}
			l := &life{t: t, store: model(t)}
			e := l.start(engine.Config{}, probeModule(sayTwice), bind(func(b *engine.Binder) {
				engine.Connect(b, words, source)
				engine.RouteKey(b, words, Do)
			}))
			goOn(t, e)
			for range 3 {
				if err := Do.To("a").Submit(t.Context(), e, "hello", engine.Durable()); err != nil {
					t.Fatal(err)
				}
			}
			if got := l.latest().Sources; len(got) != 0 {
				t.Errorf("positions %+v are stored of a source that is not open", got)
			}
			if !answers {
				return // It is closed by the test's end.
			}
			close(source.answer)
			synctest.Wait()
			wantItems(t, &source.log, "open ", "poll 7")
			if got := l.latest().Sources; len(got) != 1 || !slices.Equal(got[0].Position, []byte{7}) {
				t.Errorf("positions %+v are stored", got)
			}
		})
	}
}
