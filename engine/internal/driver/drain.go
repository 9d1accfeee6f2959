// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/millrace-io/millrace/engine/connector"
)

// Drain is the way to one sink.
type Drain struct {
	egress string
	name   []byte // The same.
	sink   connector.Sink
	failed func(connector.Record, error) // A record that will never be delivered.

	mu     sync.Mutex
	more   sync.Cond
	queue  []queued // Guarded by mu.
	closed bool     // Guarded by mu.

	closing         atomic.Bool
	delivered, lost atomic.Int64
}

type queued struct {
	record connector.Record
	from   *released
}

// NewDrain returns the way to a sink.
func NewDrain(egress string, sink connector.Sink, failed func(connector.Record, error)) *Drain {
	d := &Drain{egress: egress, name: []byte(egress), sink: sink, failed: failed}
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

// Run publishes until Stop.
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
	for i := range batch {
		d.publishOne(&batch[i])
	}
}

// publishOne hands a record to the sink. A sink in process is the user's code: its panic loses the record,
// visibly, and not the process.
func (d *Drain) publishOne(q *queued) {
	var once sync.Once
	done := func(err error) {
		once.Do(func() { d.done(q, err) })
	}
	defer func() {
		if p := recover(); p != nil {
			done(fmt.Errorf("the sink panicked: %v", p))
		}
	}()
	d.sink.Publish(q.record, done)
}

// done takes note of what has become of a record. A sink that is being closed gives up what it has not
// delivered: that is not lost if the outbox has it, and delivered after the next start (P40).
func (d *Drain) done(q *queued, err error) {
	switch {
	case err == nil:
		d.delivered.Add(1)
	case q.from.stored && d.closing.Load():
		q.from.done(&q.record, false)
		return
	default:
		d.lost.Add(1)
		d.failed(q.record, err)
	}
	q.from.done(&q.record, true)
}

// Stop lets Run return once everything has been published. Close closes the sink; it is called after.
func (d *Drain) Stop() {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.more.Signal()
}

// Close waits until the sink is done with what was published, or until ctx is done.
func (d *Drain) Close(ctx context.Context) error {
	d.closing.Store(true)
	return d.sink.Close(ctx)
}
