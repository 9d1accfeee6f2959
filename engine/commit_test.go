// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/backendtest"
	"github.com/millrace-io/millrace/engine/connector"
)

// paced is a Backend whose commits wait for the test, and fail while it says so.
type paced struct {
	*backendtest.Model
	begun   list[time.Time]
	release chan error
}

func (p *paced) Commit(ctx context.Context, cp backend.Checkpoint, parts []backend.Part) error {
	p.begun.add(time.Now())
	if err := <-p.release; err != nil {
		return err
	}
	return p.Model.Commit(ctx, cp, parts)
}

// Whoever asks for a checkpoint while another is being committed gets one of their own: what they have seen
// happen is in it (P20).
func TestCheckpointDuringCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &paced{Model: model(t), release: make(chan error)}
		e := open(t, engine.Config{Application: "test", Backend: store}, probeModule(counting))
		first, second := make(chan error, 1), make(chan error, 1)
		ask := func(done chan error) {
			go func() { done <- e.Checkpoint(t.Context()) }()
			synctest.Wait()
		}
		ask(first)
		ask(second)
		store.release <- nil
		synctest.Wait()
		if len(first) != 1 || len(second) != 0 || len(store.begun.take()) != 2 {
			t.Errorf("after the first commit %d and %d are told", len(first), len(second))
		}
		store.release <- nil
		synctest.Wait()
		if len(second) != 1 || len(store.begun.take()) != 0 {
			t.Errorf("after the second commit %d are told; want 1", len(second))
		}
		close(store.release)
	})
}

// The same while an epoch waits for a source that cannot be interrupted.
func TestCheckpointWhileClosing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &stubborn{release: make(chan bool)}
		e := open(t, engine.Config{}, probeModule(counting), bind(func(b *engine.Binder) {
			engine.Connect(b, words, source)
			engine.RouteKey(b, words, Do)
		}))
		run(t, e)
		synctest.Wait()
		done := make(chan error, 2)
		for range 2 {
			go func() { done <- e.Checkpoint(t.Context()) }()
			synctest.Wait()
		}
		if n := e.Stats().EpochsCommitted; n != 0 || len(done) != 0 {
			t.Fatalf("%d epochs are committed without the source", n)
		}
		close(source.release)
		synctest.Wait()
		if n := e.Stats().EpochsCommitted; n != 2 || len(done) != 2 {
			t.Errorf("%d epochs are committed, %d are told; want 2, 2", n, len(done))
		}
	})
}

// stubborn is a source that returns from its first poll when the test lets it.
type stubborn struct {
	interrupted
	release chan bool
}

func (s *stubborn) Poll(ctx context.Context, into *connector.Events) error {
	<-s.release
	return s.interrupted.Poll(ctx, into)
}

// A commit that fails is not tried again in a hurry: the pause doubles, from 10 ms to 5 s.
func TestCommitBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const failures = 13
		store := &paced{Model: model(t), release: make(chan error, failures)}
		for range failures {
			store.release <- errTest
		}
		close(store.release)
		e := open(t, engine.Config{Application: "test", Backend: store}, probeModule(counting))
		checkpoint(t, e)
		begun := store.begun.take()
		if len(begun) != failures+1 {
			t.Fatalf("%d attempts; want %d", len(begun), failures+1)
		}
		for i := range failures {
			want := min(10*time.Millisecond<<i, 5*time.Second)
			if pause := begun[i+1].Sub(begun[i]); pause != want {
				t.Errorf("pause %d is %v; want %v", i+1, pause, want)
			}
		}
	})
}
