// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"

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
	// Send accepts a message for an address. It never waits: without credit it returns ErrNoCredit.
	Send(ctx context.Context, to statefun.Address, m statefun.TypedValue) error

	// Call accepts a message and waits for the answer: the first message that is sent to the caller,
	// which has the given type and an id of its own. When ctx ends first, its error is returned and
	// the answer, should one come, is dropped and counted.
	Call(ctx context.Context, caller statefun.FunctionType, to statefun.Address, m statefun.TypedValue) (statefun.TypedValue, error)

	// Route accepts an event of an ingress, given as "<namespace>/<name>", for the ingress's routers.
	Route(ctx context.Context, ingress string, e Event) error
}

// Caller is implemented by doors that use Call: it names the function type of their callers, which
// functions see as the sender.
type Caller interface {
	CallerType() statefun.FunctionType
}
