// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/millrace-io/millrace/engine/enginetest/sim"
)

// Messages from one sender to one target take effect in the order in which they were sent: few addresses,
// which fail, retry and are suspended, and messages by every way to them.
func TestOrderOfPairs(t *testing.T) {
	checkProperty(t, func(t *rapid.T, c *sim.Config) {
		c.IDs = rapid.IntRange(1, 2).Draw(t, "ids")
		c.FaultsMax = 3
		c.QueueBytesMax = 1 << 30
	})
}

// An invocation that fails leaves no trace, wherever it breaks off and however.
func TestFailuresLeaveNoTrace(t *testing.T) {
	checkProperty(t, func(t *rapid.T, c *sim.Config) {
		c.FaultsMax = 5
		c.QueueBytesMax = 1 << 30
		c.BatchMax = rapid.SampledFrom([]int{1, 2, 64}).Draw(t, "batch")
		c.Retries = rapid.IntRange(0, 3).Draw(t, "retries")
	})
}

// What an address keeps is made by its own messages alone, whatever others of the same type, or of the
// same id, do beside it.
func TestAddressesAreIsolated(t *testing.T) {
	checkProperty(t, func(t *rapid.T, c *sim.Config) {
		c.IDs = rapid.IntRange(2, 24).Draw(t, "ids")
		c.Shards = rapid.IntRange(1, 2).Draw(t, "shards")
		c.KeyGroups = c.Shards
		c.Laggard = c.Shards
	})
}

// checkProperty runs programs in a simulation and compares all they do with a model. Each event of a
// program is drawn from bytes of its own, so that a failure shrinks to the few that matter.
func checkProperty(t *testing.T, focus func(*rapid.T, *sim.Config)) {
	check := func(t *rapid.T) {
		config := sim.DrawConfig(&sim.Tape{Bytes: rapid.SliceOfN(rapid.Byte(), 64, 64).Draw(t, "config")})
		focus(t, &config)
		var program sim.Program
		for _, event := range rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 60, 200), 1, 30).Draw(t, "events") {
			program.Draw(&sim.Tape{Bytes: event}, config, 30)
		}
		schedule := &sim.Tape{Bytes: rapid.SliceOfN(rapid.Byte(), 300, 1500).Draw(t, "schedule")}
		if _, err := (sim.Case{Config: config, Program: program, Schedule: schedule}).Run(sim.Options{Disk: sim.NewModelDisk()}); err != nil {
			t.Fatalf("%v\n\twith the program\n%v", err, program)
		}
	}
	for range propertyRuns {
		rapid.Check(t, check)
	}
}
