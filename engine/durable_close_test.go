// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/remote"
)

// Close on a durable backend drains nothing: messages that send themselves on for ever are in the last epoch as
// they are, and go on after the restart from there. Nothing that shards do after the last cut leaves, and nothing
// before it is lost: the records of all runs together are a chain without a gap or a second link (P40).
func TestCloseDurableCutsOff(t *testing.T) {
	const chains = 8
	store := model(t)
	module := probeModule(stateless(func(ctx *engine.Context, word string) error {
		var chain, link int
		if _, err := fmt.Sscanf(word, "%d %d", &chain, &link); err != nil {
			return err
		}
		said.Send(ctx, word)
		Do.To(fmt.Sprint(chain, " ", link%5)).Send(ctx, fmt.Sprint(chain, " ", link+1)) // From shard to shard.
		return nil
	}))
	var links [chains]int
	for life := range 5 {
		var records recorder
		var err error
		if store, err = store.Reopen(storeOptions); err != nil {
			t.Fatal(err)
		}
		e := open(t, engine.Config{Application: "test", Backend: store, Shards: 1 + life%3}, module, deliver(records.sink()))
		if life == 0 {
			for chain := range chains {
				if err := Do.To("x").Submit(t.Context(), e, fmt.Sprint(chain, " 0")); err != nil {
					t.Fatal(err)
				}
			}
		}
		for range 3 {
			if err := e.Checkpoint(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		closeEngine(t, e)
		got := records.take() // In the order of their epochs, and of their shards.
		var said [chains][]int
		for _, word := range got {
			var chain, link int
			if _, err := fmt.Sscanf(word, "%d %d", &chain, &link); err != nil {
				t.Fatal(err)
			}
			said[chain] = append(said[chain], link)
		}
		for chain, more := range said {
			slices.Sort(more)
			if len(more) == 0 {
				t.Errorf("life %d: chain %d has not gone on from %d", life, chain, links[chain])
			}
			for _, link := range more {
				if link != links[chain] {
					t.Fatalf("life %d: link %d of chain %d comes after %d links", life, link, chain, links[chain])
				}
				links[chain]++
			}
		}
	}
}

// A request to a function elsewhere that is not answered does not hold Close: its messages are in the checkpoint,
// and are sent again.
func TestCloseDurableInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLife(t)
		silent := &cancelled{}
		l.start(engine.Config{}, serve("far/*", silent, remote.Policy{Call: time.Hour}))
		for n := range 3 {
			submitTo(t, l.e, "far", "echo", "a", fmt.Sprint("word ", n))
		}
		if silent.requests() == 0 {
			t.Fatal("nothing is under way")
		}
		start := time.Now()
		closeEngine(t, l.e)
		if d := time.Since(start); d > time.Second {
			t.Errorf("Close took %v", d)
		}
		var asked list[string]
		l.start(engine.Config{Shards: 1}, serve("far/*", server(func(_ *remote.Request, m remote.Message) { asked.add(word(m)) }), remote.Policy{}))
		time.Sleep(time.Minute)
		synctest.Wait()
		wantItems(t, &asked, "word 0", "word 1", "word 2")
	})
}

// cancelled is hung until it is closed: then it gives up what it has.
type cancelled struct{ hung }

func (c *cancelled) Close(context.Context) error {
	c.heal(func(r *remote.Request) { r.Done(errTest) })
	return nil
}

func submitTo(t *testing.T, e *engine.Engine, namespace, name, id, w string) {
	t.Helper()
	ref, err := engine.RefOf(farTell, engine.Address{Type: typ(namespace, name), ID: id})
	if err != nil {
		t.Fatal(err)
	}
	if err := ref.Submit(t.Context(), e, w); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

// Those who wait for durability when the engine closes are told by the last epoch; those who ask then are
// refused. What waits for an answer that does not come ends with the engine.
func TestCloseDurableTells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &paced{Model: model(t), release: make(chan error)}
		d := &door{}
		e := open(t, engine.Config{Application: "test", Backend: store}, durableModules(d)...)
		run(t, e)
		calls := durably(t, e, d)
		first := begin(t.Context(), calls["Send"]) // Its epoch is being committed: the others are of the next.
		waiting := map[string]chan error{}
		for name, call := range calls {
			waiting[name] = begin(t.Context(), call)
		}
		never := begin(t.Context(), func(ctx context.Context) error {
			_, err := Ask.Ask(ctx, e, "x", "never", engine.Durable())
			return err
		})
		closed := begin(t.Context(), e.Close)
		for name, call := range calls {
			if err := call(t.Context()); !errors.Is(err, connector.ErrClosing) {
				t.Errorf("%s while the engine closes: %v", name, err)
			}
		}
		store.release <- nil
		if err := <-first; err != nil {
			t.Errorf("the first: %v", err)
		}
		store.release <- errTest // Even now it is tried again.
		close(store.release)
		if err := <-closed; err != nil {
			t.Errorf("Close: %v", err)
		}
		for name, done := range waiting {
			if err := <-done; err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := <-never; !errors.Is(err, connector.ErrClosing) {
			t.Errorf("a call without an answer: %v", err)
		}
	})
}

// Close ends with its context also when the last epoch cannot be committed, and says so; nothing of the epoch
// leaves.
func TestCloseDurableWithoutCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var records recorder
		store := &paced{Model: model(t), release: make(chan error)}
		e := open(t, engine.Config{Application: "test", Backend: store}, probeModule(sayAll), deliver(records.sink()))
		waiting := begin(t.Context(), func(ctx context.Context) error { return Do.To("p").Submit(ctx, e, "a", engine.Durable()) })
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		closed := begin(ctx, e.Close)
		stop := make(chan bool)
		go func() {
			for {
				select {
				case store.release <- errTest:
				case <-stop:
					close(store.release)
					return
				}
			}
		}()
		err := <-closed
		close(stop)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "last checkpoint") {
			t.Errorf("Close: %v", err)
		}
		if err := <-waiting; !errors.Is(err, connector.ErrClosing) {
			t.Errorf("who waits: %v", err)
		}
		wantItems(t, &records.list)
	})
}

// Messages that Close finds at their addresses are in the last epoch.
func TestCloseDurableKeepsMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var heard list[string]
		fail := true
		module := probeModule(stateless(func(_ *engine.Context, word string) error {
			if fail {
				return errTest
			}
			heard.add(word)
			return nil
		}), engine.Retries(1000))
		l := newLife(t)
		l.start(engine.Config{Shards: 3}, module)
		var want []string
		for n := range 20 {
			want = append(want, fmt.Sprintf("word %02d", n))
			submit(t, l.e, fmt.Sprint("p", n%7), want[n])
		}
		start := time.Now()
		closeEngine(t, l.e)
		if d := time.Since(start); d > time.Second {
			t.Errorf("Close took %v: it has waited for the messages", d)
		}
		fail = false
		l.start(engine.Config{}, module)
		time.Sleep(time.Minute)
		synctest.Wait()
		got := heard.take()
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("heard %q", got)
		}
	})
}

// What the engine has accepted is not lost when it closes, however close to that it came.
func TestCloseDurableLosesNothing(t *testing.T) {
	store := model(t)
	module := engine.Module{Name: "counters", Bind: func(b *engine.Binder) error {
		engine.Bind(b, counterFunction, func(s *engine.Schema) Counter {
			return &counter{engine.NewValue(s, "sum", engine.Int64)}
		})
		return nil
	}}
	var accepted [4]int64
	for life := range 10 {
		var err error
		if store, err = store.Reopen(storeOptions); err != nil {
			t.Fatal(err)
		}
		e := open(t, engine.Config{Application: "test", Backend: store, Shards: 1 + life%3, InboxSlots: 4}, module)
		for id, n := range accepted {
			if sum, err := Add.Ask(t.Context(), e, fmt.Sprint(id), 0); err != nil || sum != n {
				t.Errorf("life %d: %d were accepted at %d; its sum is %d, %v", life, n, id, sum, err)
			}
		}
		var senders sync.WaitGroup
		some := make(chan bool, len(accepted))
		for id := range accepted {
			senders.Go(func() {
				for n := 0; ; n++ {
					err := Add.To(fmt.Sprint(id)).Submit(t.Context(), e, 1)
					if errors.Is(err, engine.ErrClosing) {
						return
					}
					if err != nil {
						t.Error(err)
					}
					if accepted[id]++; n == 100 {
						some <- true
					}
				}
			})
		}
		<-some
		closeEngine(t, e)
		senders.Wait()
	}
}
