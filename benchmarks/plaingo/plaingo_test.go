// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"github.com/millrace-io/millrace/loadgen/keys"
)

// A peer that loses messages or counts some twice would make a worthless comparison: both programs
// check their own counters, at sizes that leave slices partly filled.
func TestCountersAddUp(t *testing.T) {
	for _, program := range []struct {
		name string
		run  func(keys.Load) (float64, error)
	}{{"counter", counterRun}, {"relay", relayRun}} {
		for _, l := range []keys.Load{
			{Keys: 1, Messages: 1, Dist: keys.Uniform},
			{Keys: 10, Messages: 255, Dist: keys.Zipf},
			{Keys: 1000, Messages: 200_001, Dist: keys.Uniform},
		} {
			if _, err := program.run(l); err != nil {
				t.Errorf("%s of %+v: %v", program.name, l, err)
			}
		}
	}
}

// The workloads of goroutines check themselves also.
func TestGoroutines(t *testing.T) {
	for _, program := range []struct {
		name string
		run  func(keys.Load) (float64, error)
		l    keys.Load
	}{
		{"ping-pong", ring, keys.Load{Keys: 2, Messages: 1001, Dist: keys.Uniform}},
		{"ring", ring, keys.Load{Keys: 100, Messages: 250, Dist: keys.Uniform}},
		{"skynet", skynet, keys.Load{Keys: 1000, Dist: keys.Uniform}},
		{"memory", memory, keys.Load{Keys: 100_000, Dist: keys.Uniform}},
	} {
		if value, err := program.run(program.l); err != nil || value <= 0 {
			t.Errorf("%s: %v, %v", program.name, value, err)
		}
	}
}

// What verify is for: a lost message is seen.
func TestVerifyNoticesALostMessage(t *testing.T) {
	tables := newTables(10)
	tables[owner(keys.ID(3))].add(keys.ID(3))
	if err := verify(tables, keys.Load{Messages: 1}); err != nil {
		t.Error(err)
	}
	if err := verify(tables, keys.Load{Messages: 2}); err == nil {
		t.Error("one of two messages was lost, and verify says nothing")
	}
}
