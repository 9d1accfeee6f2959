// SPDX-License-Identifier: Apache-2.0

package remote

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/millrace-io/millrace/engine/statefun"
)

// Invoker carries requests to functions elsewhere and brings the replies back.
//
// Implementations are tested with remotetest.Run.
type Invoker interface {
	// Open prepares the invoker. It is called once, first, and does not wait for the other end: that it
	// is not there yet is no error.
	Open(ctx context.Context) error

	// Invoke sends one request: it fills r.Reply and calls r.Done once, from any goroutine, not later
	// than r.Timeout from now. It must not wait: shards call it. All that r shows is only borrowed, until
	// Done. There is no second attempt but the engine's.
	Invoke(r *Request)

	// Close gives up what is in progress, calls Done for it, and returns when nothing of it is left. It
	// is called once, last.
	Close(ctx context.Context) error
}

// Request is a batch of messages for one address, on its way to where the function is served, with its
// state as it is before the first of them.
//
// A request belongs to the engine, and to the invoker between Invoke and Done. It is used again.
type Request struct {
	Target   statefun.FunctionType
	ID       []byte // Of the address.
	State    []State
	Messages []Message
	Attempt  int           // 1 at first.
	Timeout  time.Duration // What is left for this attempt.

	// Reply is what came back. Its slices may alias whatever the invoker keeps in Scratch.
	Reply Reply
	// Scratch is the invoker's own, for buffers; it stays with the request when that is used again, but
	// only for the same invoker.
	Scratch any
	// Release, if the invoker sets it before Done, is called once when nobody needs Reply any more: for
	// replies so large that their memory should not wait for the next use of the request.
	Release func()

	done     func(error)
	underway atomic.Bool
}

// State is one state value of the target: every one that the engine knows of is in every request.
type State struct {
	Name     string
	Typename string
	Present  bool // Else there is no value, which is something else than an empty one.
	Value    []byte
}

// Message is one message for the target.
type Message struct {
	Caller   statefun.FunctionType // Zero if the message came from an ingress.
	CallerID []byte
	Typename []byte
	Absent   bool // The message has a typename and no value.
	Value    []byte
}

// Begin is the engine's: it marks r as under way, to end with a call of done.
func (r *Request) Begin(done func(error)) {
	r.done = done
	r.underway.Store(true)
}

// Recycle is the engine's: it says that nobody needs Reply any more.
func (r *Request) Recycle() {
	r.Reply.Reset()
	if f := r.Release; f != nil {
		r.Release = nil
		f()
	}
}

// SetTimeout is the engine's: it sets Timeout, in milliseconds.
func (r *Request) SetTimeout(ms int64) { r.Timeout = time.Duration(ms) * time.Millisecond }

// Done ends the request: with nil when Reply holds the answer, otherwise with an *[Error]. A second call does
// nothing, as long as the request has not been used again: an invoker must not keep it beyond Done.
func (r *Request) Done(err error) {
	if e, ok := err.(*Error); ok && e == nil {
		err = nil
	}
	if r.underway.CompareAndSwap(true, false) {
		r.done(err)
	}
}

// Reply is what the function did. Its bytes are only borrowed; Reset empties it for reuse.
type Reply struct {
	// Missing is what the function needs of its state and has not been sent; when Incomplete is set,
	// nothing has been run.
	Incomplete bool
	Missing    []Spec

	// What takes effect, together, in this order.
	Messages  []Outgoing
	Delayed   []Delayed
	Egress    []Emitted
	Mutations []Mutation

	Bytes int // Size of the reply on the wire, for the size of the next requests.
}

// Reset empties the reply.
func (r *Reply) Reset() {
	*r = Reply{
		Missing: emptied(r.Missing), Messages: emptied(r.Messages), Delayed: emptied(r.Delayed),
		Egress: emptied(r.Egress), Mutations: emptied(r.Mutations),
	}
}

// Effects is how many effects the reply has.
func (r *Reply) Effects() int {
	return len(r.Messages) + len(r.Delayed) + len(r.Egress) + len(r.Mutations)
}

// emptied keeps a list's memory for reuse, but not what one huge reply needed.
func emptied[T any](list []T) []T {
	const keep = 4096
	if cap(list) > keep {
		return nil
	}
	return list[:0]
}

// Payload is a typed value. Absent is one without a value, which is something else than an empty one.
type Payload struct {
	Typename []byte
	Absent   bool
	Value    []byte
}

// To is the address that a message goes to.
type To struct{ Namespace, Name, ID []byte }

// Outgoing is a message to an address.
type Outgoing struct {
	To
	Payload
}

// Delayed is a message to an address after a delay, or, when Cancel is set, takes one back.
type Delayed struct {
	Cancel bool
	Token  []byte // Of the sender's choice; empty: it cannot be taken back.
	Delay  int64  // In milliseconds.
	Outgoing
}

// Emitted is a record for an egress.
type Emitted struct {
	Namespace, Name []byte
	Payload
}

// Mutation changes or, when Delete is set, removes a state value.
type Mutation struct {
	Delete bool
	Name   []byte
	Payload
}

// Spec declares a state value.
type Spec struct {
	Name     string
	Typename string
	Expiry   Expiry
	TTL      int64 // In milliseconds, with Expiry.
}

// Expiry says from when the time of a state value counts.
type Expiry uint8

// The modes of expiry.
const (
	Never       Expiry = iota
	AfterWrite         // From when it was last written.
	AfterInvoke        // From when it was last written, or sent with a request.
)
