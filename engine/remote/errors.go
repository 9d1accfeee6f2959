// SPDX-License-Identifier: Apache-2.0

package remote

import (
	"fmt"
	"time"
)

// Error is what a request ended with instead of a reply.
type Error struct {
	Reason   Reason
	Endpoint string // Where it was sent to, without secrets.
	Status   int    // Of an HTTP answer; 0 when there was none.
	// RetryAfter is how long the other end has asked to be left alone.
	RetryAfter time.Duration
	Err        error
}

// Reason sorts failures by what the engine does about them.
type Reason uint8

// The reasons. All but Broken are tried again for as long as the policy says.
const (
	// Unreachable: no connection, or it was lost before the answer.
	Unreachable Reason = iota
	// TimedOut: no answer in time.
	TimedOut
	// Refused: an answer that is none of success.
	Refused
	// Broken: an answer of success that breaks the protocol. It counts towards Policy.BrokenMax.
	Broken
	// TooLarge: Broken, by the size of the answer. With fewer messages it may be smaller.
	TooLarge
)

func (r Reason) String() string {
	switch r {
	case Unreachable:
		return "unreachable"
	case TimedOut:
		return "timed out"
	case Refused:
		return "refused"
	case Broken:
		return "broken"
	case TooLarge:
		return "reply too large"
	}
	return fmt.Sprintf("Reason(%d)", uint8(r))
}

func (e *Error) Error() string {
	s := fmt.Sprintf("%s: %v", e.Endpoint, e.Reason)
	if e.Status != 0 {
		s += fmt.Sprintf(" with status %d", e.Status)
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }
