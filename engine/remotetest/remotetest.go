// SPDX-License-Identifier: Apache-2.0

// Package remotetest holds what every implementation of [remote.Invoker] must do as tests.
//
// The suite plays both ends: it is the engine that invokes, and, through a [Script], the functions that
// serve. Between the two is whatever the [Factory] sets up, so that real transports and the codec of a
// protocol take part. It does not check what can go wrong on the way: that is particular to a transport,
// and the transport's own tests do.
package remotetest

import (
	"testing"

	"github.com/millrace-io/millrace/engine/remote"
)

// Factory makes the invokers that [Run] tests.
type Factory struct {
	// New returns an invoker that has not been opened. What it is given is served, until t is over, as
	// script says.
	New func(t testing.TB, script *Script) remote.Invoker
	// Concurrency is how many requests the invoker has under way at once: 2 to 64.
	Concurrency int
	// ReplyBytesMax is the size of the largest reply that the invoker takes; some MiB at most.
	ReplyBytesMax int
	// Connected says that a request can be lost on its way.
	Connected bool
}

// Run tests that the invokers of f keep the contract of [remote.Invoker]. The race detector sees more: an
// invoker that looks at a request after its end races with the suite, which writes all over it.
func Run(t *testing.T, f Factory) {
	for _, c := range checks {
		if c.connected && !f.Connected {
			continue
		}
		t.Run(c.name, func(t *testing.T) { c.on(t, f) })
	}
}

// check tests one sentence of the contract.
type check struct {
	name      string
	connected bool
	run       func(s *session)
}

// checks are ordered so that the first failure says most.
var checks = []check{
	{name: "what is sent arrives and what is answered comes back", run: checkRoundTrip},
	{name: "a reply may ask for state", run: checkIncomplete},
	{name: "a request is used again", run: checkReuse},
	{name: "a refusal is told", run: checkRefused},
	{name: "a lost request is told", connected: true, run: checkLost},
	{name: "a broken reply is told", run: checkBroken},
	{name: "a reply that is too large is told", run: checkTooLarge},
	{name: "a request that is not answered ends in time", run: checkTimeout},
	{name: "an answer that comes late goes nowhere", run: checkLate},
	{name: "many requests get their own answers", run: checkMany},
	{name: "invoke does not wait", run: checkInvokeDoesNotWait},
	{name: "done may invoke", run: checkDoneInvokes},
	{name: "close gives up what is in progress", run: checkClose},
}

func (c check) on(t testing.TB, f Factory) {
	script := newScript()
	s := &session{t: t, f: f, script: script, invoker: f.New(t, script)}
	if err := s.invoker.Open(t.Context()); err != nil {
		t.Fatalf("Open: %v", err)
	}
	c.run(s)
	s.close()
}
