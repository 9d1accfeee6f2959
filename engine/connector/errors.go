// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"errors"
	"fmt"
)

// What an Entry can refuse. Test with errors.Is.
var (
	// ErrUnknownFunction: no module provides the function type.
	ErrUnknownFunction = errors.New("unknown function type")
	// ErrUnknownMessage: the function type accepts no message of that typename.
	ErrUnknownMessage = errors.New("message type not accepted")
	// ErrUnknownIngress: no router is bound to the ingress.
	ErrUnknownIngress = errors.New("unknown ingress")
	// ErrMalformed: an address or a value is not what it is said to be.
	ErrMalformed = errors.New("malformed")
	// ErrKeyReused: the idempotency key has been used for another message to the same address.
	ErrKeyReused = errors.New("idempotency key used for another message")
	// ErrTooLarge: the id or the value is over its limit.
	ErrTooLarge = errors.New("too large")
	// ErrNoCredit: queues are above the high-water mark; try again later.
	ErrNoCredit = errors.New("out of credit")
	// ErrKeysFull: as many idempotency keys are kept as may be, until the windows of some are over. It is an ErrNoCredit.
	ErrKeysFull = fmt.Errorf("%w: no room for another idempotency key", ErrNoCredit)
	// ErrSuspended: the address is suspended, and does not go on by itself.
	ErrSuspended = errors.New("address suspended")
	// ErrClosing: the engine is shutting down.
	ErrClosing = errors.New("closing")
)
