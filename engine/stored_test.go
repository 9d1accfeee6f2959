// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/backendtest"
	"github.com/millrace-io/millrace/engine/remote"
	"github.com/millrace-io/millrace/engine/statefun"
)

// The state of an address is what the last committed epoch has of it: not what has happened since.
func TestState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var heard list[string]
		far := serve("far/*", remember(&heard, remote.Spec{Name: "w", Typename: "t/w", Expiry: remote.AfterWrite, TTL: 1000}, remote.Spec{Name: "n", Typename: "t/n"}), remote.Policy{})
		l := newLife(t)
		e := l.start(engine.Config{}, everyForm(), far)
		at := func(a engine.Address) engine.State {
			t.Helper()
			s, err := e.State(t.Context(), a)
			if err != nil {
				t.Errorf("%v: %v", a, err)
			}
			return s
		}
		a := keeperAddress("a")
		if _, err := e.State(t.Context(), a); !errors.Is(err, engine.ErrNoCheckpoint) {
			t.Errorf("before the first commit: %v", err)
		}
		told(t, e, "a", "n=5")
		told(t, e, "a", "doc=x")
		tell(t, e, "b", "w=1")
		tell(t, e, "b", "n=2")
		start := time.Now()
		checkpoint(t, e)
		told(t, e, "a", "n=6")
		told(t, e, "c", "n=7")
		want := `n io.statefun.types/long 090500000000000000, doc test/document 7b2277223a2278227d`
		if s := at(a); show(s) != want || s.Epoch != l.latest().Epoch {
			t.Errorf("epoch %d has %s; want %s", s.Epoch, show(s), want)
		}
		if s := at(keeperAddress("c")); len(s.Values) != 0 {
			t.Errorf("what was not committed is %s", show(s))
		}
		b := farTell.To("b").Address()
		if s := at(b); show(s) != "w t/w 31, n t/n 32" || !s.Values[0].ExpiresAt.Equal(start.Add(time.Second)) || !s.Values[1].ExpiresAt.IsZero() {
			t.Errorf("elsewhere it is %s: %+v", show(s), s)
		}
		time.Sleep(time.Second) // It expires in this very millisecond, whether anybody looks or not.
		if s := at(b); show(s) != "n t/n 32" {
			t.Errorf("when one value has expired it is %s", show(s))
		}
		if s := at(engine.Address{Type: typ("far", "nobody"), ID: "x"}); len(s.Values) != 0 {
			t.Errorf("of a type that nobody has sent to it is %s", show(s))
		}
		for what, a := range map[string]engine.Address{
			"unknown": {Type: typ("test", "unknown"), ID: "a"}, "a caller's": {Type: typ("io.millrace.engine", "caller"), ID: "1"},
		} {
			if _, err := e.State(t.Context(), a); !errors.Is(err, engine.ErrNoFunction) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if _, err := e.State(t.Context(), engine.Address{Type: typ("test", "keeper")}); !errors.Is(err, engine.ErrMalformed) {
			t.Errorf("no id: %v", err)
		}

		e = l.restart(engine.Config{}, far) // Nobody provides the keeper any more.
		if s := at(a); show(s) != `n io.statefun.types/long 090600000000000000, doc test/document 7b2277223a2278227d` {
			t.Errorf("without its function it is %s", show(s))
		}
		closeEngine(t, e)
	})
}

// Without a backend the state of an address is what it is by now.
func TestStateOfNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var heard list[string]
		far := serve("far/*", remember(&heard, remote.Spec{Name: "w", Typename: "t/w", Expiry: remote.AfterWrite, TTL: 1000}), remote.Policy{})
		e := open(t, engine.Config{Shards: 3}, everyForm(), far)
		want := func(want string, a engine.Address) {
			t.Helper()
			if s, err := e.State(t.Context(), a); err != nil || show(s) != want || s.Epoch != 0 {
				t.Errorf("%v: epoch %d has %s, %v; want %s", a, s.Epoch, show(s), err, want)
			}
		}
		a, b := keeperAddress("a"), farTell.To("b").Address()
		want("", a)
		want("", b) // Nobody has sent to its type yet.
		for n := 1; n < 3; n++ {
			told(t, e, "a", fmt.Sprint("n=", n))
			want(fmt.Sprintf("n io.statefun.types/long 09%02x00000000000000", n), a)
		}
		told(t, e, "a", "doc=x")
		want(`n io.statefun.types/long 090200000000000000, doc test/document 7b2277223a2278227d`, a)
		want("", keeperAddress("c"))
		tell(t, e, "b", "w=1")
		want("w t/w 31", b)
		time.Sleep(time.Second)
		want("", b)

		closeEngine(t, e)
		if _, err := e.State(t.Context(), a); !errors.Is(err, engine.ErrClosing) {
			t.Errorf("when it is closed: %v", err)
		}
	})
}

// A shard that is busy is waited for, while the context lasts.
func TestStateOfBusyShard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		e := open(t, engine.Config{}, keeperModule(func(s *engine.Schema) keeperFunc {
			n := engine.NewValue(s, "n", engine.Int64)
			return func(ctx *engine.Context, _ string) (string, error) {
				n.Set(ctx, 1)
				<-release
				return "", nil
			}
		}))
		if err := keep.To("a").Submit(t.Context(), e, "go"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for range 3 { // The first is put, the others find no room.
			if _, err := e.State(ctx, keeperAddress("a")); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		}
		close(release)
		if s, err := e.State(t.Context(), keeperAddress("a")); err != nil || show(s) != "n io.statefun.types/long 090100000000000000" {
			t.Errorf("%s, %v", show(s), err)
		}
	})
}

// flaky is a store that fails, or has a commit come in between, when it is read.
type flaky struct {
	*backendtest.Model
	get func(ctx context.Context) error
}

func (f *flaky) Get(ctx context.Context, group statefun.KeyGroup, key, dst []byte) ([]byte, bool, error) {
	v, ok, err := f.Model.Get(ctx, group, key, dst)
	if f.get != nil && err == nil {
		err = f.get(ctx)
	}
	return v, ok, err
}

// All values are of one epoch, whatever is committed while they are read, and nobody waits for ever.
func TestStateIsOfOneEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &flaky{Model: model(t)}
		e := open(t, engine.Config{Application: "test", Backend: store}, keeps(called(number, "n"), called(number, "m")))
		n := 0
		commit := func(context.Context) error {
			if n++; n < 5 {
				told(t, e, "a", fmt.Sprint("n=", n))
				told(t, e, "a", fmt.Sprint("m=", n))
				checkpoint(t, e)
			}
			return nil
		}
		_ = commit(t.Context())
		store.get = commit
		s, err := e.State(t.Context(), keeperAddress("a"))
		cp, _, _ := store.Latest(t.Context())
		if want := "n io.statefun.types/long 090400000000000000, m io.statefun.types/long 090400000000000000"; err != nil || show(s) != want || s.Epoch != cp.Epoch {
			t.Errorf("epoch %d has %s, %v; want epoch %d, %s", s.Epoch, show(s), err, cp.Epoch, want)
		}

		store.get = func(context.Context) error { return errTest }
		if _, err := e.State(t.Context(), keeperAddress("a")); !errors.Is(err, errTest) {
			t.Errorf("a store that fails: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		reads := 0
		store.get = func(context.Context) error {
			if reads++; reads == 10 {
				cancel()
			}
			checkpoint(t, e)
			return nil
		}
		if _, err := e.State(ctx, keeperAddress("a")); !errors.Is(err, context.Canceled) || reads != 10 {
			t.Errorf("a store that never rests: %v after %d reads", err, reads)
		}
	})
}

// Under load, with epochs that end as fast as they can, two values that change together are never seen apart.
func TestStateUnderLoad(t *testing.T) {
	store := model(t)
	both := keeperModule(func(s *engine.Schema) keeperFunc {
		x, y := engine.NewValue(s, "x", engine.Int64), engine.NewValue(s, "y", engine.Int64)
		return func(ctx *engine.Context, word string) (string, error) {
			x.Set(ctx, x.Get(ctx)+1)
			y.Set(ctx, y.Get(ctx)+1)
			return "", nil
		}
	})
	e := open(t, engine.Config{Application: "test", Backend: store, EpochInterval: time.Millisecond}, both)
	var stop atomic.Bool
	done := make(chan error, 1)
	go func() {
		for !stop.Load() {
			if err := keep.To("a").Submit(t.Context(), e, "go"); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	var epoch statefun.Epoch
	for changes := 0; changes < 20; {
		s, err := e.State(t.Context(), keeperAddress("a"))
		if errors.Is(err, engine.ErrNoCheckpoint) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case s.Epoch < epoch:
			t.Fatalf("epoch %d after %d", s.Epoch, epoch)
		case len(s.Values) == 0:
		case len(s.Values) != 2 || string(s.Values[0].Value) != string(s.Values[1].Value):
			t.Fatalf("epoch %d has %s", s.Epoch, show(s))
		case s.Epoch > epoch:
			changes++
		}
		epoch = s.Epoch
	}
	stop.Store(true)
	if err := <-done; err != nil {
		t.Error(err)
	}
	closeEngine(t, e)
}

var _ backend.Backend = (*flaky)(nil)
