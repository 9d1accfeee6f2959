// SPDX-License-Identifier: Apache-2.0

// Package loadgen drives an engine through its public interface and measures it: a [Config] says what to
// run, [Run] runs it, and a [Report] says what came of it.
//
// A run has three parts. First a source makes every instance; then the workload runs and is measured;
// then a source asks every instance for its count, so that a report says not only how fast messages
// were executed but that each was executed once.
package loadgen

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/loadgen/keys"
)

// Workload is what the messages of a run do.
type Workload string

// The workloads.
const (
	Counter  Workload = "counter"  // Each message comes from a source and adds one to its key's counter.
	Relay    Workload = "relay"    // A fixed number of messages hop from key to random key, counting.
	PingPong Workload = "pingpong" // One message hops to and fro between two keys.
	Ring     Workload = "ring"     // One message hops round all keys.
	Skynet   Workload = "skynet"   // A tree grows by message down to its leaves, the keys, whose numbers are summed up on the way back.
	Timers   Workload = "timers"   // Delayed messages, one for each key: started, of which some come due at once, the others cancelled.
	Memory   Workload = "memory"   // Each message makes an instance, which then stays idle.
)

// Workloads are all workloads.
var Workloads = []Workload{Counter, Relay, PingPong, Ring, Skynet, Timers, Memory}

// StateBytesMin is the size of the counter that every instance keeps.
const StateBytesMin = 8

// stateBytesMax is far above anything that fits in memory more than a few times.
const stateBytesMax = 1 << 20

// Config says what to run.
type Config struct {
	Workload   Workload
	Load       keys.Load // Messages are those of the measured part, those that functions send included.
	StateBytes int       // Of each instance's state; what exceeds the counter is a value beside it.
	Across     bool      // Ping-pong: the two keys lie on different shards.

	Shards        int           // 0: one for each CPU.
	EpochInterval time.Duration // As in engine.Config.
	Backend       string        // Its name, for the report.
	// OpenBackend opens a backend; nil runs a volatile engine.
	OpenBackend func(context.Context, backend.Options) (backend.Backend, error)

	Profiles Profiles
	Curve    *Curve // Of the measured part. Filled in unless nil.
	// Progress, unless nil, is called when the measured part begins and several times a second from
	// then on, with how many of its invocations are done.
	Progress func(done, total int64)

	Version, Commit string // Of the program, for the report.
}

func (c Config) withDefaults() Config {
	if c.Shards == 0 {
		c.Shards = runtime.GOMAXPROCS(0)
	}
	if c.EpochInterval == 0 {
		c.EpochInterval = 100 * time.Millisecond
	}
	if c.StateBytes == 0 {
		c.StateBytes = StateBytesMin
	}
	return c
}

// forEngine is c as the engine sees it.
func (c Config) forEngine() engine.Config {
	return engine.Config{
		Application: "loadgen", Shards: c.Shards, KeyGroups: max(128, c.Shards),
		EpochInterval: c.EpochInterval, Seed: c.Load.Seed,
	}
}

// Validate reports everything that is wrong with c, or nil.
func (c Config) Validate() error {
	c = c.withDefaults()
	errs := []error{c.Load.Validate(), c.forEngine().Validate()}
	problem := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if !slices.Contains(Workloads, c.Workload) {
		problem("workload: %q, want %s", c.Workload, names(Workloads))
	}
	if c.StateBytes < StateBytesMin || c.StateBytes > stateBytesMax {
		problem("state bytes: %d, want %d (the counter) to %d", c.StateBytes, StateBytesMin, stateBytesMax)
	}
	if c.Workload == PingPong && c.Load.Keys != 2 {
		problem("keys: %d, want 2 for %s", c.Load.Keys, PingPong)
	}
	if c.Workload == Memory && c.Load.Messages != c.Load.Keys {
		problem("messages: %d, want one for each of the %d keys for %s", c.Load.Messages, c.Load.Keys, Memory)
	}
	if nodes, whole := skynetNodes(c.Load.Keys); c.Workload == Skynet {
		switch {
		case !whole:
			problem("keys: %d, want 1, 10, 100, … leaves for %s", c.Load.Keys, Skynet)
		case c.Load.Messages != SkynetMessages(c.Load.Keys):
			problem("messages: %d, want %d, two for each of %d instances but one, for %s",
				c.Load.Messages, SkynetMessages(c.Load.Keys), nodes, Skynet)
		}
	}
	if c.Workload == Timers && c.Load.Messages > c.Load.Keys {
		problem("messages: %d, want at most the %d keys for %s: those that come due", c.Load.Messages, c.Load.Keys, Timers)
	}
	if c.StateBytes != StateBytesMin && (c.Workload == Skynet || c.Workload == Timers) {
		problem("state bytes: %d, want %d for %s", c.StateBytes, StateBytesMin, c.Workload)
	}
	if c.Across && c.Workload != PingPong {
		problem("across: only %s has a pair of keys", PingPong)
	}
	if c.Across && c.Shards < 2 {
		problem("across: %d shard, want at least 2", c.Shards)
	}
	return errors.Join(errs...)
}

func names(workloads []Workload) string {
	list := make([]string, len(workloads))
	for i, w := range workloads {
		list[i] = string(w)
	}
	return strings.Join(list, ", ")
}
