// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/millrace-io/millrace/engine"
)

// Instances live outside the garbage collector's heap: what Close does not give back is lost for good.
func TestCloseGivesMemoryBack(t *testing.T) {
	const engines, shards, region = 100, 2, 4 << 20 // Each shard takes one region at least.
	before := addressSpace(t)
	for range engines {
		e := open(t, engine.Config{Shards: shards, EpochInterval: engine.EpochsOff}, probeModule(counting), deliver((&recorder{}).sink()))
		if err := Do.To("p").Submit(t.Context(), e, "a"); err != nil {
			t.Fatal(err)
		}
		closeEngine(t, e)
	}
	if grown := addressSpace(t) - before; grown > engines*shards*region/2 {
		t.Errorf("%d engines have come and gone, and the process has grown by %d MiB", engines, grown>>20)
	}
}

// addressSpace returns how many bytes the process has mapped.
func addressSpace(t *testing.T) (bytes int64) {
	t.Helper()
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip(err)
	}
	if _, err := fmt.Sscan(string(statm), &bytes); err != nil {
		t.Fatal(err)
	}
	return bytes * int64(os.Getpagesize())
}
