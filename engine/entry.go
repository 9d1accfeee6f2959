// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/statefun"
)

// entry is the engine as doors see it.
type entry struct{ e *Engine }

var _ connector.Entry = entry{}

// Send implements connector.Entry.
func (n entry) Send(_ context.Context, to Address, m TypedValue, _ connector.Delivery) error {
	return n.send(to, m, FunctionType{}, "")
}

// Call implements connector.Entry.
func (n entry) Call(ctx context.Context, caller FunctionType, to Address, m TypedValue, _ connector.Delivery) (TypedValue, error) {
	number, id, answer := n.e.calls.begin()
	defer n.e.calls.end(number)
	if err := n.send(to, m, caller, id); err != nil {
		return TypedValue{}, err
	}
	return n.e.await(ctx, answer)
}

// IsDurable implements connector.Entry.
func (n entry) IsDurable() bool { return n.e.config.Backend != nil && n.e.config.Backend.Durable() }

func (n entry) send(to Address, m TypedValue, caller FunctionType, callerID string) error {
	w := n.e.wiring
	fn, in, err := w.accepts(to, m)
	if err != nil {
		return err
	}
	if err := n.e.admit(); err != nil {
		return err
	}
	if err := w.waits(to); err != nil {
		return err
	}
	b := pool.Get().(*envelope.Batch)
	hash := statefun.KeyHash(to.ID)
	writeValue(b, b.Append(fn, in, hash, to.ID), in, m)
	if callerID != "" {
		from, ok := w.directory.number(caller)
		if !ok {
			return fmt.Errorf("engine: call from %v: %w: a door that calls names its callers with CallerType", caller, connector.ErrUnknownFunction)
		}
		b.Envelopes[0].SetCaller(b.AppendCaller(from, []byte(callerID)))
	}
	bytes := b.Bytes() // The batch is the shard's from the push on.
	if err := n.e.count(bytes); err != nil {
		return err
	}
	if !n.e.push(hash, b) {
		n.e.gate.Add(-bytes)
		return fmt.Errorf("%w: a shard's inbox is full", ErrNoCredit)
	}
	return nil
}

// accepts checks a message from outside before anything is touched: a function that decodes its messages
// in this process gets none that it cannot decode.
func (w *wiring) accepts(to Address, m TypedValue) (fn envelope.Function, in envelope.Input, err error) {
	if len(to.ID) > statefun.IDBytesMax {
		return 0, 0, fmt.Errorf("%w: id of %d bytes, at most %d are allowed", connector.ErrTooLarge, len(to.ID), statefun.IDBytesMax)
	}
	if err := to.Validate(); err != nil {
		return 0, 0, fmt.Errorf("%w: %w", connector.ErrMalformed, err)
	}
	if err := w.fits(m.Value); err != nil {
		return 0, 0, err
	}
	fn, ok := w.directory.number(to.Type)
	if !ok && w.directory.full(to.Type) {
		return 0, 0, fmt.Errorf("%w: %d function types of the namespace are known that no module names, which is the most", connector.ErrNoCredit, addedMax)
	}
	if !ok || w.directory.at(fn).external {
		return 0, 0, fmt.Errorf("%w: %s", connector.ErrUnknownFunction, clip(to.Type.String()))
	}
	f := w.directory.at(fn)
	in, ok = f.byTypename[m.Typename]
	switch {
	case f.endpoint != nil:
		if err := f.refuses(m.Typename, to.ID); err != nil {
			return 0, 0, fmt.Errorf("%w: %w", connector.ErrMalformed, err)
		}
		return fn, envelope.Untyped, w.crowded(fn)
	case ok:
		if err := f.inputs[in].check(m.Value); err != nil {
			return 0, 0, fmt.Errorf("%w: %w", connector.ErrMalformed, err)
		}
		return fn, in, nil
	case f.any != nil:
		return fn, envelope.Untyped, nil
	}
	return 0, 0, fmt.Errorf("%w: %s by %s", connector.ErrUnknownMessage, clip(m.Typename), f.typ)
}

func (w *wiring) fits(value []byte) error {
	if most := w.links.limits.PayloadBytesMax; len(value) > most {
		return fmt.Errorf("%w: %d bytes, at most %d are allowed", connector.ErrTooLarge, len(value), most)
	}
	return nil
}

// Route implements connector.Entry. All messages that come of the event go in, or none.
func (n entry) Route(_ context.Context, id string, event connector.Event, _ connector.Delivery) error {
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
	collected := &collector{e: n.e, byShard: map[uint16]*envelope.Batch{}}
	if err := in.route(&Downstream{event: &event, links: n.e.links, to: collected}); err != nil {
		return refused(err)
	}
	if err := n.e.crowdedAny(collected.byShard); err != nil {
		return err
	}
	var bytes int64
	for to, b := range collected.byShard {
		if bytes += b.Bytes(); len(b.Envelopes) == 0 {
			delete(collected.byShard, to)
		}
	}
	if err := n.e.count(bytes); err != nil {
		return err
	}
	for _, b := range collected.byShard {
		// Admitted as a whole: what the first shard has taken, the others take too.
		if err := n.e.pushWaiting(context.Background(), b.Envelopes[0].Hash, b); err != nil {
			return err
		}
	}
	return nil
}

// route calls the routers. They are the user's code: a panic refuses the event and spares the process.
func (in *ingress) route(d *Downstream) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the router panicked: %v", r)
		}
	}()
	for _, r := range in.routers {
		if err := r(d); err != nil {
			return err
		}
	}
	return nil
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
	byShard map[uint16]*envelope.Batch
}

// Post implements poster.
func (c *collector) Post(fn envelope.Function, in envelope.Input, hash uint64, id string) (*envelope.Batch, *envelope.Envelope) {
	to := c.e.route[statefun.KeyGroupOf(hash, len(c.e.route))]
	b := c.byShard[to]
	if b == nil {
		b = pool.Get().(*envelope.Batch)
		c.byShard[to] = b
	}
	return b, b.Append(fn, in, hash, id)
}

// pool holds the batches of outsiders.
var pool = sync.Pool{New: func() any { return envelope.New(1) }}

func recycle(b *envelope.Batch) {
	b.Reset()
	pool.Put(b)
}

// admit takes credit, or refuses.
func (e *Engine) admit() error {
	if e.closing.Load() {
		return ErrClosing
	}
	if !e.gate.Open() {
		return fmt.Errorf("%w: %d bytes are queued, the high-water mark is %d", ErrNoCredit, e.gate.Queued(), e.gate.Max())
	}
	return nil
}

// credit waits until ingress has credit.
func (e *Engine) credit(ctx context.Context) error {
	if e.gate.Open() {
		return ctx.Err()
	}
	until, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(e.ctx, cancel)()
	if err := e.gate.Wait(until); err != nil && ctx.Err() == nil {
		return ErrClosing
	}
	return ctx.Err()
}

// count has bytes from outside count as queued, unless the engine is closing. It counts before it looks:
// either Close sees the bytes and waits until they have been run, or they are refused.
func (e *Engine) count(bytes int64) error {
	e.gate.Add(bytes)
	if e.closing.Load() {
		e.gate.Add(-bytes)
		return ErrClosing
	}
	return nil
}

// enter counts a batch and leaves it in a shard's inbox, when there is room.
func (e *Engine) enter(ctx context.Context, hash uint64, b *envelope.Batch) error {
	if err := e.count(b.Bytes()); err != nil {
		return err
	}
	return e.pushWaiting(ctx, hash, b)
}

// push leaves a batch, which has been counted, in a shard's inbox, or reports that it is full.
func (e *Engine) push(hash uint64, b *envelope.Batch) bool {
	l := e.loops[e.route[statefun.KeyGroupOf(hash, len(e.route))]]
	if !l.Inbox().TryPush(b) {
		return false
	}
	l.Wake()
	return true
}

// pushWaiting is push that waits for room. When it fails, the batch counts no more.
func (e *Engine) pushWaiting(ctx context.Context, hash uint64, b *envelope.Batch) error {
	bytes := b.Bytes() // The batch is the shard's from the push on.
	for pause := 50 * time.Microsecond; !e.push(hash, b); pause = min(2*pause, 10*time.Millisecond) {
		select {
		case <-time.After(pause):
			continue
		case <-ctx.Done():
		case <-e.closed:
		}
		e.gate.Add(-bytes)
		return cmp.Or(ctx.Err(), ErrClosing)
	}
	return nil
}

// Submit sends m from outside and returns when it is accepted. It waits for credit.
func (r Ref[M]) Submit(ctx context.Context, e *Engine, m M) error {
	return submit(ctx, e, r.in, r.id, m, "")
}

func submit[M any](ctx context.Context, e *Engine, in *input[M], id string, m M, callerID string) error {
	l := e.links.of(&in.inputDeclaration)
	if l == nil {
		return fmt.Errorf("engine: submit: %w", e.links.missing(&in.inputDeclaration))
	}
	if err := statefun.ValidateID(id); err != nil {
		return fmt.Errorf("engine: submit to %v: %w", in.fn.typ, err)
	}
	if e.closing.Load() {
		return fmt.Errorf("engine: submit to %v: %w", in.fn.typ, ErrClosing)
	}
	if l.text && !utf8.ValidString(id) {
		return fmt.Errorf("engine: submit: %w", e.directory.at(l.fn).refuses(in.typename, id))
	}
	if err := e.credit(ctx); err != nil {
		return fmt.Errorf("engine: submit to %v: %w", in.fn.typ, err)
	}
	if err := e.crowded(l.fn); err != nil {
		return fmt.Errorf("engine: submit: %w", err)
	}
	if err := e.waits(Address{Type: in.fn.typ, ID: id}); err != nil {
		return fmt.Errorf("engine: submit: %w", err)
	}
	b := pool.Get().(*envelope.Batch)
	hash := statefun.KeyHash(id)
	out := b.Append(l.fn, l.input, hash, id)
	if in.fixed && l.memory {
		in.writeFixed(b, out, m)
	} else if err := encode(b, out, l.input, in.typ, m, e.links.limits.PayloadBytesMax); err != nil {
		recycle(b)
		return fmt.Errorf("engine: submit to %v: %w", in.fn.typ, err)
	}
	if callerID != "" {
		from, _ := e.directory.number(callerType)
		out.SetCaller(b.AppendCaller(from, []byte(callerID)))
	}
	if err := e.enter(ctx, hash, b); err != nil {
		return fmt.Errorf("engine: submit to %v: %w", in.fn.typ, err)
	}
	return nil
}

// waits refuses what would only wait at a suspended address, once half of all credit is taken by what waits:
// an address that is sent to a lot must not use up the credit of all others.
func (w *wiring) waits(a Address) error {
	if _, suspended := w.reports.suspended.Load(a); !suspended {
		return nil
	}
	var waiting int64
	for _, l := range w.loops {
		waiting += l.Held()
	}
	if waiting < w.gate.Max()/2 {
		return nil
	}
	return fmt.Errorf("%w: %s, and %d bytes wait already: resume it, or skip its first message", connector.ErrSuspended, clip(a.String()), waiting)
}

// Resume has a suspended address go on: its first message is tried again. It does nothing at an address
// that is not suspended.
func (e *Engine) Resume(ctx context.Context, a Address) error { return e.resume(ctx, a, false) }

// Skip gives up the message that an address is suspended for, and has the address go on with the next. It
// does nothing at an address that is not suspended.
func (e *Engine) Skip(ctx context.Context, a Address) error { return e.resume(ctx, a, true) }

func (e *Engine) resume(ctx context.Context, a Address, skip bool) error {
	fn, ok := e.directory.known(a.Type) // Nothing is suspended at a type that nobody has sent to.
	if !ok {
		return fmt.Errorf("engine: resume %v: %w", a, ErrNoFunction)
	}
	if err := a.Validate(); err != nil {
		return fmt.Errorf("engine: resume: %w", err)
	}
	b := pool.Get().(*envelope.Batch)
	hash := statefun.KeyHash(a.ID)
	b.AppendResume(fn, hash, a.ID, skip)
	if err := e.enter(ctx, hash, b); err != nil {
		return fmt.Errorf("engine: resume %v: %w", a, err)
	}
	return nil
}
