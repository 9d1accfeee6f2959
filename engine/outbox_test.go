// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/connector"
)

// notedSink takes records and is done with them when the test says so, one by one. Close gives up the rest.
type notedSink struct {
	taken list[connector.Record]
	dones list[func(error)]
}

func (*notedSink) Open(context.Context) error { return nil }

func (s *notedSink) Publish(r connector.Record, done func(error)) {
	s.taken.add(r)
	s.dones.add(done)
}

func (s *notedSink) Close(context.Context) error {
	for _, done := range s.dones.take() {
		done(errTest)
	}
	return nil
}

// names lists the records that have been taken since the last call.
func (s *notedSink) names() (names []string) {
	for _, r := range s.taken.take() {
		word, _ := engine.String.Decode(r.Value)
		names = append(names, fmt.Sprintf("%s %s %s", r.IdempotencyKey(), r.Sender, word))
	}
	return names
}

// records counts the records that the store holds: entries of kind 6.
func (l *life) records() (n int) {
	for _, e := range l.entries() {
		if strings.HasPrefix(strings.Fields(e)[1], "06") {
			n++
		}
	}
	return n
}

// Records that nobody has confirmed are published again after a crash, under the same names, in the same order
// and ahead of all others (P35); those that were lost for good are not. The store forgets them with the next
// commit.
func TestOutbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLife(t)
		before := &notedSink{}
		l.start(engine.Config{Shards: 3}, probeModule(sayTwice), deliver(before))
		for round := range 3 {
			for _, id := range []string{"p", "q", "r", "s"} {
				submit(t, l.e, id, fmt.Sprint("round ", round))
			}
			checkpoint(t, l.e)
		}
		submit(t, l.e, "p", "of an epoch without a commit")
		names, dones := before.names(), before.dones.take()
		if len(names) != 24 || l.records() != 24 {
			t.Fatalf("%d records have left, %d are stored; want 24", len(names), l.records())
		}
		for i, done := range dones[:6] {
			done([]error{nil, errTest}[i%2])
		}
		checkpoint(t, l.e)
		if n := l.records(); n != 24-6+2 {
			t.Errorf("%d records are stored after 6 were done and 2 came", n)
		}
		names = append(names[6:], before.names()...)
		dones[10](nil) // The store does not hear of this.
		after := &notedSink{}
		l.start(engine.Config{Shards: 2}, probeModule(sayTwice), deliver(after))
		submit(t, l.e, "p", "new")
		checkpoint(t, l.e)
		got := after.names()
		if len(got) != len(names)+2 || !slices.Equal(got[:len(names)], names) {
			t.Errorf("after the crash\n%s leave; want\n%s and two more", strings.Join(got, "\n"), strings.Join(names, "\n"))
		}
		for _, done := range after.dones.take() {
			done(nil)
		}
		checkpoint(t, l.e)
		if n := l.records(); n != 0 {
			t.Errorf("%d records are stored when all are done", n)
		}
		if n := l.e.Stats().QueuedBytes; n != 0 {
			t.Errorf("%d bytes are queued when all are done", n)
		}
	})
}

// Records of an egress that nobody binds stay in the store until somebody does (P38).
func TestOutboxUnbound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLife(t)
		before := &notedSink{}
		l.start(engine.Config{}, probeModule(sayTwice), deliver(before))
		submit(t, l.e, "p", "a")
		checkpoint(t, l.e)
		names := before.names()
		for range 2 {
			l.start(engine.Config{}, heardBy(&list[string]{}))
			submit(t, l.e, "p", "b")
			checkpoint(t, l.e)
			if n := l.records(); n != 2 {
				t.Errorf("%d records are stored; want 2", n)
			}
		}
		after := &notedSink{}
		l.start(engine.Config{}, probeModule(sayTwice), deliver(after))
		synctest.Wait()
		if got := after.names(); !slices.Equal(got, names) {
			t.Errorf("%q leave; want %q", got, names)
		}
	})
}

// What a sink is done with before Close ends is forgotten, what it has given up then is kept (P40).
func TestOutboxAtClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLife(t)
		sink := &notedSink{}
		l.start(engine.Config{}, probeModule(sayTwice), deliver(sink))
		submit(t, l.e, "p", "a")
		checkpoint(t, l.e)
		names := sink.names()
		sink.dones.take()[0](nil)
		submit(t, l.e, "p", "b") // Of the last epoch.
		closeEngine(t, l.e)
		names = append(names[1:], sink.names()...)
		if n := l.records(); n != 3 {
			t.Errorf("%d records are stored; want 3", n)
		}
		if s := l.e.Stats().Egress[0]; s.Delivered != 1 || s.Dropped != 0 {
			t.Errorf("%+v; want one delivered, and none dropped", s)
		}
		l.start(engine.Config{}, probeModule(sayTwice), deliver(sink))
		synctest.Wait()
		if got := sink.names(); len(names) != 3 || !slices.Equal(got, names) {
			t.Errorf("%q leave; want %q", got, names)
		}
		for _, done := range sink.dones.take() {
			done(nil)
		}
		epoch := l.latest().Epoch
		closeEngine(t, l.e)
		if cp := l.latest(); l.records() != 0 || cp.Epoch != epoch+1 {
			t.Errorf("%d records are stored in epoch %d after %d: all were done before the last", l.records(), cp.Epoch, epoch)
		}
	})
}

// The limit holds before the commit too: while that fails, what goes round inside must not emit without end (P36).
func TestOutboxIsFullBeforeCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &paced{Model: model(t), release: make(chan error)}
		sink := &notedSink{}
		e := open(t, engine.Config{Application: "test", Backend: store, OutboxBytesMax: 1000, EpochInterval: time.Hour},
			probeModule(stateless(func(ctx *engine.Context, word string) error {
				said.Send(ctx, word)
				Do.To("p").SendAfter(ctx, time.Millisecond, word)
				return nil
			}), engine.Retries(0)), deliver(sink))
		submit(t, e, "p", "say")
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := e.Stats().QueuedBytes; n > 2000 {
			t.Errorf("%d bytes are queued while nothing is committed", n)
		}
		if n := len(store.begun.take()); n != 1 {
			t.Errorf("%d commits have begun; want one, which makes room", n)
		}
		close(store.release)
	})
}

// Above the limit of the outbox those wait who emit more, each at its address and in its order; all others go on,
// and so do epochs (P36).
func TestOutboxIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLife(t)
		sink := &notedSink{}
		var heard list[string]
		l.start(engine.Config{OutboxBytesMax: 250}, probeModule(stateless(func(ctx *engine.Context, word string) error {
			if strings.HasPrefix(word, "say") {
				said.Send(ctx, word)
				return nil
			}
			heard.add(word)
			return nil
		}), engine.Retries(0)), deliver(sink))
		for _, word := range []string{"say 1", "say 2", "say 3"} { // Two of them have less than 250 bytes, three have more.
			submit(t, l.e, "p", word)
			checkpoint(t, l.e)
		}
		submit(t, l.e, "p", "say 4", "p", "behind it", "q", "silence", "r", "say 5")
		for range 3 {
			time.Sleep(time.Minute)
			checkpoint(t, l.e)
		}
		wantItems(t, &heard, "silence")
		if n := len(sink.names()); n != 3 || l.e.Stats().QueuedBytes == 0 {
			t.Errorf("%d records have left, %d bytes are queued", n, l.e.Stats().QueuedBytes)
		}
		for _, done := range sink.dones.take() {
			done(nil)
		}
		time.Sleep(time.Second)
		checkpoint(t, l.e)
		wantItems(t, &heard, "behind it")
		if n := len(sink.names()); n != 2 {
			t.Errorf("%d records leave when there is room; want 2", n)
		}
		if n := len(suspended(l.e)); n != 0 {
			t.Errorf("%d addresses are suspended", n)
		}
	})
}
