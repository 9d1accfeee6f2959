// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"unicode/utf8"

	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/internal/driver"
	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/statefun"
)

// Ingress is where events of type T come in. It is a name: connect sources to it with [Connect], and say
// where its events go with [Route], [RouteKey] or [RouteFunc].
type Ingress[T any] struct {
	id  string
	typ Type[T]
}

// NewIngress names an ingress, "<namespace>/<name>". A malformed name panics.
func NewIngress[T any](id string, t Type[T]) Ingress[T] {
	mustName("NewIngress", id)
	return Ingress[T]{id, t}
}

// Egress is where records of type T go out. It is a name: bind a sink to it with [Deliver].
type Egress[T any] struct {
	id  string
	typ Type[T]
}

// NewEgress names an egress, "<namespace>/<name>". A malformed name panics.
func NewEgress[T any](id string, t Type[T]) Egress[T] {
	mustName("NewEgress", id)
	return Egress[T]{id, t}
}

func mustName(what, id string) {
	if err := statefun.ValidateTypename(id); err != nil {
		panic("engine: " + what + ": " + err.Error())
	}
}

// Send emits a record. It leaves when the epoch is committed in which the invocation takes effect.
func (g Egress[T]) Send(ctx *Context, v T) {
	number, ok := ctx.links.egresses[g.id]
	if !ok {
		ctx.inv.Fail(fmt.Errorf("%s: %w", g.id, ErrNoEgress))
		return
	}
	b, e := ctx.inv.PostEgress(number)
	if err := encode(b, e, envelope.Untyped, g.typ, v, ctx.links.limits.PayloadBytesMax); err != nil {
		ctx.inv.Fail(err)
	}
}

// ingress is what has been bound to an Ingress.
type ingress struct {
	id      string
	types   map[string]bool // Typenames that routers expect; one, unless modules disagree.
	routers []*router
}

// router sends events on their way.
type router struct {
	// one sends d.event.
	one func(d *Downstream) error
	// all returns how all events of a source are sent, when that can be done faster than one at a time; else nil.
	all func(d *Downstream, p *driver.Pump) driver.RouteFunc
}

type source struct {
	ingress string
	source  connector.Source
}

type egress struct {
	id   string
	sink connector.Sink
}

// Connect has the engine read a source when it runs. An ingress may have several.
func Connect[T any](b *Binder, in Ingress[T], src connector.Source) {
	b.ingress(in.id)
	if src == nil {
		b.errorf("ingress %s: the source is nil", in.id)
		return
	}
	b.sources = append(b.sources, source{in.id, src})
}

// Deliver has a sink deliver the records of an egress. An egress has one.
func Deliver[T any](b *Binder, out Egress[T], sink connector.Sink) { b.deliver(out.id, sink) }

func (b *Binder) deliver(id string, sink connector.Sink) {
	if _, twice := b.egresses[id]; twice {
		b.errorf("egress %s: a second sink", id)
	}
	if sink == nil {
		b.errorf("egress %s: the sink is nil", id)
	}
	b.egresses[id] = &egress{id, sink}
}

func (b *Binder) ingress(id string) *ingress {
	in := b.ingresses[id]
	if in == nil {
		in = &ingress{id: id, types: map[string]bool{}}
		b.ingresses[id] = in
	}
	return in
}

// Route sends each event of an ingress on to one instance, whose id is taken from the event. The message
// is the event.
func Route[T any](b *Binder, in Ingress[T], to Input[T], id func(T) string) {
	b.Require(anyFunction{to.in.fn})
	addRouter(b, in, func(d *Downstream, v T) error { return Forward(d, to.To(id(v)), v) })
}

// RouteKey sends each event of an ingress on to the instance whose id is the event's key.
func RouteKey[T any](b *Binder, in Ingress[T], to Input[T]) {
	b.Require(anyFunction{to.in.fn})
	r := addRouter(b, in, func(d *Downstream, v T) error {
		if len(d.event.Key) == 0 {
			return fmt.Errorf("ingress %s: event without a key, which is to be its id: %w", in.id, connector.ErrMalformed)
		}
		return Forward(d, to.To(alias(d.event.Key)), v)
	})
	r.all = func(d *Downstream, p *driver.Pump) driver.RouteFunc { return routeKeys(in, to.in, r.one, d, p) }
}

// routeKeys is RouteKey for events whose messages go as they lie in memory: the same, with nothing but a loop
// between the bytes and the envelope. It is half of what an event costs on its way in. What is out of the
// ordinary goes the usual way, which knows what to say of it.
//
// Were it inlined, the compiler would inline nothing in the loop.
//
//go:noinline
func routeKeys[T any](in Ingress[T], to *input[T], one func(*Downstream) error, d *Downstream, p *driver.Pump) driver.RouteFunc {
	l := d.links.of(&to.inputDeclaration)
	if l == nil || l.text || !l.memory || !to.fixed {
		return nil
	}
	return func(events *connector.Events, i *int) error {
		for ; *i < events.Len(); *i++ {
			key, value := events.Bytes(*i)
			v, bad := in.typ.Decode(value)
			if bad != nil || len(key) == 0 || len(key) > statefun.IDBytesMax || events.IsNamed(*i) {
				events.At(*i, d.event)
				if err := one(d); err != nil {
					return err
				}
				continue
			}
			b, e := p.Post(l.fn, l.input, statefun.KeyHash(alias(key)), alias(key))
			to.writeFixed(b, e, v)
		}
		return nil
	}
}

// RouteFunc sends the events of an ingress anywhere: f calls [Forward] any number of times. An error stops
// the source, at the event, and is reported by Run. f may be called from several goroutines.
func RouteFunc[T any](b *Binder, in Ingress[T], f func(d *Downstream, v T) error) {
	addRouter(b, in, f)
}

func addRouter[T any](b *Binder, in Ingress[T], f func(*Downstream, T) error) *router {
	bound := b.ingress(in.id)
	bound.types[in.typ.Typename()] = true
	r := &router{one: func(d *Downstream) error {
		if e := d.event; e.Typename != "" && e.Typename != in.typ.Typename() {
			return fmt.Errorf("ingress %s: %w: it takes %s, not %s", in.id, connector.ErrUnknownMessage, in.typ.Typename(), e.Typename)
		}
		v, err := in.typ.Decode(d.event.Value)
		if err != nil {
			return fmt.Errorf("ingress %s: %w: %w", in.id, connector.ErrMalformed, err)
		}
		return f(d, v)
	}}
	bound.routers = append(bound.routers, r)
	return r
}

type anyFunction struct{ d *declaration }

func (f anyFunction) declared() *declaration { return f.d }

// Downstream takes what a router forwards. It is valid until the router returns.
type Downstream struct {
	event *connector.Event
	links *links
	to    poster
}

// poster appends envelopes on behalf of somebody outside.
type poster interface {
	Post(fn envelope.Function, input envelope.Input, hash uint64, id string) (*envelope.Batch, *envelope.Envelope)
}

// Forward sends a message on from a router. All that a router forwards of one event goes in, or none.
func Forward[M any](d *Downstream, to Ref[M], m M) error {
	in := to.in
	l := d.links.of(&in.inputDeclaration)
	switch {
	case l == nil:
		return fmt.Errorf("forward: %w", d.links.missing(&in.inputDeclaration))
	case to.id == "" || len(to.id) > statefun.IDBytesMax:
		return fmt.Errorf("forward to %s: %w", in.fn.typ, statefun.ValidateID(to.id))
	case l.text && !utf8.ValidString(to.id):
		return fmt.Errorf("forward: %w", d.links.directory.at(l.fn).refuses(in.typename, to.id))
	}
	b, e := d.to.Post(l.fn, l.input, statefun.KeyHash(to.id), to.id)
	if in.fixed && l.memory {
		in.writeFixed(b, e, m)
		return nil
	}
	err := encode(b, e, l.input, in.typ, m, d.links.limits.PayloadBytesMax)
	if err == nil && len(b.Arena) > forwardBytesMax {
		err = fmt.Errorf("more than %d bytes forwarded of one event: %w", forwardBytesMax, ErrLimit)
	}
	if err != nil {
		b.Drop() // The router may go on.
	}
	return err
}

// forwardBytesMax bounds what comes of one event: it goes in as a whole.
const forwardBytesMax = 1 << 30
