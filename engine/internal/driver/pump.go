// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync/atomic"

	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/internal/mailbox"
	"github.com/millrace-io/millrace/engine/internal/planted"
	"github.com/millrace-io/millrace/engine/statefun"
)

// Pump carries the events of one source to the shards: it takes credit, reads, routes, stamps, and at
// each announcement cuts, noting where the source stands. All fields are owned by its goroutine unless
// they say otherwise.
//
//	no stored position: open ──cut, commit of where the source begins──► read (P39)
//	a stored position:  open at it ──────────────────────────────────► read
type Pump struct {
	name     string
	source   connector.Source
	route    RouteFunc
	events   *connector.Events
	routed   int // How many of events.
	gate     *mailbox.Gate
	announce *Announcement
	cut      func(Position)

	loops    []*Loop
	out      []*mailbox.Ring
	open     []*envelope.Batch // By shard; nil when there is none.
	full     []addressed       // In the order in which they filled.
	position []byte            // Behind the last poll whose events have all been handed over.
	stores   bool              // There is a store, from which a restart begins.
	begun    *beginning        // nil: where the source begins is in the store, or need not be.
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

// RouteFunc tells where events go, by calling Post for each message that comes of them. It counts them in i, which
// stays at the event that cannot be routed.
type RouteFunc func(events *connector.Events, i *int) error

// Position is where a source stood at the end of an epoch.
type Position struct {
	Epoch    statefun.Epoch
	Source   string
	Position []byte           // nil: the source has never been opened, and there is nothing to say of it.
	Ticket   *envelope.Ticket // Of the pump, which waits for the commit; nil: it does not.
}

// beginning is the position from which a new source begins, on its way into the store. Done is closed when it
// is there.
type beginning struct {
	ticket envelope.Ticket
	sent   bool
	done   chan struct{}
}

// PumpConfig is what a pump is made of.
type PumpConfig struct {
	Name     string
	Source   connector.Source
	Position []byte // Where the source begins, by the store; nil: where it is configured to.
	Stores   bool   // There is a store: what it does not know yet is committed before the first event is read.
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
		position: slices.Clone(c.Position), stores: c.Stores,
		events: connector.NewEvents(c.PollMax), batchMax: c.BatchMax, groups: c.Groups,
		open: make([]*envelope.Batch, c.Shards), epoch: c.Announce.Epoch(),
	}
}

// Route sets where events go. It is called once, before the first turn.
func (p *Pump) Route(route RouteFunc) { p.route = route }

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
	p.openWhileCutting(ctx)
	p.turnUntil(ctx)
	if err := p.source.Close(); err != nil {
		return fmt.Errorf("source %s: close: %w", p.name, err)
	}
	return nil
}

// openWhileCutting opens the source, which may take as long as it likes: a broker that does not answer must not hold
// up the epochs of all others. Until it is open, the source stands where it stood.
func (p *Pump) openWhileCutting(ctx context.Context) {
	opened := make(chan error, 1)
	at := slices.Clone(p.position)
	go func() { opened <- p.openSource(ctx, at) }()
	for ctx.Err() == nil {
		wait := p.announce.Context(p.epoch)
		select {
		case err := <-opened:
			p.opened(ctx, err)
			return
		case <-wait.Done():
			p.cutIfAnnounced()
		}
	}
	p.opened(ctx, <-opened) // It is closed next.
}

// Open opens the source. It is called once, before the first turn.
func (p *Pump) Open(ctx context.Context) { p.opened(ctx, p.openSource(ctx, slices.Clone(p.position))) }

// openSource calls the source. That is the user's code: its panic stops its ingress and not the process.
func (p *Pump) openSource(ctx context.Context, at []byte) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the source panicked: %v", r)
		}
	}()
	return p.source.Open(ctx, at)
}

func (p *Pump) opened(ctx context.Context, err error) {
	if err != nil && errors.Is(err, ctx.Err()) {
		return // The engine closes; the source has not failed.
	}
	if err != nil {
		p.fail(fmt.Errorf("open: %w", err))
		return
	}
	if p.position == nil && p.stores {
		p.begin()
	}
}

// begin has the position that the source has chosen committed before anything is read: chosen again after a
// crash, it could be another, and what lies between would be skipped (P39).
func (p *Pump) begin() {
	p.position = append([]byte{}, p.source.Position()...)
	done := make(chan struct{})
	p.begun = &beginning{done: done, ticket: envelope.Ticket{Durable: true, Done: func(*envelope.Ticket) { close(done) }}}
	p.announce.Want(p.epoch)
}

// mayRead reports whether where the source begins is in the store.
func (p *Pump) mayRead() bool {
	if p.begun == nil {
		return true
	}
	select {
	case <-p.begun.done:
		p.begun = nil
		return true
	default:
		return false
	}
}

func (p *Pump) turnUntil(ctx context.Context) {
	for turns := 1; ctx.Err() == nil; turns++ {
		if turns%yieldEvery == 0 {
			runtime.Gosched()
		}
		wait := p.announce.Context(p.epoch)
		switch {
		case p.Quiet():
			<-wait.Done()
		case !p.mayRead():
			select {
			case <-p.begun.done:
			case <-wait.Done():
			}
		default:
			_ = p.gate.Wait(wait) // Turn looks for itself: an announcement ends the wait as well.
		}
		p.Turn(wait)
	}
}

// Turn does one round: cut if an epoch was announced, and, if there is credit, poll once and hand over.
// Only the source may wait, until ctx is done.
func (p *Pump) Turn(ctx context.Context) {
	p.cutIfAnnounced()
	if p.Quiet() || ctx.Err() != nil || !p.mayRead() || !p.gate.Open() { // P4: credit first, then the record.
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
	if bad := p.routeAll(); bad != nil {
		// P8: a record is one unit. Nothing of this poll leaves, and the position stays before it.
		p.discard()
		p.fail(bad)
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

func (p *Pump) cutIfAnnounced() {
	if epoch := p.announce.Epoch(); epoch > p.epoch && (!planted.QuietPumpDoesNotCut || !p.Quiet()) {
		p.cutTo(epoch)
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

// routeAll routes what has been polled. A router is the user's code: its panic stops its ingress and not the
// process.
func (p *Pump) routeAll() (err error) {
	p.routed = 0
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the router panicked: %v", r)
		}
		if err != nil {
			err = fmt.Errorf("event %d of this run: %w", p.Events()+int64(p.routed)+1, err)
		}
	}()
	return p.route(p.events, &p.routed)
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
		b = p.extend(int(to))
	}
	return b, b.Append(fn, input, hash, id)
}

// extend opens a further batch for a shard.
func (p *Pump) extend(to int) *envelope.Batch {
	if b := p.open[to]; b != nil {
		p.full = append(p.full, addressed{to, b})
	}
	b := p.take(to)
	b.Epoch = p.epoch
	p.open[to] = b
	return b
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
			if planted.PumpCutsWithinRecord {
				return
			}
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
		return b
	}
	return envelope.New(p.batchMax)
}

// cutTo ends the pump's epoch at this record boundary: everything before it has been handed over, a
// marker goes behind, and the source's position belongs to the epoch that ends.
func (p *Pump) cutTo(epoch statefun.Epoch) {
	p.epoch = epoch
	if planted.PumpCutsWithinRecord {
		for _, b := range p.open {
			if b != nil {
				b.Epoch = epoch
			}
		}
	}
	for to := range p.out {
		marker := p.take(to)
		marker.Epoch = epoch
		p.out[to].Push(marker)
		p.loops[to].Wake()
	}
	at := Position{Epoch: epoch - 1, Source: p.name, Position: slices.Clone(p.position)}
	switch {
	case planted.PositionNotedLate:
		at.Position = p.position
	case planted.PositionPlusOne && len(at.Position) > 0:
		at.Position[0]++
	}
	if p.begun != nil && !p.begun.sent {
		at.Ticket, p.begun.sent = &p.begun.ticket, true
	}
	p.cut(at)
}
