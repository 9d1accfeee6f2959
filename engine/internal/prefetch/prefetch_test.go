// SPDX-License-Identifier: Apache-2.0

package prefetch_test

import (
	"testing"
	"unsafe"

	"github.com/millrace-io/millrace/engine/internal/prefetch"
)

// Nothing can be seen of a prefetch but that nothing happens.
func TestLines(t *testing.T) {
	memory := make([]byte, 1<<16)
	for _, n := range []int{1, 2, 255} {
		addresses := make([]uintptr, n)
		for i := range addresses {
			addresses[i] = uintptr(unsafe.Pointer(&memory[i*200]))
		}
		prefetch.Lines(&addresses[0], n)
		for i, p := range addresses {
			if p != uintptr(unsafe.Pointer(&memory[i*200])) {
				t.Fatalf("address %d of %d has changed", i, n)
			}
		}
	}
	for i, b := range memory {
		if b != 0 {
			t.Fatalf("byte %d has changed", i)
		}
	}
}
