// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"math/bits"
)

// trace is a hash of all that has happened, in order: two runs of one case must have the same.
type trace uint64

func (t *trace) add(values ...uint64) {
	for _, v := range values {
		*t = trace(mix(uint64(*t), v))
	}
}

func (t *trace) bytes(b []byte) {
	for _, v := range b {
		t.add(uint64(v))
	}
}

// mix is a hash of two numbers in which their order counts.
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a^0x9e3779b97f4a7c15, b^0xb504f333f9de6485)
	return bits.RotateLeft64(hi^lo, 23) + a
}

func (r *run) logf(format string, args ...any) {
	if r.log != nil {
		fmt.Fprintf(r.log, format+"\n", args...)
	}
}
