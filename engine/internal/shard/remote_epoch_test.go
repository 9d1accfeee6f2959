// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"testing"

	"github.com/millrace-io/millrace/engine/remote"
)

// What a checkpoint says of an address is what its state was at the cut, though a request was on its way
// then and its reply takes effect before the state is encoded. The effects are the next epoch's.
func TestEpochRequestInFlight(t *testing.T) {
	r := newRemoteRig(t, remoteConfig{})
	r.declare("n")
	r.post(fnCart, "a x", "b x")
	r.reply("a", "=n:1")
	r.reply("b", "=n:1")
	r.post(fnCart, "a x", "b x", "c x")
	r.cut()
	r.reply("a", "=n:2", "!out:r", ">test/probe/z:m")
	r.reply("b", "~n")
	r.reply("c", "=n:3")
	for _, b := range r.s.Peek(0) {
		if len(b.Envelopes) > 0 && b.Epoch != 2 {
			t.Errorf("messages leave in epoch %d", b.Epoch)
		}
	}
	want(t, "epoch 1", r.part(), "put cart/a n=1, put cart/b n=1")
	want(t, "requests", r.requests(), "")
	r.cut()
	want(t, "epoch 2", r.part(), "delete cart/b, put cart/a n=2, put cart/c n=3")
	r.cut()
	want(t, "epoch 3", r.part(), "")
	r.idle()
}

// A request that is built moves the time of state on, which is a change like any other: it does not reach
// what is frozen, and is recorded in the epoch in which it was made.
func TestEpochStamps(t *testing.T) {
	r := newRemoteRig(t, remoteConfig{})
	r.declare("i,i1000", "w,w1000")
	r.post(fnCart, "a x", "b x", "c x")
	for _, id := range []string{"a", "b", "c"} {
		r.reply(id, "=i:1", "=w:1")
	}
	r.post(fnCart, "b x") // On its way at the cut.
	r.cut()
	r.pass(10)
	r.post(fnCart, "a x")
	r.reply("b")
	want(t, "epoch 1", r.part(), "put cart/a i=1@0 w=1@0, put cart/b i=1@0 w=1@0, put cart/c i=1@0 w=1@0")
	r.reply("a")
	r.cut()
	want(t, "epoch 2", r.part(), "put cart/a i=1@10 w=1@0")
	r.post(fnCart, "a x") // Within the same millisecond nothing changes.
	r.reply("a")
	r.cut()
	want(t, "epoch 3", r.part(), "")
	r.pass(5)
	r.post(fnCart, "a x")
	r.fail("a", remote.Refused) // The request was sent all the same.
	r.cut()
	want(t, "epoch 4", r.part(), "put cart/a i=1@15 w=1@0")
}

// An instance whose values have expired is removed from the checkpoint, in the epoch in which it goes.
func TestEpochExpiry(t *testing.T) {
	r := newRemoteRig(t, remoteConfig{})
	r.declare("w,w10", "v,w30")
	r.post(fnCart, "a x", "b x", "c x", "d x")
	r.reply("a", "=w:1")
	r.reply("b", "=w:1", "=v:1")
	r.reply("c", "=w:1")
	r.reply("d", "=w:1")
	r.cut()
	r.post(fnCart, "d x")
	r.pass(10) // What is frozen has them still.
	want(t, "a", r.kept("a"), "gone")
	want(t, "epoch 1", r.part(), "put cart/a w=1@0, put cart/b w=1@0 v=1@0, put cart/c w=1@0, put cart/d w=1@0")
	r.post(fnCart, "e x") // Takes the place of one that is gone.
	r.reply("e", "=w:2")
	r.cut()
	want(t, "epoch 2", r.part(), "delete cart/a, delete cart/c, put cart/b v=1@0, put cart/e w=2@10")
	r.reply("d")
	r.pass(20)
	r.cut()
	want(t, "epoch 3", r.part(), "delete cart/d, delete cart/e, delete cart/b")
	r.idle()
	if n := r.s.Instances(); n != 0 {
		t.Errorf("%d instances", n)
	}
}

// Who only waits has no state, and none is recorded; nor for what was set and removed within an epoch.
func TestEpochWithoutState(t *testing.T) {
	r := newRemoteRig(t, remoteConfig{near: remote.Policy{BrokenMax: 1}})
	r.declare("n", "i,i10")
	r.post(fnCart, "a x", "b x", "c x")
	r.cut()
	want(t, "epoch 1", r.part(), "")
	r.fail("a", remote.Broken)
	r.reply("b", "=n:1", "!nobody:x")
	r.reply("c", "=n:1", "=i:1")
	r.post(fnCart, "c x")
	r.reply("c", "~n", "~i")
	r.cut()
	want(t, "epoch 2", r.part(), "")
}
