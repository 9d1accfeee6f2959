// SPDX-License-Identifier: Apache-2.0

package requestreply

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/remote"
)

// idleCrew is a crew of one, whose worker is idle, and the calls that it serves.
func idleCrew(t *testing.T) (*crew, chan *call) {
	t.Helper()
	served := make(chan *call, 16)
	k := newCrew(1, func(_ *worker, c *call) (bool, error) {
		served <- c
		return true, nil
	})
	t.Cleanup(func() {
		if err := k.close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	a := ask(nothing{}, "hello", ample)
	k.add(callOf(a.r, here))
	if _, err := a.answer(t); err != nil { // It is idle before it says that the call has ended.
		t.Fatal(err)
	}
	<-served
	return k, served
}

// A call that comes when the last worker has been sent away, but is not gone yet, does not wait for ever.
func TestCrewDismissed(t *testing.T) {
	k, served := idleCrew(t)
	c := callOf(ask(nothing{}, "hello", ample).r, here)
	k.mu.Lock()
	close(k.idle[0].work)
	k.idle = nil
	c.timer = time.NewTimer(time.Hour)
	k.line.push(c) // As add does, since there is one worker, and it is not idle.
	k.mu.Unlock()
	if got := <-served; got != c {
		t.Error("another call was served")
	}
}

// The timer of a wait may fire late, when the request waits again or is under way.
func TestCrewLateTimer(t *testing.T) {
	k, _ := idleCrew(t)
	waits, under := ask(nothing{}, "waits again", ample), ask(nothing{}, "under way", ample)
	w, u := callOf(waits.r, here), callOf(under.r, here)
	k.mu.Lock()
	w.timer = time.NewTimer(time.Hour)
	k.line.push(w)
	u.until = time.Now()
	k.mu.Unlock()
	k.expire(w)
	k.expire(u)
	select {
	case <-waits.ended:
		t.Error("a request has ended that waits, and has time")
	case <-under.ended:
		t.Error("a request has ended that is not in line")
	default:
	}
	k.mu.Lock()
	w.until = time.Now()
	k.mu.Unlock()
	k.expire(w)
	waits.failed(t, remote.TimedOut, "1 requests were under way")
}

// A connection that is made when the crew has just been closed is closed too.
func TestCrewHoldsNothingWhenClosed(t *testing.T) {
	k := newCrew(1, nil)
	if err := k.close(t.Context()); err != nil {
		t.Fatal(err)
	}
	ours, theirs := net.Pipe()
	if k.hold(&worker{}, ours, route{}) {
		t.Error("the connection is held")
	}
	if _, err := theirs.Read(make([]byte, 1)); err == nil {
		t.Error("the connection is open")
	}
}

// A request that ends brings the next one: its worker is there for it.
func TestCrewIsIdleBeforeDone(t *testing.T) {
	const times = 100
	k := newCrew(8, func(*worker, *call) (bool, error) { return true, nil })
	a := ask(nothing{}, "hello", ample)
	n := 0
	var again func(err error)
	again = func(err error) {
		if n++; n == times {
			a.ended <- err
			return
		}
		a.r.Begin(again)
		k.add(callOf(a.r, here))
	}
	again(nil)
	if _, err := a.answer(t); err != nil {
		t.Error(err)
	}
	k.mu.Lock()
	if len(k.workers) != 1 {
		t.Errorf("%d workers for one request at a time", len(k.workers))
	}
	k.mu.Unlock()
	if err := k.close(t.Context()); err != nil {
		t.Error(err)
	}
}
