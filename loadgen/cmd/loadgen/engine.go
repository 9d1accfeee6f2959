// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/loadgen"
	"github.com/millrace-io/millrace/loadgen/keys"
)

// flags are the flags of loadgen engine as they are typed.
type flags struct {
	workload, dist         string
	keys, messages         int
	stateBytes, shards     int
	across, json           bool
	backend, epochInterval string
	seed                   uint64
	profiles               loadgen.Profiles
	plot                   plotFile
}

func engineCommand() *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:   "engine",
		Short: "Run a workload in an engine in this process",
		Long: `Run a workload in an engine in this process, through its public interface, and measure it.

Workloads:
  counter   each message comes from a source and adds one to the counter of its key
  relay     65,536 messages hop from key to random key; --messages counts the hops
  pingpong  one message hops to and fro between two keys; --messages counts the hops
  ring      one message hops round all keys; --messages counts the hops
  skynet    a tree grows by message, ten children to a node, down to --keys leaves, a power of ten; each answers
            its number, and the sums go back up to the root
  timers    --keys delayed messages are started, 64 by each instance; --messages of them, a tenth, come due all
            at once, and the others are cancelled, by their tokens. All of the report but the line of timers is of
            those that come due: their latency is how late they are
  memory    one message for each key makes an instance, which then stays idle

With the default --dist uniform every key is as likely as any other; --keys 1 is one hot key.

The report goes to stdout, progress to stderr. Exit code 0: done and verified; 1: failed, or the counters
do not add up; 2: a flag is wrong, and nothing was started.`,
		Example: `  loadgen engine --workload counter --keys 1000000 --messages 20000000 --epoch-interval 100ms --json
  loadgen engine --workload pingpong --across --messages 1000000
  loadgen engine --workload timers --keys 10000000 --messages 1000000`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := f.config(cmd.Flags().Changed)
			if err != nil {
				return err
			}
			config.Progress = loadgen.Progress(cmd.ErrOrStderr())
			config.Curve = f.plot.curve("", "invocations")
			return runEngine(cmd, config, f)
		},
	}
	set := cmd.Flags()
	set.SortFlags = false
	set.StringVar(&f.workload, "workload", string(loadgen.Counter), "counter, relay, pingpong, ring, skynet, timers or memory")
	set.IntVar(&f.keys, "keys", 0, "number of keys (default: 1000; skynet and timers: 1000000; pingpong: always 2)")
	set.IntVar(&f.messages, "messages", 0, "messages to execute (default: 10000000; timers: a tenth of the keys; memory and skynet: what the keys need)")
	set.StringVar(&f.dist, "dist", string(keys.Uniform), "how messages fall on keys: uniform, or zipf with exponent 1.1")
	set.IntVar(&f.stateBytes, "state-bytes", loadgen.StateBytesMin, "state of each instance, its counter of 8 bytes included")
	set.BoolVar(&f.across, "across", false, "pingpong between two shards instead of within one")
	set.IntVar(&f.shards, "shards", 0, "number of shards (default: one for each CPU)")
	set.StringVar(&f.backend, "backend", "memory", "where checkpoints go: memory, memory:kept, where the newest is kept, file:///directory or pebble:///directory, where a new store is made and removed again")
	set.StringVar(&f.epochInterval, "epoch-interval", "100ms", "how often a checkpoint is taken, or off")
	set.Uint64Var(&f.seed, "seed", 1, "seed of everything that is random")
	set.BoolVar(&f.json, "json", false, "report as one JSON object on the last line of stdout")
	f.plot.flag(set)
	profileFlags(set, &f.profiles, "the measured part")
	return cmd
}

// config is what the flags say, or everything that is wrong with them.
func (f flags) config(given func(flag string) bool) (loadgen.Config, error) {
	c := loadgen.Config{
		Workload:   loadgen.Workload(f.workload),
		Load:       keys.Load{Keys: f.keys, Messages: f.messages, Dist: keys.Dist(f.dist), Seed: f.seed},
		StateBytes: f.stateBytes, Across: f.across, Shards: f.shards, Profiles: f.profiles,
		Version: buildVersion(), Commit: buildCommit(),
	}
	if !given("keys") {
		c.Load.Keys = defaultKeys(c.Workload)
	}
	if !given("messages") {
		c.Load.Messages = defaultMessages(c.Workload, c.Load.Keys)
	}
	var errs []error
	var err error
	if c.EpochInterval, err = parseInterval(f.epochInterval); err != nil {
		errs = append(errs, err)
	}
	if c.Backend, c.OpenBackend, err = parseBackend(f.backend); err != nil {
		errs = append(errs, err)
	}
	if f.stateBytes == 0 { // The zero Config has a default; a zero that was typed does not.
		errs = append(errs, fmt.Errorf("state bytes: 0, want at least %d", loadgen.StateBytesMin))
	}
	if err := errors.Join(append(errs, c.Validate())...); err != nil {
		return c, errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return c, errors.Join(f.plot.check(), c.Profiles.Create())
}

func defaultKeys(w loadgen.Workload) int {
	switch w {
	case loadgen.PingPong:
		return 2
	case loadgen.Skynet, loadgen.Timers:
		return 1_000_000
	}
	return 1000
}

func defaultMessages(w loadgen.Workload, keyCount int) int {
	switch w {
	case loadgen.Memory:
		return keyCount
	case loadgen.Skynet:
		return loadgen.SkynetMessages(keyCount)
	case loadgen.Timers:
		return max(1, keyCount/10)
	}
	return 10_000_000
}

// parseInterval reads a duration, or "off".
func parseInterval(s string) (time.Duration, error) {
	if s == "off" {
		return engine.EpochsOff, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < time.Millisecond {
		return 0, fmt.Errorf("epoch interval: %q, want off or a duration of at least 1ms", s)
	}
	return d, nil
}

func runEngine(cmd *cobra.Command, c loadgen.Config, f flags) error {
	report, err := loadgen.Run(cmd.Context(), c)
	if err != nil {
		return failure{err}
	}
	title := fmt.Sprintf("%s, %d keys, %d shards", report.Workload, report.Keys, report.Shards)
	if err := f.plot.write(title, c.Curve); err != nil {
		return failure{err}
	}
	if err := writeReport(cmd, report, f.json); err != nil {
		return err
	}
	if !report.Verified {
		return failure{errors.New("the counters, read back, do not add up to the messages sent")}
	}
	return nil
}
