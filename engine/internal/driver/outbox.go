// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"unsafe"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/internal/checkpoint"
	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/internal/planted"
	"github.com/millrace-io/millrace/engine/statefun"
)

// outbox is what checkpoints know of records: each is put by the commit of its epoch, and deleted by the next
// commit after its sink was done with it. Its key names it for ever.
type outbox struct {
	mu        sync.Mutex
	confirmed []recordName   // Guarded by mu. Records that are done and not deleted yet.
	unbound   map[string]int // Records of egresses that nobody binds. Written once, by Restore.

	// Owned by the goroutine that commits. The epochs of which there are records in checkpoints, and how many, in order.
	kept []keptRecords
	// Likewise; reused.
	deleting   []recordName
	changes    []byte
	key, value []byte
}

// keptRecords is how many records of an epoch are in checkpoints.
type keptRecords struct {
	epoch   statefun.Epoch
	records int
}

// keep counts a record that a checkpoint has from now on, or, with -1, no longer.
func (b *outbox) keep(epoch statefun.Epoch, records int) {
	i, ok := slices.BinarySearchFunc(b.kept, epoch, func(k keptRecords, epoch statefun.Epoch) int { return cmp.Compare(k.epoch, epoch) })
	if !ok {
		b.kept = slices.Insert(b.kept, i, keptRecords{epoch: epoch})
	}
	if b.kept[i].records += records; b.kept[i].records == 0 {
		b.kept = slices.Delete(b.kept, i, i+1)
	}
}

// Oldest returns the epoch of the oldest record that checkpoints have; the greatest of all when there is none. It is for
// the goroutine that commits.
func (o *Outflow) Oldest() statefun.Epoch {
	if kept := o.outbox.kept; len(kept) > 0 {
		return kept[0].epoch
	}
	return math.MaxUint64
}

// recordName is where a record stands in the checkpoint.
type recordName struct {
	epoch statefun.Epoch
	index uint64
	group statefun.KeyGroup // Of its sender.
}

func (b *outbox) confirm(r *connector.Record, groups int) {
	name := recordName{r.Epoch, r.Index, groupOf(r.Sender.ID, groups)}
	b.mu.Lock()
	b.confirmed = append(b.confirmed, name)
	b.mu.Unlock()
}

func groupOf(id string, groups int) statefun.KeyGroup {
	return statefun.KeyGroupOf(statefun.KeyHash(id), groups)
}

// Unswept reports whether there are records that are done and that checkpoints still have.
func (o *Outflow) Unswept() bool {
	o.outbox.mu.Lock()
	defer o.outbox.mu.Unlock()
	return len(o.outbox.confirmed) > 0
}

// Changes returns what the commit of an epoch says of records: it puts those of the epoch, numbered as Release
// numbers them, and deletes those that are done. The bytes are valid until the next call.
func (o *Outflow) Changes(epoch statefun.Epoch, parts [][]*envelope.Batch) []byte {
	b := &o.outbox
	b.changes = b.changes[:0]
	o.appendDeletes()
	if planted.RecordsNotKept {
		return b.changes
	}
	var index uint64
	for _, batches := range parts {
		for _, from := range batches {
			for i := range from.Envelopes {
				o.appendPut(epoch, index, from, &from.Envelopes[i])
				index++
			}
		}
	}
	return b.changes
}

func (o *Outflow) appendDeletes() {
	b := &o.outbox
	b.mu.Lock()
	b.confirmed, b.deleting = b.deleting[:0], b.confirmed
	b.mu.Unlock()
	for _, name := range b.deleting {
		b.key = checkpoint.AppendRecordKey(b.key[:0], name.epoch, name.index)
		b.changes = backend.AppendDelete(b.changes, name.group, b.key)
		b.keep(name.epoch, -1)
	}
}

func (o *Outflow) appendPut(epoch statefun.Epoch, index uint64, from *envelope.Batch, e *envelope.Envelope) {
	b := &o.outbox
	r := checkpoint.Record{Egress: o.c.Sinks[e.Function].name, Absent: e.IsAbsent()}
	r.Typename, r.Value = from.Named(e)
	r.Sender, r.SenderID, _ = from.Caller(e)
	group := groupOf(unsafe.String(unsafe.SliceData(r.SenderID), len(r.SenderID)), o.c.KeyGroups)
	b.key = checkpoint.AppendRecordKey(b.key[:0], epoch, index)
	b.value = checkpoint.AppendRecord(b.value[:0], &r)
	b.changes = backend.AppendPut(b.changes, group, b.key, b.value)
	b.keep(epoch, 1)
}

// Restore has the records of a checkpoint go out, ahead of everything else and in the order of the entries, under
// the names that they had. Those of egresses that nobody binds stay in the store until somebody does (P38). It is
// called once, before Run.
func (o *Outflow) Restore(entries []backend.Entry) error {
	sinks := make(map[string]*Drain, len(o.c.Sinks))
	for _, d := range o.c.Sinks {
		sinks[d.egress] = d
	}
	o.outbox.unbound = map[string]int{}
	kept := map[statefun.Epoch]int{}
	for _, e := range entries {
		r, err := o.parse(e)
		if err != nil {
			return fmt.Errorf("key group %d, key %x: %w", e.Group, e.Key, err)
		}
		kept[r.Epoch]++
		d := sinks[r.Egress]
		if d == nil {
			o.outbox.unbound[r.Egress]++
			continue
		}
		bytes := int64(len(e.Value))
		o.c.Gate.Add(bytes)
		d.push(queued{r, o.hold(bytes, 1, true)})
	}
	for _, epoch := range slices.Sorted(maps.Keys(kept)) {
		o.outbox.keep(epoch, kept[epoch])
	}
	return nil
}

// Unbound returns how many records of egresses that nobody binds the store has kept, by egress.
func (o *Outflow) Unbound() map[string]int { return o.outbox.unbound }

func (o *Outflow) parse(e backend.Entry) (record connector.Record, err error) {
	epoch, index, err := checkpoint.ParseRecordKey(e.Key)
	if err != nil {
		return record, err
	}
	r, err := checkpoint.ParseRecord(e.Value)
	if err != nil {
		return record, err
	}
	sender, ok := o.c.Types(r.Sender)
	if !ok {
		return record, fmt.Errorf("%w: the sender is function type %d, of which the names know nothing", checkpoint.ErrEntry, r.Sender)
	}
	record = connector.Record{
		Application: o.c.Application, Egress: string(r.Egress), Sender: statefun.Address{Type: sender, ID: string(r.SenderID)},
		Typename: string(r.Typename), Value: r.Value, Epoch: epoch, Index: index,
	}
	if group := groupOf(record.Sender.ID, o.c.KeyGroups); group != e.Group {
		return record, fmt.Errorf("%w: it belongs to key group %d", checkpoint.ErrEntry, group)
	}
	return record, nil
}
