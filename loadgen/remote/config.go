// SPDX-License-Identifier: Apache-2.0

// Package remote measures what Millrace makes of functions that are served elsewhere: a counter, written
// with the official Go SDK of StateFun and served by a second process, is driven by a bare HTTP client and
// by an engine, in turns, over as many connections.
//
// The bare client is the ceiling: it sends requests that were made beforehand and looks at nothing but the
// replies. The engine takes each message from a source, keeps it at its address while that is busy, writes
// the request with the state, applies the reply, and cuts epochs meanwhile.
package remote

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"time"

	"github.com/millrace-io/millrace/loadgen"
)

// Network is how requests reach the functions.
type Network string

// The networks.
const (
	Unix      Network = "unix"
	TCP       Network = "tcp"        // The loopback.
	InProcess Network = "in process" // No second process: the SDK's handler is called directly.
)

// Config says what to run.
type Config struct {
	Network     Network
	Server      Server // Unless Network is InProcess.
	Connections int    // As many requests are in flight. 0: 64; or 2 for each CPU, in process.
	Invocations []int  // In one request. Each is measured by itself.
	Rounds      int    // Of the bare client, then the engine.
	Each        time.Duration
	Keys        int // 0: as many as suit the invocations in a request.
	Shards      int // 0: one for each CPU.

	Profiles       loadgen.Profiles // Of the engine's part of the last round.
	Bare, Millrace *loadgen.Curve   // Of either side's measured seconds, strung together. Filled in unless nil.
	Log            io.Writer        // Progress, and what the engine and the second process have to say.

	Version, Commit string // Of the program, for the report.
}

// InvocationsMax is the most invocations in one request: the requests of the bare client are all in memory.
const InvocationsMax = 10_000

func (c Config) withDefaults() Config {
	if c.Shards == 0 {
		c.Shards = runtime.GOMAXPROCS(0)
	}
	if c.Log == nil {
		c.Log = io.Discard
	}
	c.Log = &sharedLog{w: c.Log}
	if c.Connections == 0 {
		c.Connections = 64
		if c.Network == InProcess { // More would only wait for a CPU.
			c.Connections = 2 * runtime.GOMAXPROCS(0)
		}
	}
	if c.Network == InProcess {
		c.Server = ""
	}
	return c
}

// Validate reports everything that is wrong with c, or nil.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	want := func(ok bool, field string, value any, accepted string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s: %v, want %s", field, value, fmt.Sprintf(accepted, args...)))
		}
	}
	between := func(field string, n, low, high int) {
		want(n >= low && n <= high, field, n, "%d to %d", low, high)
	}
	want(slices.Contains([]Network{Unix, TCP, InProcess}, c.Network), "network", string(c.Network), "%s or %s", Unix, TCP)
	want(c.Network == InProcess || c.Server == FastHTTP || c.Server == NetHTTP, "server", string(c.Server), "%s or %s", FastHTTP, NetHTTP)
	between("connections", c.Connections, 1, 1<<16)
	between("rounds", c.Rounds, 1, 1000)
	between("keys", c.Keys, 0, 10_000_000)
	want(c.Keys == 0 || c.Keys >= c.Connections, "keys", c.Keys, "at least as many as connections: each key has one request at a time")
	between("shards", c.Shards, 1, 1024)
	want(c.Each > 0 && c.Each <= time.Hour, "seconds", c.Each.Seconds(), "more than 0, at most 3600")
	want(len(c.Invocations) > 0, "invocations", c.Invocations, "at least one number")
	for _, n := range c.Invocations {
		between("invocations", n, 1, InvocationsMax)
	}
	return errors.Join(errs...)
}

// keys is how many keys share the load. There are always more than requests in flight, or connections would
// wait for messages; with one invocation in a request there are so many that hardly any message finds its
// key busy.
func (c Config) keys(invocations int) int {
	if c.Keys > 0 {
		return c.Keys
	}
	return max(2*c.Connections, 10_000/invocations)
}
