// SPDX-License-Identifier: Apache-2.0

package command

import (
	"math"
	"runtime/debug"
	"testing"
)

func TestSize(t *testing.T) {
	for text, want := range map[string]string{
		"0": "", "1": "1", "1024": "1KiB", "1536KiB": "1536KiB", "64 MiB": "64MiB", "4GiB": "4GiB", "2048GiB": "2TiB", "8388607TiB": "8388607TiB",
	} {
		var b size
		if err := b.Set(text); err != nil || b.String() != want {
			t.Errorf("%q: %q, %v", text, b.String(), err)
		}
		if again := size(-1); want != "" && (again.Set(b.String()) != nil || again != b) {
			t.Errorf("%q: %q reads as %d", text, b.String(), again)
		}
	}
	for _, text := range []string{"", "x", "-1", "1.5GiB", "1GB", "GiB", "1gib", "8388608TiB", "9223372036854775808", "1 GiB x"} {
		if b := size(7); b.Set(text) == nil || b != 7 {
			t.Errorf("%q is read as %d", text, b)
		}
	}
}

// The queues get an eighth of the memory limit, within bounds; without a limit the engine decides.
func TestLimitMemory(t *testing.T) {
	t.Cleanup(func() { debug.SetMemoryLimit(math.MaxInt64) })
	debug.SetMemoryLimit(math.MaxInt64)
	for limit, want := range map[size]int64{0: 0, 64 << 20: 16 << 20, 128 << 20: 16 << 20, 4 << 30: 512 << 20, 1 << 40: 1 << 30} {
		debug.SetMemoryLimit(math.MaxInt64)
		o := options{memoryLimit: limit}
		if got := o.limitMemory(); got != want || limit > 0 && debug.SetMemoryLimit(-1) != int64(limit) {
			t.Errorf("%s: %d bytes may be queued, want %d", limit.String(), got, want)
		}
	}
	debug.SetMemoryLimit(1 << 30) // As GOMEMLIMIT does.
	if got := new(options).limitMemory(); got != 128<<20 {
		t.Errorf("GOMEMLIMIT=1GiB: %d bytes may be queued", got)
	}
}
