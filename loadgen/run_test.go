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
		{Workload: Ring, Load: load(1_000, 20_500, keys.Uniform)},
		{Workload: Ring, Load: load(1, 1_000, keys.Uniform)},
		{Workload: Ring, Load: load(50, 30, keys.Uniform), StateBytes: 24},
		{Workload: Skynet, Load: load(10_000, SkynetMessages(10_000), keys.Uniform)},
		{Workload: Skynet, Load: load(1, 1, keys.Uniform)},
		{Workload: Timers, Load: load(20_000, 5_001, keys.Uniform), OpenBackend: openMemory, Backend: "memory"},
		{Workload: Timers, Load: load(70, 70, keys.Uniform)},
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
				if (c.Workload == Counter || c.Workload == Timers) && r.MaxMicros <= 0 {
					t.Errorf("no latency was sampled: %+v", r)
				}
				if (c.Workload == Ring) != (r.HopNanos > 0) || (c.Workload == Skynet) != (r.InstanceNanos > 0) {
					t.Errorf("figures of another workload, or none: %+v", r)
				}
				if f := r.TimerFigures; (c.Workload == Timers) != (f != nil) ||
					f != nil && (f.StartNanos <= 0 || f.FireNanos <= 0 || (f.CancelNanos > 0) != (c.Load.Messages < c.Load.Keys)) {
					t.Errorf("figures of timers: %+v", f)
				}
			})
		}
	}
}

// Verified is worth something only if it can be false: here one message goes to a wrong key, and then one
// is counted that was never asked for: the totals of the first are right. Then a skynet's sum is not what it
// should be, and an instance's timers are cancelled twice, another one's never.
func TestVerificationNoticesWrongCounts(t *testing.T) {
	app := func(c Config) *application {
		c.Shards = 2
		a, err := newApplication(c.withDefaults())
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	counter := Config{Workload: Counter, Load: load(100, 5000, keys.Uniform)}
	misdirected := app(counter)
	right := misdirected.load[1].next
	misdirected.load[1].next = func(i int, into *connector.Events) {
		if i == 0 {
			into.Append([]byte("key-000000000007"), "", nil)
			into = connector.NewEvents(1) // The right one goes nowhere.
		}
		right(i, into)
	}
	doubled := app(counter)
	made := doubled.makes.next
	doubled.makes.next = func(i int, into *connector.Events) {
		if i != 5 {
			made(i, into)
			return
		}
		one, _ := engine.Int32.Append(nil, 1)
		into.Append([]byte(keys.ID(i)), "", one)
	}
	sum := app(Config{Workload: Skynet, Load: load(10, SkynetMessages(10), keys.Uniform)})
	sum.tree.total++
	uncancelled := app(Config{Workload: Timers, Load: load(5*timersEach, timersEach, keys.Uniform)})
	cancel := uncancelled.timers.cancel.next
	uncancelled.timers.cancel.next = func(i int, into *connector.Events) { cancel(max(i, 1), into) }
	for name, a := range map[string]*application{"misdirected": misdirected, "doubled": doubled, "sum": sum, "uncancelled": uncancelled} {
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
		"workload":    {Workload: "star", Load: good.Load},
		"keys":        {Workload: Counter, Load: load(0, 1, keys.Uniform)},
		"state bytes": {Workload: Counter, Load: good.Load, StateBytes: 7},
		"shards":      {Workload: Counter, Load: good.Load, Shards: -1},
		"interval":    {Workload: Counter, Load: good.Load, EpochInterval: 1},
		"pair":        {Workload: PingPong, Load: load(3, 1, keys.Uniform)},
		"no pair":     {Workload: Counter, Load: good.Load, Across: true},
		"one shard":   {Workload: PingPong, Load: load(2, 1, keys.Uniform), Across: true, Shards: 1},
		"leaves":      {Workload: Skynet, Load: load(20, 43, keys.Uniform)},
		"nodes":       {Workload: Skynet, Load: load(10, 20, keys.Uniform)},
		"timers":      {Workload: Timers, Load: load(10, 11, keys.Uniform)},
		"state":       {Workload: Timers, Load: load(10, 1, keys.Uniform), StateBytes: 16},
		"memory":      {Workload: Memory, Load: load(2, 1, keys.Uniform)},
	}
	for name, c := range bad {
		if _, err := Run(t.Context(), c); err == nil {
			t.Errorf("%s: %+v is accepted", name, c)
		}
	}
}
