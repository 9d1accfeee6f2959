// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/internal/driver"
	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/statefun"
)

// entry is the engine as doors see it.
type entry struct{ e *Engine }

var _ connector.Entry = entry{}

// Send implements connector.Entry.
func (n entry) Send(ctx context.Context, to Address, m TypedValue, d connector.Delivery) error {
	r, err := n.e.receipt(d, m.Typename, m.Value)
	if err != nil {
		return err
	}
	if err := n.send(to, m, FunctionType{}, "", r); err != nil {
		r.free()
		return err
	}
	return n.e.receive(ctx, r)
}

// Call implements connector.Entry. An answer that is durable has a cause that is: the message needs no ticket for
// that.
func (n entry) Call(ctx context.Context, caller FunctionType, to Address, m TypedValue, d connector.Delivery) (TypedValue, error) {
	p := n.e.calls.begin(d.Durable && n.e.config.EpochInterval != EpochsOff)
	defer n.e.calls.end(p)
	d.Durable = false
	r, err := n.e.receipt(d, m.Typename, m.Value)
	if err != nil {
		return TypedValue{}, err
	}
	if r.keyed() {
		p.keyed(n.e.groupOf(to.ID))
	}
	if err := n.send(to, m, caller, p.id, r); err != nil {
		r.free()
		return TypedValue{}, err
	}
	if err := n.e.receive(ctx, r); err != nil {
		return TypedValue{}, err
	}
	return n.e.await(ctx, p)
}

// IsDurable implements connector.Entry.
func (n entry) IsDurable() bool {
	c := &n.e.config
	return c.Backend != nil && c.Backend.Durable() && c.EpochInterval != EpochsOff
}

// send leaves a message with its shard, or refuses it, and then nobody has seen it.
func (n entry) send(to Address, m TypedValue, caller FunctionType, callerID string, r *receipt) error {
	w := n.e.wiring
	fn, in, err := w.accepts(to, m)
	if err != nil {
		return err
	}
	if err := n.e.admit(); err != nil {
		return err
	}
	if err := w.decodes(to, m, fn, in); err != nil { // Behind admit: who is refused for want of credit is to cost little.
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
	r.attach(b)
	bytes := b.Bytes() // The batch is the shard's from the push on.
	if err := n.e.count(bytes); err != nil {
		return err
	}
	defer n.e.entered()
	if !n.e.push(hash, b) {
		n.e.gate.Add(-bytes)
		return fmt.Errorf("%w: a shard's inbox is full", ErrNoCredit)
	}
	return nil
}

// accepts finds what a message from outside is for, before anything is touched.
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
		return fn, envelope.Untyped, w.crowded(fn)
	case ok:
		return fn, in, nil
	case f.any != nil:
		return fn, envelope.Untyped, nil
	}
	return 0, 0, fmt.Errorf("%w: %s by %s", connector.ErrUnknownMessage, clip(m.Typename), f.typ)
}

// decodes checks what a message says: a function that decodes its messages in this process gets none that it cannot
// decode.
func (w *wiring) decodes(to Address, m TypedValue, fn envelope.Function, in envelope.Input) (err error) {
	switch f := w.directory.at(fn); {
	case f.endpoint != nil:
		err = f.refuses(m.Typename, to.ID)
	case in != envelope.Untyped:
		err = f.inputs[in].check(m.Value)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", connector.ErrMalformed, err)
	}
	return nil
}

func (w *wiring) fits(value []byte) error {
	if most := w.links.limits.PayloadBytesMax; len(value) > most {
		return fmt.Errorf("%w: %d bytes, at most %d are allowed", connector.ErrTooLarge, len(value), most)
	}
	return nil
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
		return noCredit{e.gate.Queued(), e.gate.Max()}
	}
	return nil
}

// noCredit is a refusal. It is put into words only when somebody reads it: there are as many as anybody likes to send.
type noCredit struct{ queued, most int64 }

func (n noCredit) Error() string {
	return fmt.Sprintf("%v: %d bytes are queued, the high-water mark is %d", ErrNoCredit, n.queued, n.most)
}

func (noCredit) Unwrap() error { return ErrNoCredit }

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

// count has bytes from outside count as queued, and their sender as entering, unless the engine is closing or in
// doubt. It counts before it looks: either Close sees them and waits, or they are refused. Whoever has been counted
// calls entered when his messages are in an inbox, or will never be.
func (e *Engine) count(bytes int64) error {
	e.entering.Add(1)
	e.gate.Add(bytes)
	if e.closing.Load() || e.isOver() {
		e.gate.Add(-bytes)
		e.entered()
		return ErrClosing
	}
	return nil
}

// isOver reports whether nothing is committed any more: after doubt there is no use in letting anything in.
func (e *Engine) isOver() bool {
	select {
	case <-e.over:
		return true
	default:
		return false
	}
}

func (e *Engine) entered() { e.entering.Add(-1) }

// enter counts a batch and leaves it in a shard's inbox, when there is room.
func (e *Engine) enter(ctx context.Context, hash uint64, b *envelope.Batch) error {
	if err := e.count(b.Bytes()); err != nil {
		return err
	}
	defer e.entered()
	return e.pushWaiting(ctx, hash, b)
}

// push leaves a batch, which has been counted, in a shard's inbox, or reports that it is full.
func (e *Engine) push(hash uint64, b *envelope.Batch) bool {
	l := e.shardOf(hash)
	if !l.Inbox().TryPush(b) {
		return false
	}
	l.Wake()
	return true
}

// shardOf returns the loop of the shard that has the ids of a hash.
func (w *wiring) shardOf(hash uint64) *driver.Loop {
	return w.loops[w.route[statefun.KeyGroupOf(hash, len(w.route))]]
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
