// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/internal/checkpoint"
	"github.com/millrace-io/millrace/engine/internal/clock"
	"github.com/millrace-io/millrace/engine/remote"
)

func idleRig(t *testing.T, after time.Duration) *remoteRig {
	r := newRemoteRig(t, remoteConfig{near: remote.Policy{IdleAfter: after, BrokenMax: 1}})
	r.declare("n", "w,w1000")
	return r
}

// wantGone passes time until an instance of the cart goes, which must be ms milliseconds from now.
func (r *remoteRig) wantGone(id string, ms int) {
	r.t.Helper()
	for left := ms; left > 0; left-- {
		if r.kept(id) == "gone" {
			r.t.Fatalf("gone %d ms early", left)
		}
		r.pass(1)
	}
	if kept := r.kept(id); kept != "gone" {
		r.t.Fatalf("%s has not gone: %s", id, kept)
	}
	r.s.Drain(0)
	r.idle()
	if s := r.s; s.wheel.Len() != 0 || s.heap.Bytes() != 0 || len(s.delayedBy) != 0 {
		r.t.Errorf("%d timers, %d bytes, %d senders", s.wheel.Len(), s.heap.Bytes(), len(s.delayedBy))
	}
}

// An address of a function that runs elsewhere is dropped, whole, when it has not been messaged for the time of
// its endpoint's policy. Its time counts from when the last message has been answered, because it is spared until
// then.
func TestIdleElsewhere(t *testing.T) {
	const after = 100 // Stamps are up to 1 ms ahead.
	begin := func(t *testing.T) *remoteRig {
		r := idleRig(t, after*time.Millisecond)
		r.post(fnCart, "a x")
		r.reply("a", "=n:1", "=w:2")
		return r
	}
	t.Run("not messaged", func(t *testing.T) { begin(t).wantGone("a", after+1) })
	t.Run("messaged", func(t *testing.T) {
		r := begin(t)
		r.pass(after)
		r.post(fnCart, "a x")
		want(t, "request", r.requests(), "cart/a try 1 [n=1 w=2]: x")
		r.reply("a")
		r.wantGone("a", after+1)
	})
	t.Run("messaged too late", func(t *testing.T) {
		r := begin(t)
		r.now += after + 1 // No timer has fired yet.
		r.post(fnCart, "a x")
		want(t, "request", r.requests(), "cart/a try 1 [n- w-]: x")
		r.reply("a", "=n:5")
		r.wantGone("a", after+1)
	})
	t.Run("under way", func(t *testing.T) {
		r := begin(t)
		r.post(fnCart, "a x")
		r.pass(5 * after)
		want(t, "request", r.requests(), "cart/a try 1 [n=1 w=2]: x")
		r.reply("a")
		r.wantGone("a", after+1)
	})
	t.Run("suspended and skipped", func(t *testing.T) {
		r := begin(t)
		r.post(fnCart, "a x")
		r.fail("a", remote.Broken)
		r.pass(5 * after)
		want(t, "suspended", r.kept("a"), "n=1 w=2@0")
		r.goOn("a", true)
		r.wantGone("a", after+1)
	})
	t.Run("sent with a delay", func(t *testing.T) {
		r := begin(t)
		r.post(fnCart, "a x")
		r.reply("a", "@500,,z:+1")
		r.wantGone("a", 500+after+1)
	})
	t.Run("sent with a delay and cancelled", func(t *testing.T) {
		r := begin(t)
		r.post(fnCart, "a x")
		r.reply("a", "@500,name,z:+1")
		r.pass(200)
		r.post(fnDesk, "a x") // Names belong to the id, whatever the type.
		r.reply("a", "xname")
		r.wantGone("a", after+1)
	})
	t.Run("no state, but a delayed message", func(t *testing.T) {
		r := begin(t)
		r.post(fnCart, "a x")
		r.reply("a", "~n", "~w", "@500,,z:+1")
		if r.kept("a") != "gone" || len(r.s.delayedBy) != 1 {
			t.Errorf("%s, %d senders", r.kept("a"), len(r.s.delayedBy))
		}
		r.pass(50)
		r.post(fnCart, "b x") // It takes the other's place.
		r.reply("b", "=n:1")
		r.pass(after + 1)
		want(t, "b", r.kept("b"), "gone")
	})
}

// When an instance was last messaged is part of its entry, and comes back from a checkpoint.
func TestIdleElsewhereReload(t *testing.T) {
	for _, tt := range []struct {
		name  string
		down  clock.Instant
		after time.Duration
		left  int
	}{{"in time", 60, 100 * time.Millisecond, 41}, {"over", 200, 100 * time.Millisecond, 0}, {"longer", 200, 300 * time.Millisecond, 101}} {
		t.Run(tt.name, func(t *testing.T) {
			r := idleRig(t, 100*time.Millisecond)
			r.post(fnCart, "a x")
			r.reply("a", "=n:1")
			r.cut()
			r.takePart(func(backend.Change) {})
			for _, e := range r.store {
				if values, stamp, ok := checkpoint.CutTouched(e.Value); !ok || stamp != rigStart+1 || len(values)+11 != len(e.Value) {
					t.Errorf("%q: %d, %v", e.Value, stamp, ok)
				}
			}
			r.now += tt.down
			known := r.s.fns[fnCart].specs
			n := newRemoteRig(t, remoteConfig{near: remote.Policy{IdleAfter: tt.after}, rig: rigConfig{}})
			n.s.now, n.now = r.now, r.now
			n.s.fns[fnCart].specs = known
			n.store = r.store
			for _, e := range n.store {
				if err := n.s.Load(e); err != nil {
					t.Fatal(err)
				}
			}
			n.s.Loaded()
			n.pass(0)
			n.wantGone("a", tt.left)
			n.cut()
			want(t, "the next part", n.part(), "delete cart/a")
		})
	}
}
