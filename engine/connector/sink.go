// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"strconv"

	"github.com/millrace-io/millrace/engine/statefun"
)

// Sink delivers the records of an egress.
type Sink interface {
	// Open prepares the sink. It is called once, first, and fails when the sink cannot work at all.
	Open(ctx context.Context) error

	// Publish takes one record over and calls done exactly once, from any goroutine: with nil when the
	// record is delivered, with an error when it never will be. The record's bytes are not changed
	// afterwards and may be kept. The engine calls Publish from one goroutine, in the order (epoch,
	// index); to block is to hold the engine's ingress back, not its functions. An engine that keeps
	// checkpoints keeps the record in them until done is called, and publishes it again after a crash.
	Publish(r Record, done func(error))

	// Close waits until everything published is done, or until ctx is done, and releases what Open
	// took; done is called for every record also then. A record for which it is called with an error from
	// here on stays in the checkpoint, and is published again at the next start. It is called once, last.
	Close(ctx context.Context) error
}

// Record is one record on its way out.
type Record struct {
	Application string
	Egress      string // "<namespace>/<name>"
	Sender      statefun.Address
	Typename    string
	Value       []byte

	// Epoch and Index name the record for ever: a record that is published again after a crash has the
	// same. Index counts the records of one epoch, over all egresses.
	Epoch statefun.Epoch
	Index uint64
}

// IdempotencyKey is "<application>-<egress>-<epoch>-<index>": the same for every delivery of a record,
// and of no other.
func (r Record) IdempotencyKey() string {
	b := make([]byte, 0, len(r.Application)+len(r.Egress)+24)
	b = append(append(b, r.Application...), '-')
	b = append(append(b, r.Egress...), '-')
	b = append(strconv.AppendUint(b, uint64(r.Epoch), 10), '-')
	return string(strconv.AppendUint(b, r.Index, 10))
}

// SinkFunc is a Sink that calls a function in process for each record, one at a time and in order. The
// error it returns is the record's outcome.
type SinkFunc func(r Record) error

// Open does nothing.
func (SinkFunc) Open(context.Context) error { return nil }

// Publish calls f.
func (f SinkFunc) Publish(r Record, done func(error)) { done(f(r)) }

// Close does nothing.
func (SinkFunc) Close(context.Context) error { return nil }
