// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"

	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/internal/bridge"
	"github.com/millrace-io/millrace/engine/internal/clock"
	"github.com/millrace-io/millrace/engine/internal/envelope"
)

func init() {
	bridge.Assemble = func(ctx context.Context, config any, clk *clock.Virtual, modules any, failed func(error)) (*bridge.Application, error) {
		w, err := assemble(ctx, ctx, config.(Config), func(notBefore clock.Instant) clock.Clock {
			clk.Advance(notBefore - clk.Now())
			return clk
		}, modules.([]Module))
		if err != nil {
			return nil, err
		}
		e := newEngine(w, ctx, nil)
		w.failed, w.loaders = failed, 1
		if err := w.load(ctx); err != nil {
			w.memory.Free()
			return nil, err
		}
		return &bridge.Application{
			Loops: w.loops, Pumps: w.pumps, Drains: w.drains, Epochs: w.epochs, Gate: w.gate,
			Entry: entry{e}, Send: entry{e}.leave, Ask: entry{e}.ask, Route: entry{e}.forward, Outflow: w.outflow, Memory: w.memory, Moving: w.moving, Epoch: w.announce.Epoch, Engine: e,
		}, nil
	}
}

// leave is Send for somebody who does not wait: he gets a ticket like t when the message has been judged.
func (n entry) leave(to Address, m TypedValue, t envelope.Ticket) error {
	return n.send(to, m, FunctionType{}, "", &receipt{promise: t})
}

// ask is Call for somebody who does not wait: the answer comes through the channel, and if it has a key, he gets a
// ticket like t when the message has been judged.
func (n entry) ask(to Address, m TypedValue, durable bool, t envelope.Ticket) (<-chan TypedValue, error) {
	p := n.e.calls.begin(durable && n.e.config.EpochInterval != EpochsOff)
	var r *receipt
	if len(t.Key) > 0 {
		r = &receipt{promise: t}
		p.keyed(n.e.groupOf(to.ID))
	}
	err := n.send(to, m, callerType, p.id, r)
	if err != nil {
		n.e.calls.end(p)
	}
	return p.answer, err
}

// forward is Route under a key, for somebody who does not wait: he gets a ticket like t for each of the messages, by
// its place among them.
func (n entry) forward(id string, event connector.Event, t envelope.Ticket, told func(int, *envelope.Ticket)) error {
	if err := n.e.admit(); err != nil {
		return err
	}
	batches, err := n.routed(n.e.ingresses[id], &event, true)
	if err != nil {
		return err
	}
	r := &receipt{promise: t}
	r.attach(batches...)
	for i := range r.tickets {
		r.tickets[i].Done = func(t *envelope.Ticket) { told(i, t) }
	}
	return n.push(batches)
}
