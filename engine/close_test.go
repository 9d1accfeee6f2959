// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/backendtest"
	"github.com/millrace-io/millrace/engine/connector"
)

// Close lets what is inside come to its end, commits it and delivers its records. What waits for its time
// or at a suspended address goes with the engine.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var records recorder
		d := &door{}
		e := open(t, engine.Config{BatchMax: 2}, bind(func(b *engine.Binder) {
			b.Door(d)
			engine.Connect(b, words, &wordSource{words: []string{"from the source"}})
			engine.Route(b, words, Do, func(string) string { return "p" })
		}), deliver(records.sink()), probeModule(stateless(func(ctx *engine.Context, word string) error {
			var left int
			if n, _ := fmt.Sscanf(word, "count %d", &left); n == 1 && left > 0 {
				Do.To(fmt.Sprint(left)).Send(ctx, fmt.Sprint("count ", left-1))
				return nil
			}
			if word == "fail" {
				return engine.Permanent(errTest)
			}
			Do.To("p").SendAfter(ctx, time.Hour, "too late")
			said.Send(ctx, word)
			return nil
		})))
		ended := make(chan error, 1)
		go func() { ended <- e.Run(t.Context()) }()
		<-e.Ready()
		submit(t, e, "q", "fail", "q", "behind it")
		if err := Do.To("r").Submit(t.Context(), e, "count 100"); err != nil {
			t.Error(err)
		}
		closeEngine(t, e)
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		got := records.take()
		slices.Sort(got) // In the order of their shards.
		if !slices.Equal(got, []string{"count 0", "from the source"}) {
			t.Errorf("said %q", got)
		}

		closeEngine(t, e) // Once more.
		if d.closed != 1 {
			t.Errorf("the door was closed %d times", d.closed)
		}
		_, asking := Ask.Ask(t.Context(), e, "a", "hello")
		for what, err := range map[string]error{
			"Submit":     Do.To("p").Submit(t.Context(), e, "late"),
			"Resume":     e.Resume(t.Context(), Do.To("q").Address()),
			"Checkpoint": e.Checkpoint(t.Context()),
		} {
			if !errors.Is(err, engine.ErrClosing) {
				t.Errorf("%s after Close: %v", what, err)
			}
		}
		if !errors.Is(asking, engine.ErrNoFunction) { // There is none here.
			t.Errorf("Ask: %v", asking)
		}
		if err := e.Run(t.Context()); err == nil {
			t.Error("Run after Close")
		}
	})
}

// Run keeps on until its context is done, which is no error.
func TestRunUntilDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := open(t, engine.Config{}, probeModule(sayAll), bind(func(b *engine.Binder) {
			engine.Connect(b, words, &wordSource{})
			engine.RouteKey(b, words, Do)
		}), deliver(connector.SinkFunc(func(connector.Record) error { return nil })))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- e.Run(ctx) }()
		time.Sleep(time.Second)
		synctest.Wait()
		if len(ended) != 0 {
			t.Error("Run has returned")
		}
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		submit(t, e, "p", "the shards still run")
		if n := e.Stats().Invocations(); n != 1 {
			t.Errorf("%d invocations", n)
		}
	})
}

// A caller whose question is not answered when the engine closes is told.
func TestCloseEndsAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := open(t, engine.Config{}, echoes)
		done := make(chan error)
		go func() {
			_, err := Ask.Ask(t.Context(), e, "a", "never")
			done <- err
		}()
		synctest.Wait()
		closed := make(chan error, 1)
		go func() { closed <- e.Close(t.Context()) }()
		if err := <-done; !errors.Is(err, engine.ErrClosing) {
			t.Errorf("Ask: %v", err)
		}
		if err := <-closed; err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}

// What never comes to its end is cut off when Close's context ends.
func TestCloseCutsOff(t *testing.T) {
	e, err := engine.Open(t.Context(), engine.Config{Shards: 2, Logger: slog.New(slog.DiscardHandler)},
		probeModule(stateless(func(ctx *engine.Context, word string) error {
			Do.Same().Send(ctx, word)
			return nil
		})))
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"a", "b", "c", "d"} {
		if err := Do.To(id).Submit(t.Context(), e, "again"); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.Close(ctx); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "messages are still on their way") {
		t.Errorf("Close: %v", err)
	}
}

// faulty is a Backend whose commits fail as the test wants. It keeps what it was asked to commit.
type faulty struct {
	*backendtest.Model
	fails   []error
	commits []string
}

func (f *faulty) Commit(ctx context.Context, cp backend.Checkpoint, parts []backend.Part) error {
	f.commits = append(f.commits, fmt.Sprintf("%+v %+v", cp, parts))
	if len(f.fails) > 0 {
		err := f.fails[0]
		f.fails = f.fails[1:]
		return err
	}
	return f.Model.Commit(ctx, cp, parts)
}

func counting(s *engine.Schema) probeFunc {
	count := engine.NewValue(s, "count", engine.Int64)
	return func(ctx *engine.Context, word string) error {
		*count.Edit(ctx)++
		said.Send(ctx, fmt.Sprint(word, count.Get(ctx)))
		return nil
	}
}

// A commit that fails is tried again with the same bytes, while ingress is held and the records wait.
func TestCommitIsRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var records recorder
		store := &faulty{Model: model(t), fails: []error{errTest, errTest, errTest}}
		e := open(t, engine.Config{Application: "test", Backend: store}, probeModule(counting), deliver(records.sink()))
		submit(t, e, "p", "a")
		done := make(chan error)
		go func() { done <- e.Checkpoint(t.Context()) }()
		synctest.Wait()
		submitted := make(chan error, 1)
		go func() { submitted <- Do.To("p").Submit(t.Context(), e, "b") }()
		synctest.Wait()
		wantItems(t, &records.list)
		if len(submitted) != 0 {
			t.Error("ingress was not held while the commit failed")
		}
		if err := <-done; err != nil {
			t.Errorf("Checkpoint: %v", err)
		}
		synctest.Wait()
		wantItems(t, &records.list, "a1")
		if len(store.commits) != 4 {
			t.Errorf("%d commits", len(store.commits))
		}
		for _, c := range store.commits {
			if c != store.commits[0] {
				t.Errorf("commits\n%s and\n%s", store.commits[0], c)
			}
		}
		closeEngine(t, e)
		wantItems(t, &records.list, "b2")
		entries := 0
		for _, err := range store.Scan(t.Context(), backend.KeyGroupRange{End: 128}) {
			if err != nil {
				t.Error(err)
			}
			entries++
		}
		if s := e.Stats(); entries != 1 || s.EpochsCommitted != 2 || s.BytesCommitted == 0 {
			t.Errorf("%d entries are stored; stats %+v", entries, s)
		}
	})
}

// A commit that leaves doubt stops the engine: Run and Checkpoint say why, nothing further is committed and
// no record of it leaves.
func TestCommitFails(t *testing.T) {
	for _, fatal := range []error{backend.ErrFenced, backend.ErrCorrupt, backend.ErrSync, backend.ErrEpochOrder} {
		t.Run(fatal.Error(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var records recorder
				store := &faulty{Model: model(t), fails: []error{fmt.Errorf("store: %w", fatal)}}
				e := open(t, engine.Config{Application: "test", Backend: store}, probeModule(counting), deliver(records.sink()))
				ended := make(chan error, 1)
				go func() { ended <- e.Run(t.Context()) }()
				submit(t, e, "p", "a")
				for range 2 {
					if err := e.Checkpoint(t.Context()); !errors.Is(err, fatal) {
						t.Errorf("Checkpoint: %v", err)
					}
				}
				if err := <-ended; !errors.Is(err, fatal) {
					t.Errorf("Run: %v", err)
				}
				if err := e.Close(t.Context()); !errors.Is(err, fatal) {
					t.Errorf("Close: %v", err)
				}
				wantItems(t, &records.list)
				if len(store.commits) != 1 {
					t.Errorf("%d commits", len(store.commits))
				}
			})
		})
	}
}

// Nothing of an engine is left when it is closed, however far it had come.
func TestNothingIsLeft(t *testing.T) {
	source := func() connector.Source { return ended("a", "b", "c") }
	tests := []struct {
		name string
		use  func(t *testing.T, e *engine.Engine)
	}{
		{"opened", func(*testing.T, *engine.Engine) {}},
		{"used", func(t *testing.T, e *engine.Engine) {
			if _, err := Ask.Ask(t.Context(), e, "a", "hello"); err != nil {
				t.Error(err)
			}
		}},
		{"run", func(t *testing.T, e *engine.Engine) {
			if err := e.Run(t.Context()); err != nil {
				t.Error(err)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e, err := engine.Open(t.Context(), engine.Config{Shards: 3, Logger: slog.New(slog.DiscardHandler)}, probeModule(sayAll), echoes,
				deliver(connector.SinkFunc(func(connector.Record) error { return nil })),
				bind(func(b *engine.Binder) {
					engine.Connect(b, words, source())
					engine.RouteKey(b, words, Do)
				}))
			if err != nil {
				t.Fatal(err)
			}
			tt.use(t, e)
			// A goroutine that is new, or that has done its last, may be seen as neither for a moment.
			if !soon(func() bool { return engineGoroutines(t) != "" }) {
				t.Error("an open engine has no goroutine: the profile is read wrongly")
			}
			closeEngine(t, e)
			if !soon(func() bool { return engineGoroutines(t) == "" }) {
				t.Errorf("goroutines are left:\n%s", engineGoroutines(t))
			}
		})
	}
}

// soon lets others run until something is so, or has had its chance.
func soon(is func() bool) bool {
	for range 10_000 {
		if is() {
			return true
		}
		runtime.Gosched()
	}
	return false
}

// engineGoroutines returns the stacks of the goroutines that an engine has started.
func engineGoroutines(t *testing.T) string {
	t.Helper()
	var profile bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&profile, 2); err != nil {
		t.Fatal(err)
	}
	var left []string
	for stack := range strings.SplitSeq(profile.String(), "\n\n") {
		_, made, ok := strings.Cut(stack, "created by ")
		if ok && !strings.Contains(made, "engine_test.") && strings.Contains(stack, "github.com/millrace-io/millrace/engine") &&
			!strings.Contains(stack, "testing.tRunner") {
			left = append(left, stack)
		}
	}
	return strings.Join(left, "\n\n")
}

// A handler that ends its goroutine would leave an engine that looks alive and is not. It stops the process.
func TestGoexitIsFatal(t *testing.T) {
	if os.Getenv("TEST_GOEXIT") != "" {
		e := open(t, engine.Config{}, probeModule(stateless(func(*engine.Context, string) error {
			runtime.Goexit()
			return nil
		})))
		_ = Do.To("p").Submit(t.Context(), e, "exit")
		<-t.Context().Done() // The process ends before.
		return
	}
	self := exec.Command(os.Args[0], "-test.run=^TestGoexitIsFatal$", "-test.timeout=60s")
	self.Env = append(os.Environ(), "TEST_GOEXIT=1")
	out, err := self.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "millrace: invariant broken: a handler has called runtime.Goexit") {
		t.Errorf("%v\n%s", err, out)
	}
}
