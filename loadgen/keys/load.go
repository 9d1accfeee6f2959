// SPDX-License-Identifier: Apache-2.0

// Package keys generates the ids that a load is sent to: the same ids, in the same order, for
// Millrace and for what it is compared with.
//
// Ids come out of one sequential buffer, as they do from a network ingress. Gathering them from a
// table of a million strings would cost the generator as much as the engine spends on the message:
// one cache miss each.
package keys

import (
	"errors"
	"fmt"
	"strings"
)

// Dist is how the ids of a load are distributed over its keys.
type Dist string

// The distributions.
const (
	Uniform Dist = "uniform" // Every key is as likely as any other.
	Zipf    Dist = "zipf"    // Zipf with exponent 1.1: of a million keys the first gets about an eighth.
)

// Bounds of a load.
const (
	KeysMax     = 1_000_000_000     // Their numbers are kept in 32 bits while a ring is made.
	MessagesMax = 1_000_000_000_000 // Weeks of work, and far from overflowing what is computed with it.
)

// tokensMax is how many messages of a relay are on their way at a time. With fewer, the shards of a fast
// program wait for each other more than they work.
const tokensMax = 1 << 16

// Load describes a load: which keys, how many messages, drawn how.
type Load struct {
	Keys     int
	Messages int
	Dist     Dist
	Seed     uint64
}

// Validate reports everything that is wrong with l, or nil.
func (l Load) Validate() error {
	var problems []string
	if l.Keys < 1 || l.Keys > KeysMax {
		problems = append(problems, fmt.Sprintf("keys: %d, want 1 to %d", l.Keys, KeysMax))
	}
	if l.Messages < 1 || l.Messages > MessagesMax {
		problems = append(problems, fmt.Sprintf("messages: %d, want 1 to %d", l.Messages, MessagesMax))
	}
	if l.Dist != Uniform && l.Dist != Zipf {
		problems = append(problems, fmt.Sprintf("dist: %q, want %s or %s", l.Dist, Uniform, Zipf))
	}
	if problems == nil {
		return nil
	}
	return errors.New(strings.Join(problems, "; "))
}

// Tokens returns how many messages a relay starts with. Each is sent on from key to key, and the hops
// of all of them are the messages of the load: token i makes the i-th [Part].
func (l Load) Tokens() int { return min(l.Messages, tokensMax) }
