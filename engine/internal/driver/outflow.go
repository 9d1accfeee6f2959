// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/internal/mailbox"
	"github.com/millrace-io/millrace/engine/statefun"
)

// Outflow carries the records of committed epochs to the sinks: one queue and one goroutine for each, so
// that a slow sink holds up its own records and, through the gate, ingress, but no other sink.
type Outflow struct {
	application string
	sinks       []*Drain // By egress number.
	gate        *mailbox.Gate
	types       func(envelope.Function) statefun.FunctionType
	first       statefun.Epoch // What records are numbered with when there are no epochs.
	pending     atomic.Int64   // Bytes that have been released and are not done.

	mu    sync.Mutex // Without epochs, shards release side by side.
	index uint64     // Guarded by mu. Of the next record released without an epoch.
}

// NewOutflow returns an outflow to the sinks, by egress number. types names the senders' function types.
func NewOutflow(application string, sinks []*Drain, gate *mailbox.Gate, types func(envelope.Function) statefun.FunctionType, first statefun.Epoch) *Outflow {
	return &Outflow{application: application, sinks: sinks, gate: gate, types: types, first: first}
}

// Pending returns the bytes of records that are released and not done.
func (o *Outflow) Pending() int64 { return o.pending.Load() }

// Release lets out the records of a committed epoch, in the order of shards and then of their emission
// (P35).
func (o *Outflow) Release(epoch statefun.Epoch, parts [][]*envelope.Batch) {
	var index uint64
	for _, batches := range parts {
		for _, b := range batches {
			index = o.release(epoch, index, b)
		}
	}
}

// ReleaseEarly lets out records of an engine without epochs.
func (o *Outflow) ReleaseEarly(b *envelope.Batch) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.index = o.release(o.first, o.index, b)
}

func (o *Outflow) release(epoch statefun.Epoch, index uint64, b *envelope.Batch) uint64 {
	if len(b.Envelopes) == 0 {
		return index
	}
	bytes := b.Bytes()
	o.pending.Add(bytes)
	var left atomic.Int64
	left.Store(int64(len(b.Envelopes)))
	oneDone := func() {
		if left.Add(-1) == 0 { // The batch's memory is one piece.
			o.pending.Add(-bytes)
			o.gate.Add(-bytes)
			o.gate.Notify()
		}
	}
	for i := range b.Envelopes {
		e := &b.Envelopes[i]
		typename, value := b.Named(e)
		fn, sender, _ := b.Caller(e)
		o.sinks[e.Function].push(queued{done: oneDone, record: connector.Record{
			Application: o.application,
			Egress:      o.sinks[e.Function].egress,
			Sender:      statefun.Address{Type: o.types(fn), ID: string(sender)},
			Typename:    string(typename),
			Value:       value, // The batch is not used again.
			Epoch:       epoch,
			Index:       index,
		}})
		index++
	}
	return index
}

// Drain is the way to one sink.
type Drain struct {
	egress string
	sink   connector.Sink
	failed func(connector.Record, error) // A record that will never be delivered.

	mu     sync.Mutex
	more   sync.Cond
	queue  []queued // Guarded by mu.
	closed bool     // Guarded by mu.

	delivered, lost atomic.Int64
}

type queued struct {
	record connector.Record
	done   func()
}

// NewDrain returns the way to a sink.
func NewDrain(egress string, sink connector.Sink, failed func(connector.Record, error)) *Drain {
	d := &Drain{egress: egress, sink: sink, failed: failed}
	d.more.L = &d.mu
	return d
}

// Egress returns the egress's name.
func (d *Drain) Egress() string { return d.egress }

// Open opens the sink.
func (d *Drain) Open(ctx context.Context) error { return d.sink.Open(ctx) }

// Counts returns how many records were delivered and how many never will be.
func (d *Drain) Counts() (delivered, lost int64) { return d.delivered.Load(), d.lost.Load() }

func (d *Drain) push(q queued) {
	d.mu.Lock()
	d.queue = append(d.queue, q)
	d.mu.Unlock()
	d.more.Signal()
}

// Run publishes until Close.
func (d *Drain) Run() {
	for batch, ok := d.take(true); ok; batch, ok = d.take(true) {
		d.publish(batch)
	}
}

// Turn publishes what is there and reports whether there was anything. For simulations.
func (d *Drain) Turn() bool {
	batch, _ := d.take(false)
	d.publish(batch)
	return len(batch) > 0
}

func (d *Drain) take(wait bool) (batch []queued, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for wait && len(d.queue) == 0 && !d.closed {
		d.more.Wait()
	}
	batch, d.queue = d.queue, nil
	return batch, len(batch) > 0
}

func (d *Drain) publish(batch []queued) {
	for _, q := range batch {
		d.publishOne(q)
	}
}

// publishOne hands a record to the sink. A sink in process is the user's code: its panic loses the record,
// visibly, and not the process.
func (d *Drain) publishOne(q queued) {
	var once sync.Once
	done := func(err error) {
		once.Do(func() {
			if err != nil {
				d.lost.Add(1)
				d.failed(q.record, err)
			} else {
				d.delivered.Add(1)
			}
			q.done()
		})
	}
	defer func() {
		if p := recover(); p != nil {
			done(fmt.Errorf("the sink panicked: %v", p))
		}
	}()
	d.sink.Publish(q.record, done)
}

// Stop lets Run return once everything has been published. Close closes the sink; it is called after.
func (d *Drain) Stop() {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.more.Signal()
}

// Close waits until the sink is done with what was published, or until ctx is done.
func (d *Drain) Close(ctx context.Context) error { return d.sink.Close(ctx) }
