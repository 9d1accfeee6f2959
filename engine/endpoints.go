// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/internal/driver"
	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/internal/shard"
	"github.com/millrace-io/millrace/engine/remote"
)

// endpoint is an endpoint as a module brings it.
type endpoint struct {
	module string
	remote.Endpoint
}

// Endpoint has functions run elsewhere. What they are sent and what they send is typed by name only. The
// endpoint of a namespace serves all of its function types that no module binds by name.
func (b *Binder) Endpoint(e remote.Endpoint) {
	switch err := e.Policy.Validate(); {
	case e.Invoker == nil:
		b.errorf("endpoint %s: the invoker is nil", e.Functions)
	case err != nil:
		b.errorf("endpoint %s: %w", e.Functions, err)
	default:
		e.Policy = e.Policy.WithDefaults()
		b.endpoints = append(b.endpoints, endpoint{b.module, e})
	}
}

// checkEndpoints finds what is wrong among endpoints that are right by themselves. Those for one function
// type have become functions, and are checked with these.
func (b *Binder) checkEndpoints() {
	for i, ep := range b.endpoints {
		same := func(other endpoint) bool { return other.Functions == ep.Functions }
		if j := slices.IndexFunc(b.endpoints[:i], same); j >= 0 && !ep.Functions.Exact() {
			b.errs = append(b.errs, fmt.Errorf("%s is served by an endpoint of module %s and by one of module %s", ep.Functions, b.endpoints[j].module, ep.module))
		}
		if d := ep.Policy.DeadLetter; d != "" && b.egresses[d] == nil {
			b.errs = append(b.errs, fmt.Errorf("endpoint %s: no sink is bound to the egress %s of its dead letters", ep.Functions, d))
		}
	}
}

// served reports whether an endpoint serves a function type.
func (b *Binder) served(t FunctionType) bool {
	return slices.ContainsFunc(b.endpoints, func(ep endpoint) bool { return ep.Functions.Matches(t) })
}

// invokers returns the invokers of all endpoints, each once.
func (w *wiring) invokers() (list []remote.Invoker) {
	for _, ep := range w.endpoints {
		if !slices.Contains(list, ep.Invoker) {
			list = append(list, ep.Invoker)
		}
	}
	return list
}

// openInvokers opens all invokers, or none.
func (w *wiring) openInvokers(ctx context.Context) error {
	list := w.invokers()
	for i, v := range list {
		if err := v.Open(ctx); err != nil {
			for _, opened := range list[:i+1] {
				err = errors.Join(err, opened.Close(ctx))
			}
			return fmt.Errorf("engine: endpoint: %w", err)
		}
	}
	return nil
}

// closeInvokers ends all requests. When it returns nil, nobody reads what shards have lent.
func (w *wiring) closeInvokers(ctx context.Context) (err error) {
	for _, v := range w.invokers() {
		err = errors.Join(err, v.Close(ctx))
	}
	return err
}

// shardEndpoints are the endpoints as one shard uses them.
type shardEndpoints map[*endpoint]*shard.Endpoint

func (w *wiring) shardEndpoints() (byEndpoint shardEndpoints, list []*shard.Endpoint, calls int) {
	byEndpoint = shardEndpoints{}
	for i := range w.endpoints {
		ep := &w.endpoints[i]
		// Together the shards have what the endpoint takes; each has one at least.
		credit := (ep.Policy.InFlightMax + w.config.Shards - 1) / w.config.Shards
		calls += credit
		byEndpoint[ep] = &shard.Endpoint{Policy: ep.Policy, Invoker: ep.Invoker, Credit: credit}
		list = append(list, byEndpoint[ep])
	}
	return byEndpoint, list, calls
}

// elsewhere is what a shard needs of a function type that an endpoint serves.
func (w *wiring) elsewhere(f *function, endpoints shardEndpoints) *shard.Function {
	fn := &shard.Function{Type: f.typ, Endpoint: endpoints[f.endpoint], Known: f.states.known.Load()}
	if d := f.endpoint.Policy.DeadLetter; d != "" {
		fn.DeadLetter = w.links.egresses[d]
	}
	return fn
}

// carrier carries a shard's call to the invoker and back. It is made once for each call, not for each use.
type carrier struct {
	w    *wiring
	loop *driver.Loop
	call *shard.Call
	done func(error)
	sent time.Time
}

// invoke returns the hook that sends a shard's requests.
func (w *wiring) invoke(loop func() *driver.Loop) func(*shard.Call) {
	return func(c *shard.Call) {
		carrier, ok := c.Carrier.(*carrier)
		if !ok {
			carrier = w.newCarrier(loop(), c)
		}
		if w.config.Observer != nil {
			carrier.sent = time.Now()
		}
		c.Begin(carrier.done)
		c.Endpoint.Invoker.Invoke(&c.Request)
	}
}

func (w *wiring) newCarrier(loop *driver.Loop, call *shard.Call) *carrier {
	c := &carrier{w: w, loop: loop, call: call}
	c.done = c.back
	call.Carrier = c
	return c
}

// back takes a reply, or the lack of one, to the shard. It is called by the invoker's goroutines.
func (c *carrier) back(err error) {
	w, call := c.w, c.call
	if err == nil && call.Reply.Incomplete {
		if call.Known, err = w.directory.at(call.Function()).states.learn(call.Reply.Missing); err != nil {
			err = &remote.Error{Reason: remote.Broken, Endpoint: call.Target.String(), Err: err}
		}
	}
	if w.config.Observer != nil {
		w.config.Observer.Invoked(call.Target, time.Since(c.sent), err)
	}
	call.Err = err
	c.loop.Complete(call)
}

// crowdedAny is crowded for all that came of one event.
func (w *wiring) crowdedAny(batches []*envelope.Batch) error {
	for _, b := range batches {
		for i := range b.Envelopes {
			if err := w.crowded(b.Envelopes[i].Function); err != nil {
				return err
			}
		}
	}
	return nil
}

// crowded refuses what would only wait at a function that runs elsewhere. What waits there may take as much
// of the credit as is left: one that hangs takes half, two a third each, and there is always some for the
// others.
func (w *wiring) crowded(fn envelope.Function) error {
	f := w.directory.at(fn)
	if f.endpoint == nil {
		return nil
	}
	var waiting int64
	for _, l := range w.loops {
		waiting += l.FunctionCounts(int(fn)).BacklogBytes
	}
	if left := w.gate.Max() - w.gate.Queued(); waiting < max(left, 1) {
		return nil
	}
	return fmt.Errorf("%w: %d bytes wait for %s, which does not keep up", connector.ErrNoCredit, waiting, f.typ)
}
