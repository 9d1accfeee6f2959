// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/internal/driver"
	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/statefun"
)

// Route implements connector.Entry. All messages that come of the event go in, or none. Under a key each is judged
// at its own target; what they are compared by is the event.
func (n entry) Route(ctx context.Context, id string, event connector.Event, d connector.Delivery) error {
	in, ok := n.e.ingresses[id]
	if !ok || len(in.routers) == 0 {
		return fmt.Errorf("%w: %s", connector.ErrUnknownIngress, clip(id))
	}
	if err := n.e.fits(event.Value); err != nil {
		return err
	}
	if err := n.e.admit(); err != nil {
		return err
	}
	r, err := n.e.receipt(d, event.Typename, event.Value)
	if err != nil {
		return err
	}
	batches, err := n.routed(in, &event, r.keyed())
	if err != nil {
		r.free()
		return err
	}
	r.attach(batches...)
	if err := n.push(batches); err != nil {
		return err
	}
	return n.e.receive(ctx, r)
}

// push leaves what has been counted with its shards. It has been admitted as a whole: what the first shard has
// taken, the others take too.
func (n entry) push(batches []*envelope.Batch) error {
	defer n.e.entered()
	for _, b := range batches {
		if err := n.e.pushWaiting(context.Background(), b.Envelopes[0].Hash, b); err != nil {
			return err
		}
	}
	return nil
}

// routed returns the messages that come of an event, which count as queued then; apart: each in a batch of its own.
func (n entry) routed(in *ingress, event *connector.Event, apart bool) ([]*envelope.Batch, error) {
	collected := &collector{e: n.e, apart: apart}
	if err := in.route(&Downstream{event: event, links: n.e.links, to: collected}); err != nil {
		return nil, refused(err)
	}
	batches := slices.DeleteFunc(collected.batches, func(b *envelope.Batch) bool { return len(b.Envelopes) == 0 })
	if err := n.e.crowdedAny(batches); err != nil {
		return nil, err
	}
	var bytes int64
	for _, b := range batches {
		bytes += b.Bytes()
	}
	return batches, n.e.count(bytes)
}

// route calls the routers. They are the user's code: a panic refuses the event and spares the process.
func (in *ingress) route(d *Downstream) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the router panicked: %v", r)
		}
	}()
	return in.routeOne(d)
}

// routeOne calls the routers with d's event.
func (in *ingress) routeOne(d *Downstream) error {
	for i := range in.routers {
		if err := in.routers[i].one(d); err != nil {
			return err
		}
	}
	return nil
}

// routeAll returns how a source's events are routed, many at a time. The downstream is the source's.
func (in *ingress) routeAll(d *Downstream, p *driver.Pump) driver.RouteFunc {
	if len(in.routers) == 1 && in.routers[0].all != nil {
		if route := in.routers[0].all(d, p); route != nil {
			return route
		}
	}
	return func(events *connector.Events, i *int) error {
		for ; *i < events.Len(); *i++ {
			events.At(*i, d.event)
			if err := in.routeOne(d); err != nil {
				return err
			}
		}
		return nil
	}
}

// refused is a router's error as a door may see it: what a router does not take is no event for it.
func refused(err error) error {
	switch {
	case errors.Is(err, connector.ErrMalformed), errors.Is(err, connector.ErrUnknownMessage):
		return err
	case errors.Is(err, ErrLimit):
		return fmt.Errorf("%w: %w", connector.ErrTooLarge, err)
	}
	return fmt.Errorf("%w: %w", connector.ErrMalformed, err)
}

// collector gathers what a router forwards.
type collector struct {
	e       *Engine
	apart   bool
	batches []*envelope.Batch
	byShard map[uint16]*envelope.Batch
}

// Post implements poster.
func (c *collector) Post(fn envelope.Function, in envelope.Input, hash uint64, id string) (*envelope.Batch, *envelope.Envelope) {
	to := c.e.route[statefun.KeyGroupOf(hash, len(c.e.route))]
	b := c.byShard[to]
	if b == nil {
		b = pool.Get().(*envelope.Batch)
		c.batches = append(c.batches, b)
		if !c.apart {
			if c.byShard == nil {
				c.byShard = map[uint16]*envelope.Batch{}
			}
			c.byShard[to] = b
		}
	}
	return b, b.Append(fn, in, hash, id)
}
