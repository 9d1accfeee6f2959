// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"errors"
	"fmt"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/internal/checkpoint"
	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/internal/mailbox"
	"github.com/millrace-io/millrace/engine/statefun"
)

// event is something that Epochs is told.
type event struct {
	kind eventKind
	who  uint8 // Part: the shard.
	// Part: its content, and whether the client waits for it. Position: the position. Want: the epoch.
	image    shardImage
	emitted  messages
	waits    bool
	position uint8
	epoch    uint8
}

type eventKind uint8

const (
	none     eventKind = iota
	tick               // The interval has passed.
	part               // A shard hands in its part.
	position           // The pump hands in its position.
	want               // Somebody waits for an epoch.
	failed             // The commit that is under way fails, and nothing has come of it.
	returned           // It returns.
	doubt              // It returns an error that says that nobody knows.
	drain              // The sink takes what has been released.
)

func (k eventKind) String() string {
	return []string{"none", "the interval", "a part", "a position", "a want", "a failed commit", "a commit", "a doubt", "the sink"}[k]
}

// heard is what has come of the last event.
type heard struct {
	announced uint8
	commit    *offer // The one that is under way.
	acked     bool
	published map[uint8]name
	halted    error
}

// offer is what a commit is to make durable.
type offer struct {
	epoch   uint8
	image   image
	puts    [recordsMax]name
	deletes []name
	bytes   string // All of it.
}

// rig is a real Epochs in its goroutine, of which everything that goes in or comes out is at hand. It lives in a
// synctest bubble: when it has been told something and everything stands still, it has done all that it will.
type rig struct {
	heard
	announce *Announcement
	epochs   *Epochs
	drain    *Drain
	outcome  chan error
	cancel   context.CancelFunc
	stopped  chan struct{}
	again    string // What the commit that has failed was to commit.
	broken   error
}

const interval = time.Hour

// newRig starts the process that w, which has just begun, has in it.
func newRig(w *world) *rig {
	ctx, cancel := context.WithCancel(context.Background())
	r := &rig{announce: NewAnnouncement(ctx, statefun.Epoch(w.epochs.announced)), outcome: make(chan error), cancel: cancel, stopped: make(chan struct{})}
	sender := statefun.FunctionType{Namespace: "model", Name: "sender"}
	r.drain = NewDrain("model/out", sinkOf{r}, func(connector.Record, error) {})
	gate := mailbox.NewGate(1 << 20)
	outflow := NewOutflow(OutflowConfig{
		Application: "model", Sinks: []*Drain{r.drain}, Gate: gate, First: 1, Stores: true, KeyGroups: 1, BytesMax: 1 << 20,
		Types: func(envelope.Function) (statefun.FunctionType, bool) { return sender, true },
	})
	var entries []backend.Entry
	for record, n := range w.outbox {
		if n != (name{}) {
			entries = append(entries, backend.Entry{
				Key: checkpoint.AppendRecordKey(nil, statefun.Epoch(n.epoch), uint64(n.index)-1),
				Value: checkpoint.AppendRecord(nil, &checkpoint.Record{
					Egress: []byte("model/out"), SenderID: []byte("s"), Typename: []byte("model/Record"), Value: []byte{byte(record)},
				}),
			})
		}
	}
	if err := outflow.Restore(entries); err != nil {
		r.broken = err
	}
	r.epochs = NewEpochs(EpochsConfig{
		Shards: shardsMax, Sources: 1, Interval: interval, Announce: r.announce, Backend: storeOf{rig: r}, Outflow: outflow, Gate: gate,
		Names: func() []byte { return nil }, Stuck: func(statefun.Epoch, error) {},
	})
	go func() {
		defer close(r.stopped)
		r.halted = r.epochs.Run(ctx)
	}()
	synctest.Wait()
	return r
}

// tell has an event happen, and what comes of it.
func (r *rig) tell(e event) {
	r.acked, r.published = false, map[uint8]name{}
	switch e.kind {
	case tick:
		r.announce.Touch(r.announce.Epoch()) // Or nothing would be ended.
		time.Sleep(interval)
	case part:
		r.epochs.AddPart(r.part(e))
	case position:
		r.epochs.AddPosition(Position{Epoch: statefun.Epoch(e.epoch), Source: "source", Position: []byte{e.position}})
	case want:
		r.announce.Want(statefun.Epoch(e.epoch))
	case failed:
		r.again = r.commit.bytes
		r.answer(errors.New("no space"))
		time.Sleep(10 * time.Second) // More than any pause between attempts.
	case returned:
		r.answer(nil)
	case doubt:
		r.answer([]error{backend.ErrSync, backend.ErrFenced, backend.ErrEpochOrder}[e.who])
	case drain:
		r.drain.Turn()
	}
	synctest.Wait()
	r.announced = uint8(r.announce.Epoch())
}

func (r *rig) answer(err error) {
	r.commit = nil
	r.outcome <- err
}

// part is a shard's, as Epochs gets it.
func (r *rig) part(e event) (p Part) {
	p.Epoch = statefun.Epoch(e.epoch)
	p.Shard = int(e.who)
	p.Changes = []backend.Part{{Shard: p.Shard, Changes: []byte{byte(e.image.counted), byte(e.image.inFlight)}}}
	for record := range uint8(recordsMax) {
		if e.emitted.has(record) {
			b := envelope.New(1)
			env := b.Append(0, envelope.Untyped, 0, "")
			b.SetNamed(env, "model/Record", []byte{record})
			env.SetCaller(b.AppendCaller(0, []byte("s")))
			p.Egress = append(p.Egress, b)
		}
	}
	if e.waits {
		p.Tickets = append(p.Tickets, &envelope.Ticket{Durable: true, Done: func(*envelope.Ticket) { r.acked = true }})
	}
	return p
}

// stop ends the process.
func (r *rig) stop() {
	r.cancel()
	<-r.stopped
}

// sinkOf is the sink of a rig.
type sinkOf struct{ *rig }

func (sinkOf) Open(context.Context) error  { return nil }
func (sinkOf) Close(context.Context) error { return nil }

func (s sinkOf) Publish(rec connector.Record, done func(error)) {
	if _, twice := s.published[rec.Value[0]]; twice {
		s.broken = fmt.Errorf("record %d is published twice in a row", rec.Value[0])
	}
	s.published[rec.Value[0]] = name{uint8(rec.Epoch), uint8(rec.Index) + 1}
	done(nil)
}

// storeOf is the store of a rig, of which Epochs only commits. A commit returns when the model says so.
type storeOf struct {
	backend.Backend
	*rig
}

func (storeOf) LapBytes() int64 { return 0 }

func (s storeOf) Commit(ctx context.Context, cp backend.Checkpoint, parts []backend.Part) error {
	o, err := readOffer(cp, parts)
	if err != nil {
		s.broken = err
	}
	if s.again != "" && s.again != o.bytes {
		s.broken = fmt.Errorf("tried again with other bytes (P24): %q; before %q", o.bytes, s.again)
	}
	s.commit, s.again = o, ""
	select {
	case err := <-s.outcome:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// readOffer takes apart what is to be committed: a part of each shard, the outbox, and the source's position.
func readOffer(cp backend.Checkpoint, parts []backend.Part) (o *offer, err error) {
	o = &offer{epoch: uint8(cp.Epoch), bytes: string(rune(cp.Epoch))}
	for _, p := range parts {
		o.bytes += string(p.Changes) + "/"
	}
	if len(parts) < shardsMax || len(cp.Sources) != 1 {
		return o, fmt.Errorf("epoch %d is to be committed with %d parts and %d positions", cp.Epoch, len(parts), len(cp.Sources))
	}
	o.image.position = cp.Sources[0].Position[0]
	o.bytes += string(cp.Sources[0].Position)
	for i, p := range parts[:shardsMax] {
		if p.Shard != i {
			return o, fmt.Errorf("epoch %d is to be committed with a part of shard %d in place %d", cp.Epoch, p.Shard, i)
		}
		o.image.shards[i] = shardImage{messages(p.Changes[0]), messages(p.Changes[1])}
	}
	for _, p := range parts[shardsMax:] {
		for c, err := range p.All() {
			if err != nil {
				return o, err
			}
			epoch, index, err := checkpoint.ParseRecordKey(c.Key)
			if err != nil {
				return o, err
			}
			n := name{uint8(epoch), uint8(index) + 1}
			if c.Delete {
				o.deletes = append(o.deletes, n)
				continue
			}
			rec, err := checkpoint.ParseRecord(c.Value)
			if err != nil {
				return o, err
			}
			o.puts[rec.Value[0]] = n
		}
	}
	return o, nil
}
