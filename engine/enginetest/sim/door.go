// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/connector"
)

// enter has somebody outside come to a door: who has not been let in yet, or asks once more.
func (r *run) enter() {
	r.collect()
	switch {
	case r.over() || r.stopping:
	case one(r.schedule, 16):
		r.askAgain()
		r.look()
	default:
		r.letIn()
	}
}

// letIn has whoever is the first to wait come in, and reports whether he could.
func (r *run) letIn() bool {
	if len(r.clients.waiting) == 0 || r.over() {
		return false
	}
	err := r.bringIn(r.clients.waiting[0])
	if err != nil {
		if !refused(err) {
			r.violate(fmt.Errorf("door: %w", err))
		}
		return false
	}
	r.clients.waiting = r.clients.waiting[1:]
	return true
}

// refused reports whether somebody is to come again later.
func refused(err error) bool {
	return errors.Is(err, connector.ErrNoCredit) || errors.Is(err, connector.ErrSuspended)
}

// bringIn tries to bring an event in through a door.
func (r *run) bringIn(c *client) error {
	routed := c.root.from-len(r.sources) == doorRoute && r.Case.Config.routes()
	switch {
	case routed && c.root.keyed:
		return r.submitEvent(c)
	case !routed && (c.root.durable || c.root.keyed || c.calls()):
		return r.submit(c)
	}
	// The messages are in the model before they are in the engine, and are taken out again when refused.
	last, to, first := r.model.last, r.app.Entry, c.root.messages[0]
	var err error
	if routed {
		err = r.app.Entry.Route(context.Background(), "sim/in", r.event(c.root), connector.Delivery{})
	} else {
		m := r.outside(c.root, first)
		err = to.Send(context.Background(), first.to.address(), typed(first.form, m.serial), connector.Delivery{})
	}
	if refused(err) {
		for serial := last + 1; serial <= r.model.last; serial++ {
			r.model.withdraw(r.model.messages[serial])
		}
	}
	return err
}

// event is what an ingress's router makes the messages of.
func (r *run) event(of *root) connector.Event {
	value, err := engine.Flat[uint64]("sim/event").Append(nil, uint64(slices.Index(r.Case.Program.roots, of)))
	if err != nil {
		panic(err)
	}
	return connector.Event{Value: value}
}

var callers = engine.FunctionType{Namespace: "io.millrace.engine", Name: "caller"}
