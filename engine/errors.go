// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"errors"

	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/internal/shard"
	"github.com/millrace-io/millrace/engine/statefun"
)

// Why an invocation failed, or a call from outside was refused. Test with errors.Is.
var (
	// ErrPending is returned by the handler of a Request that answers later, with Request.Reply.
	ErrPending = errors.New("the answer comes later")

	// ErrNoFunction fails an invocation that sends to a function type which no module provides.
	ErrNoFunction = shard.ErrNoFunction
	// ErrNoInput fails an invocation whose message the function type does not accept.
	ErrNoInput = shard.ErrNoInput
	// ErrNoEgress fails an invocation that emits to an egress without a sink.
	ErrNoEgress = shard.ErrNoEgress
	// ErrNoCaller fails an invocation that answers a message which came from an ingress.
	ErrNoCaller = shard.ErrNoCaller
	// ErrLimit fails an invocation that sends or keeps more than it may.
	ErrLimit = shard.ErrLimit
	// ErrDelay fails an invocation that sends with a negative delay.
	ErrDelay = shard.ErrBadDelay
	// ErrMalformed fails what names an address that is none.
	ErrMalformed = statefun.ErrMalformed
	// ErrUndecodable fails what does not decode as the type it is said to have.
	ErrUndecodable = statefun.ErrUndecodable

	// ErrNoCredit is returned to callers from outside while queues are above the high-water mark.
	ErrNoCredit = connector.ErrNoCredit
	// ErrSuspended is returned to callers from outside for an address that is suspended; see Engine.Resume.
	ErrSuspended = connector.ErrSuspended
	// ErrClosing is returned to callers from outside once the engine is closing.
	ErrClosing = connector.ErrClosing
)

// Permanent marks an error that another attempt cannot mend: the address is suspended at once instead
// of after the retries. It returns nil for nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return permanentError{err}
}

type permanentError struct{ error }

func (permanentError) Permanent() bool { return true }

func (e permanentError) Unwrap() error { return e.error }
