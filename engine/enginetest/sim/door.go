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

// enter tries to bring the next event in through a door.
func (r *run) enter() {
	if len(r.doors) == 0 {
		return
	}
	next := r.doors[0]
	// The message is in the model before it is in the engine, and is taken out again when refused.
	last, to, first := r.model.last, r.app.Entry, next.messages[0]
	var err error
	switch via := next.from - len(r.sources); {
	case via == doorRoute && r.Case.Config.routes():
		err = r.enterRouted(next)
	case via == doorCall:
		m := r.outside(next, first)
		m.asked = true
		nobodyWaits, cancel := context.WithCancel(context.Background())
		cancel()
		_, err = to.Call(nobodyWaits, callers, first.to.address(), typed(first.form, m.serial), connector.Delivery{})
		if errors.Is(err, context.Canceled) {
			err = nil // It is in, and the answer will find nobody.
		}
	default:
		err = to.Send(context.Background(), first.to.address(), typed(first.form, r.outside(next, first).serial), connector.Delivery{})
	}
	switch {
	case err == nil:
		r.doors = r.doors[1:]
	case errors.Is(err, connector.ErrNoCredit), errors.Is(err, connector.ErrSuspended):
		for serial := last + 1; serial <= r.model.last; serial++ {
			r.model.finish(r.model.messages[serial])
			delete(r.model.messages, serial)
		}
	default:
		r.violate(fmt.Errorf("door: %w", err))
	}
}

// enterRouted hands an event to an ingress's router, which makes its messages.
func (r *run) enterRouted(next *root) error {
	number := uint64(slices.Index(r.Case.Program.roots, next))
	event, err := engine.Flat[uint64]("sim/event").Append(nil, number)
	if err != nil {
		return err
	}
	return r.app.Entry.Route(context.Background(), "sim/in", connector.Event{Value: event}, connector.Delivery{})
}

var callers = engine.FunctionType{Namespace: "io.millrace.engine", Name: "caller"}
