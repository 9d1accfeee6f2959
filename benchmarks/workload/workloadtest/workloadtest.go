// SPDX-License-Identifier: Apache-2.0

// Package workloadtest runs every workload on a system with few messages. Workloads check what they have
// executed, so that a run that returns no error is one that lost nothing and did nothing twice.
package workloadtest

import (
	"cmp"
	"testing"

	"github.com/millrace-io/millrace/benchmarks/workload"
	"github.com/millrace-io/millrace/loadgen/keys"
)

// Run runs all of them. Systems have other settings when they have more than so many actors.
func Run(t *testing.T, open func(keyCount int) (workload.System, error), otherAbove int) {
	runs := workload.Runs(open)
	for name, loads := range map[string][]keys.Load{
		workload.Counter:  Loads(otherAbove),
		workload.Relay:    Loads(otherAbove),
		workload.PingPong: {{Keys: 2, Messages: 1}, {Keys: 2, Messages: 1001}},
		workload.Ring:     {{Keys: 100, Messages: 250}},
		workload.Skynet:   {{Keys: 10}, {Keys: 1000}},
		workload.Memory:   {{Keys: 2000}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, l := range loads {
				l.Dist = cmp.Or(l.Dist, keys.Uniform)
				if value, err := runs[name](l); err != nil || value <= 0 {
					t.Errorf("%+v: %v, %v", l, value, err)
				}
			}
		})
	}
}

// Loads are small loads: one message, few keys, more keys than otherAbove.
func Loads(otherAbove int) []keys.Load {
	return []keys.Load{
		{Keys: 1, Messages: 1, Dist: keys.Uniform},
		{Keys: 1, Messages: 20_000, Dist: keys.Uniform},
		{Keys: 1000, Messages: 50_001, Dist: keys.Zipf},
		{Keys: otherAbove + 1, Messages: 30_000, Dist: keys.Uniform},
	}
}
