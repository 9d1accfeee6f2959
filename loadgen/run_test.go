// SPDX-License-Identifier: Apache-2.0

package loadgen

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/millrace-io/millrace/backends/memory"
	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/loadgen/keys"
)

func load(keyCount, messages int, dist keys.Dist) keys.Load {
	return keys.Load{Keys: keyCount, Messages: messages, Dist: dist, Seed: 1}
}

func openMemory(ctx context.Context, o backend.Options) (backend.Backend, error) {
	return memory.Open(ctx, o)
}

// Each workload runs in the engine as it ships and accounts for every message.
func TestWorkloadsAreVerified(t *testing.T) {
	tests := []Config{
		{Workload: Counter, Load: load(10_000, 100_000, keys.Uniform)},
		{Workload: Counter, Load: load(10_000, 100_000, keys.Zipf), OpenBackend: openMemory, Backend: "memory"},
		{Workload: Counter, Load: load(1, 1, keys.Uniform), EpochInterval: engine.EpochsOff},
		{Workload: Counter, Load: load(1_000, 50_000, keys.Uniform), StateBytes: 100},
		{Workload: Relay, Load: load(10_000, 100_000, keys.Uniform)},
		{Workload: Relay, Load: load(100, 100, keys.Uniform)},
		{Workload: PingPong, Load: load(2, 20_001, keys.Uniform)},
		{Workload: PingPong, Load: load(2, 20_000, keys.Uniform), Across: true},
		{Workload: Memory, Load: load(20_000, 20_000, keys.Uniform), StateBytes: 40},
	}
	for _, c := range tests {
		for _, shards := range []int{1, 3} {
			if c.Across && shards == 1 {
				continue
			}
			c.Shards = shards
			t.Run(fmt.Sprintf("%s/%d/shards=%d", c.Workload, c.Load.Messages, shards), func(t *testing.T) {
				r, err := Run(t.Context(), c)
				if err != nil {
					t.Fatal(err)
				}
				if !r.Verified || r.Invocations != int64(c.Load.Messages) || r.Shards != shards {
					t.Errorf("not all of it was executed once: %+v", r)
				}
				if r.Seconds <= 0 || r.InvocationsPerS <= 0 {
					t.Errorf("no time was measured: %+v", r)
				}
				if c.Workload == Counter && r.MaxMicros <= 0 {
					t.Errorf("no latency was sampled: %+v", r)
				}
			})
		}
	}
}

// Verified is worth something only if it can be false: here one message goes to a wrong key, and then one
// is counted that was never asked for. The totals of the first are right.
func TestVerificationNoticesWrongCounts(t *testing.T) {
	app := func() *application {
		a, err := newApplication(Config{Workload: Counter, Load: load(100, 5000, keys.Uniform), Shards: 2}.withDefaults())
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	misdirected := app()
	right := misdirected.load[1].next
	misdirected.load[1].next = func(i int, into *connector.Events) {
		if i == 0 {
			into.Append([]byte("key-000000000007"), "", nil)
			into = connector.NewEvents(1) // The right one goes nowhere.
		}
		right(i, into)
	}
	doubled := app()
	made := doubled.makes.next
	doubled.makes.next = func(i int, into *connector.Events) {
		if i != 5 {
			made(i, into)
			return
		}
		one, _ := engine.Int32.Append(nil, 1)
		into.Append([]byte(keys.ID(i)), "", one)
	}
	for name, a := range map[string]*application{"misdirected": misdirected, "doubled": doubled} {
		r, err := a.run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if r.Verified {
			t.Errorf("%s: verified, with counters that are wrong", name)
		}
	}
}

// Whoever interrupts a run gets the reason, and no report.
func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := Config{Workload: Counter, Load: load(100, keys.MessagesMax, keys.Uniform)}
	c.Progress = func(int64, int64) { cancel() }
	if r, err := Run(ctx, c); !errors.Is(err, context.Canceled) || r != (Report{}) {
		t.Errorf("Run = %+v, %v; want no report and the context's error", r, err)
	}
}

func TestConfigValidate(t *testing.T) {
	good := Config{Workload: Counter, Load: load(1, 1, keys.Uniform)}
	if err := good.Validate(); err != nil {
		t.Errorf("%+v: %v", good, err)
	}
	bad := map[string]Config{
		"workload":    {Workload: "ring", Load: good.Load},
		"keys":        {Workload: Counter, Load: load(0, 1, keys.Uniform)},
		"state bytes": {Workload: Counter, Load: good.Load, StateBytes: 7},
		"shards":      {Workload: Counter, Load: good.Load, Shards: -1},
		"interval":    {Workload: Counter, Load: good.Load, EpochInterval: 1},
		"pair":        {Workload: PingPong, Load: load(3, 1, keys.Uniform)},
		"no pair":     {Workload: Counter, Load: good.Load, Across: true},
		"one shard":   {Workload: PingPong, Load: load(2, 1, keys.Uniform), Across: true, Shards: 1},
		"memory":      {Workload: Memory, Load: load(2, 1, keys.Uniform)},
	}
	for name, c := range bad {
		if _, err := Run(t.Context(), c); err == nil {
			t.Errorf("%s: %+v is accepted", name, c)
		}
	}
}
