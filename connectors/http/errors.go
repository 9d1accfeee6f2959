// SPDX-License-Identifier: Apache-2.0

package http

import (
	"errors"
	"fmt"
)

var (
	// ErrClosed is what becomes of records that were not delivered when the egress was closed.
	ErrClosed = errors.New("closed before it was delivered")
	// ErrAttempts is what becomes of a record that was sent MaxAttempts times without success; the last
	// failure is wrapped beside it.
	ErrAttempts = errors.New("no more attempts")

	errNoAnswer = errors.New("the connection ended without an answer, or none came in time")
	errNotHTTP  = errors.New("the answer is not HTTP/1.1, or its head is too large")
)

// StatusError is what becomes of a record whose receiver answered with a status that is neither a success
// nor worth another attempt.
type StatusError struct {
	Egress   string
	Status   int
	Attempts int
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("http: egress %s: status %d in attempt %d", e.Egress, e.Status, e.Attempts)
}
