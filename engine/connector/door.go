// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"time"

	"github.com/millrace-io/millrace/engine/statefun"
)

// Door is a way in that cannot be replayed, such as an HTTP server.
type Door interface {
	// Open begins to accept and returns once the door is open. It is called once, first.
	Open(ctx context.Context, in Entry) error

	// Close accepts nothing further, lets what is in progress end until ctx is done, and returns when
	// no goroutine of the door is left. It is called once, last, also when Open failed.
	Close(ctx context.Context) error
}

// Entry is the engine as a door sees it. Its methods are safe for concurrent use, keep nothing of the
// bytes they are given after they return, and fail with an error that matches one of this package's.
type Entry interface {
	// Send accepts a message for an address. It never waits for credit: without any it returns ErrNoCredit. What
	// it waits for is what d promises, and ctx bounds that.
	Send(ctx context.Context, to statefun.Address, m statefun.TypedValue, d Delivery) error

	// Call accepts a message and waits for the answer: the first message that is sent to the caller,
	// which has the given type and an id of its own. When ctx ends first, its error is returned and
	// the answer, should one come, is dropped and counted.
	Call(ctx context.Context, caller statefun.FunctionType, to statefun.Address, m statefun.TypedValue, d Delivery) (statefun.TypedValue, error)

	// Route accepts an event of an ingress, given as "<namespace>/<name>", for the ingress's routers. What d
	// promises is so of all messages that come of the event; under a key each is judged at its own target.
	Route(ctx context.Context, ingress string, e Event, d Delivery) error

	// IsDurable reports whether what is committed survives the process: doors promise by default what can be
	// kept.
	IsDurable() bool
}

// Delivery says what a door promises its client. The zero Delivery promises no more than that the message is
// in memory.
type Delivery struct {
	// Durable has the call return only when the message, and for a Call its answer, is in a committed
	// checkpoint: then no crash loses it (P18). When ctx ends before, or the engine stops (ErrClosing), the
	// outcome is unknown: the message may or may not be there after a recovery. An engine that takes no
	// checkpoints has nothing to wait for.
	Durable bool
	// Key names the message among those of its target address: one that has come before under the same key
	// does not come again (P17), and a Call gets the first one's answer. The same key with other bytes is
	// ErrKeyReused. At most KeyBytesMax bytes, of which none is kept after the call; empty: no key.
	Key []byte
	// Window is how long a key is remembered, from the first message on. 0: 24 hours.
	Window time.Duration
}

// KeyBytesMax bounds Delivery.Key: an idempotency key of 255 bytes and the name of the ingress that it was
// given to.
const KeyBytesMax = 1024

// Caller is implemented by doors that use Call: it names the function type of their callers, which
// functions see as the sender.
type Caller interface {
	CallerType() statefun.FunctionType
}
