// SPDX-License-Identifier: Apache-2.0

package sim

import "math/rand/v2"

// Choices decide everything that is left to chance. A rand.Rand makes them from a seed; a [Tape] takes
// them from bytes, so that a property test can shrink a failure. 0 is the simplest choice everywhere.
type Choices interface {
	// IntN returns a number from 0 to n-1.
	IntN(n int) int
}

var _ Choices = (*rand.Rand)(nil)

// Tape is a list of choices, a byte or two each. Behind its end, all choices are 0.
type Tape struct{ Bytes []byte }

// spread is odd, so that all bytes still stand for different choices, and 0 for 0: property tests like
// small bytes, and those alone would hardly ever make a rare choice.
const spread = 167

// IntN implements Choices.
func (t *Tape) IntN(n int) int {
	if len(t.Bytes) == 0 {
		return 0
	}
	v := int(t.Bytes[0] * spread)
	t.Bytes = t.Bytes[1:]
	if n > 256 && len(t.Bytes) > 0 {
		v = v<<8 | int(t.Bytes[0])
		t.Bytes = t.Bytes[1:]
	}
	return v % n
}

// one reports true once in n times.
func one(c Choices, n int) bool { return c.IntN(n) == n-1 }

// pick returns one of the values.
func pick[T any](c Choices, values ...T) T { return values[c.IntN(len(values))] }
