// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/internal/mailbox"
	"github.com/millrace-io/millrace/engine/statefun"
)

// Pump carries the events of one source to the shards: it takes credit, reads, routes, stamps, and at
// each announcement cuts, noting where the source stands. All fields are owned by its goroutine unless
// they say otherwise.
type Pump struct {
	name     string
	source   connector.Source
	route    RouteFunc
	events   *connector.Events
	event    connector.Event // The one that is being routed.
	gate     *mailbox.Gate
	announce *Announcement
	cut      func(Position)

	loops    []*Loop
	out      []*mailbox.Ring
	open     []*envelope.Batch // By shard; nil when there is none.
	full     []addressed       // In the order in which they filled.
	position []byte            // Behind the last poll whose events have all been handed over.
	batchMax int
	groups   []uint16 // Key group to shard.
	epoch    statefun.Epoch
	quiet    atomic.Bool // Nothing more is read: the source ended or failed, or the engine closes.
	handing  atomic.Bool // Events are being handed over.
	handed   atomic.Int64
	failed   func(error)
}

// addressed is a batch and the shard that it is for.
type addressed struct {
	to    int
	batch *envelope.Batch
}

// RouteFunc tells where the pump's event goes, by calling Post for each message that comes of it.
type RouteFunc func() error

// Position is where a source stood at the end of an epoch.
type Position struct {
	Epoch    statefun.Epoch
	Source   string
	Position []byte
}

// PumpConfig is what a pump is made of.
type PumpConfig struct {
	Name     string
	Source   connector.Source
	Gate     *mailbox.Gate
	Announce *Announcement
	Cut      func(Position) // Must not wait.
	Failed   func(error)    // The source or its router failed; nothing more is read.
	BatchMax int
	PollMax  int // Events in one poll.
	Groups   []uint16
	Shards   int
}

// NewPump makes a pump that is not connected yet.
func NewPump(c PumpConfig) *Pump {
	return &Pump{
		name: c.Name, source: c.Source, gate: c.Gate, announce: c.Announce, cut: c.Cut, failed: c.Failed,
		events: connector.NewEvents(c.PollMax), batchMax: c.BatchMax, groups: c.Groups,
		open: make([]*envelope.Batch, c.Shards), epoch: c.Announce.Epoch(),
	}
}

// Route sets where events go. It is called once, before the first turn; the event is always the same
// place, filled anew.
func (p *Pump) Route(route func(e *connector.Event) RouteFunc) { p.route = route(&p.event) }

// Quiet reports whether nothing more comes from the source. Anyone may call it.
func (p *Pump) Quiet() bool { return p.quiet.Load() && !p.handing.Load() }

// Hush has the pump hand over nothing more. It goes on to cut: it is a sender until the engine stops (P6).
// What a poll that is under way returns is discarded: the position stays before it. Anyone may call it.
func (p *Pump) Hush() { p.quiet.Store(true) }

// Events returns how many events have been handed over. Anyone may call it.
func (p *Pump) Events() int64 { return p.handed.Load() }

// Run opens the source and pumps until ctx is done.
func (p *Pump) Run(ctx context.Context) error {
	if p.Quiet() {
		p.turnUntil(ctx)
		return nil
	}
	if err := p.source.Open(ctx, nil); err != nil {
		p.fail(fmt.Errorf("open: %w", err))
	}
	p.turnUntil(ctx)
	if err := p.source.Close(); err != nil {
		return fmt.Errorf("source %s: close: %w", p.name, err)
	}
	return nil
}

func (p *Pump) turnUntil(ctx context.Context) {
	for ctx.Err() == nil {
		wait := p.announce.Context(ctx, p.epoch)
		if p.Quiet() {
			<-wait.Done()
		} else {
			_ = p.gate.Wait(wait) // Turn looks for itself: an announcement ends the wait as well.
		}
		p.Turn(wait)
	}
}

// Turn does one round: cut if an epoch was announced, and, if there is credit, poll once and hand over.
// Only the source may wait, until ctx is done.
func (p *Pump) Turn(ctx context.Context) {
	if epoch := p.announce.Epoch(); epoch > p.epoch {
		p.cutTo(epoch)
	}
	if p.Quiet() || ctx.Err() != nil || !p.gate.Open() { // P4: credit first, then the record.
		return
	}
	p.events.Reset()
	err := p.poll(ctx)
	// Marked, then looked: whoever hushes the pump and then finds it quiet knows that nothing follows.
	p.handing.Store(true)
	defer p.handing.Store(false)
	if p.quiet.Load() {
		return
	}
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = nil // Interrupted, for the cut.
	}
	if i, bad := p.routeAll(); bad != nil {
		// P8: a record is one unit. Nothing of this poll leaves, and the position stays before it.
		p.discard()
		p.fail(fmt.Errorf("event %d of this run: %w", p.Events()+int64(i)+1, bad))
		return
	}
	p.flush()
	p.handed.Add(int64(p.events.Len()))
	p.position = append(p.position[:0], p.source.Position()...)
	switch {
	case errors.Is(err, io.EOF):
		p.quiet.Store(true)
	case err != nil:
		p.fail(err)
	}
}

// poll asks the source. That is the user's code: its panic stops its ingress and not the process.
func (p *Pump) poll(ctx context.Context) (err error) {
	defer func() {
		if r := recover(); r != nil {
			p.events.Reset()
			err = fmt.Errorf("the source panicked: %v", r)
		}
	}()
	return p.source.Poll(ctx, p.events)
}

// routeAll routes what has been polled, and returns which event could not be. A router is the user's code:
// its panic stops its ingress and not the process.
func (p *Pump) routeAll() (i int, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the router panicked: %v", r)
		}
	}()
	for ; i < p.events.Len(); i++ {
		p.events.At(i, &p.event)
		if err = p.route(); err != nil {
			return i, err
		}
	}
	return i, nil
}

// fail stops the ingress: nothing more is read, and the engine says so.
func (p *Pump) fail(err error) {
	p.failed(fmt.Errorf("source %s: %w", p.name, err)) // First: a quiet source may end Run.
	p.quiet.Store(true)
}

// Post appends an envelope for an address; the router writes the payload into it, at once.
func (p *Pump) Post(fn envelope.Function, input envelope.Input, hash uint64, id string) (*envelope.Batch, *envelope.Envelope) {
	to := p.groups[statefun.KeyGroupOf(hash, len(p.groups))]
	b := p.open[to]
	if b == nil || b.Full(p.batchMax) {
		if b != nil {
			p.full = append(p.full, addressed{int(to), b})
		}
		b = p.take(int(to))
		b.Epoch = p.epoch
		p.open[to] = b
	}
	return b, b.Append(fn, input, hash, id)
}

func (p *Pump) flush() {
	for _, f := range p.full {
		if len(f.batch.Envelopes) > 0 { // An empty batch would be a marker.
			p.push(f.to, f.batch)
		}
	}
	p.full = p.full[:0]
	for to, b := range p.open {
		if b != nil && len(b.Envelopes) > 0 {
			p.push(to, b)
			p.open[to] = nil
		}
	}
}

// discard forgets what has not been handed over. It happens once, when the pump fails.
func (p *Pump) discard() {
	p.full = p.full[:0]
	clear(p.open)
}

func (p *Pump) push(to int, b *envelope.Batch) {
	p.gate.Add(b.Bytes())
	p.out[to].Push(b)
	p.loops[to].Wake()
}

func (p *Pump) take(to int) *envelope.Batch {
	if b := p.out[to].Recycled(); b != nil {
		b.Reset()
		return b
	}
	return envelope.New(p.batchMax)
}

// cutTo ends the pump's epoch at this record boundary: everything before it has been handed over, a
// marker goes behind, and the source's position belongs to the epoch that ends.
func (p *Pump) cutTo(epoch statefun.Epoch) {
	p.epoch = epoch
	for to := range p.out {
		marker := p.take(to)
		marker.Epoch = epoch
		p.out[to].Push(marker)
		p.loops[to].Wake()
	}
	p.cut(Position{Epoch: epoch - 1, Source: p.name, Position: append([]byte(nil), p.position...)})
}
