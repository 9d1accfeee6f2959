// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"sync"
	"sync/atomic"

	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/internal/mailbox"
	"github.com/millrace-io/millrace/engine/internal/planted"
	"github.com/millrace-io/millrace/engine/statefun"
)

// Outflow carries the records of committed epochs to the sinks: one queue and one goroutine for each, so
// that a slow sink holds up its own records and, through the gate, ingress, but no other sink.
//
//	emitted ──commit (put)──► released ──published──► done, by the sink ──next commit (delete)──► forgotten
//
// Until they are forgotten they are in every checkpoint: a restart publishes them again, under the same names.
type Outflow struct {
	c       OutflowConfig
	pending atomic.Int64 // Bytes that have been released and are not done,
	emitted atomic.Int64 // and those that have been emitted and not been released: their epoch is not committed.

	mu    sync.Mutex // Without epochs, shards release side by side.
	index uint64     // Guarded by mu. Of the next record released without an epoch.

	outbox outbox
}

// OutflowConfig is what an outflow is made of.
type OutflowConfig struct {
	Application string
	Sinks       []*Drain // By egress number.
	Gate        *mailbox.Gate
	// Types names the senders' function types; ok is false for a number that none has.
	Types func(envelope.Function) (t statefun.FunctionType, ok bool)
	First statefun.Epoch // What records are numbered with when there are no epochs.
	// Stores is set when there are checkpoints that keep the records that are not done, by key groups of which
	// there are KeyGroups.
	Stores    bool
	KeyGroups int
	// BytesMax is how many bytes may be emitted and not done before functions that emit more wait (P36).
	BytesMax int64
}

// NewOutflow returns an outflow to the sinks.
func NewOutflow(c OutflowConfig) *Outflow { return &Outflow{c: c} }

// Pending returns the bytes of records that are released and not done.
func (o *Outflow) Pending() int64 { return o.pending.Load() }

// Full reports whether those who emit records have to wait (P36). Anyone may ask.
func (o *Outflow) Full() bool { return o.pending.Load()+o.emitted.Load() > o.c.BytesMax }

// Emitted has bytes count that shards have emitted, until they are released.
func (o *Outflow) Emitted(bytes int64) {
	if bytes != 0 {
		o.emitted.Add(bytes)
	}
}

// Release lets out the records of a committed epoch, in the order of shards and then of their emission
// (P35).
func (o *Outflow) Release(epoch statefun.Epoch, parts [][]*envelope.Batch) {
	var index uint64
	for _, batches := range parts {
		for _, b := range batches {
			index = o.release(epoch, index, b, o.c.Stores)
		}
	}
}

// ReleaseEarly lets out records of an engine without epochs.
func (o *Outflow) ReleaseEarly(b *envelope.Batch) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.index = o.release(o.c.First, o.index, b, false)
}

func (o *Outflow) release(epoch statefun.Epoch, index uint64, b *envelope.Batch, stored bool) uint64 {
	o.emitted.Add(-b.Bytes())
	if len(b.Envelopes) == 0 {
		return index
	}
	held := o.hold(b.Bytes(), len(b.Envelopes), stored)
	for i := range b.Envelopes {
		e := &b.Envelopes[i]
		typename, value := b.Named(e)
		fn, sender, _ := b.Caller(e)
		from, _ := o.c.Types(fn)
		d := o.c.Sinks[e.Function]
		d.push(queued{from: held, record: connector.Record{
			Application: o.c.Application,
			Egress:      d.egress,
			Sender:      statefun.Address{Type: from, ID: string(sender)},
			Typename:    string(typename),
			Value:       value, // The batch is not used again.
			Epoch:       epoch,
			Index:       index,
		}})
		if planted.OutboxDeletedEarly {
			o.outbox.confirm(&connector.Record{Epoch: epoch, Index: index, Sender: statefun.Address{ID: string(sender)}}, o.c.KeyGroups)
		}
		index++
	}
	return index
}

// released is a number of records whose memory is one piece: it counts until the last of them is done.
type released struct {
	outflow *Outflow
	bytes   int64
	left    atomic.Int64
	stored  bool // Checkpoints have them.
}

// hold has records count that were emitted, or restored. The gate counts them already.
func (o *Outflow) hold(bytes int64, records int, stored bool) *released {
	o.pending.Add(bytes)
	r := &released{outflow: o, bytes: bytes, stored: stored}
	r.left.Store(int64(records))
	return r
}

// done takes note that a record is done; confirmed, that a restart need not publish it again.
func (r *released) done(record *connector.Record, confirmed bool) {
	o := r.outflow
	if confirmed && r.stored {
		o.outbox.confirm(record, o.c.KeyGroups)
	}
	if r.left.Add(-1) > 0 {
		return
	}
	o.pending.Add(-r.bytes)
	o.c.Gate.Add(-r.bytes)
	o.c.Gate.Notify()
}
