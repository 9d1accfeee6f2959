// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/puzpuzpuz/xsync/v3"

	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/statefun"
)

// calls are the callers outside that wait for an answer. A caller is an address of its own, named by
// generation and request (P23): an answer that comes for an earlier run of the process finds nobody.
type calls struct {
	generation string
	last       atomic.Uint64
	waiting    *xsync.MapOf[uint64, *call]
	dropped    atomic.Int64
}

// call is a caller.
type call struct {
	number  uint64
	id      string
	durable bool            // The answer is to be in a committed checkpoint.
	answer  chan TypedValue // Has room for the one answer.

	ticket envelope.Ticket // Of a durable answer, which has come:
	value  TypedValue      // this.
}

func newCalls(w *wiring) *calls {
	generation := uint64(1)
	if w.config.Backend != nil {
		generation = uint64(w.config.Backend.Generation())
	}
	return &calls{
		generation: strconv.FormatUint(generation, 10) + "-",
		waiting:    xsync.NewMapOf[uint64, *call](),
	}
}

// begin registers a caller. Whoever begins must end.
func (c *calls) begin(durable bool) *call {
	number := c.last.Add(1)
	p := &call{number: number, id: c.generation + strconv.FormatUint(number, 10), durable: durable, answer: make(chan TypedValue, 1)}
	c.waiting.Store(number, p)
	return p
}

// keyed marks the caller as one under an idempotency key: its id says to which key group the answer goes first,
// to be kept with the key.
func (p *call) keyed(group statefun.KeyGroup) { p.id = fmt.Sprintf("%04x-%sk", group, p.id) }

func (c *calls) end(p *call) { c.waiting.Delete(p.number) }

// deliver takes what functions have sent to callers. It is called by the shards' goroutines. A durable answer
// waits for the epoch in which it leaves its shard, by its ticket: that has its cause too (I4).
func (c *calls) deliver(b *envelope.Batch, hold func(*envelope.Ticket)) {
	for i := range b.Envelopes {
		e := &b.Envelopes[i]
		typename, value := b.Named(e)
		p, ok := c.take(string(b.ID(e)))
		if !ok {
			c.dropped.Add(1) // A further answer, or the caller is gone.
			continue
		}
		answer := TypedValue{Typename: string(typename), Value: append([]byte(nil), value...)}
		if !p.durable {
			p.answer <- answer
			continue
		}
		p.value, p.ticket = answer, envelope.Ticket{Durable: true, Done: p.committed}
		hold(&p.ticket)
	}
}

func (p *call) committed(*envelope.Ticket) { p.answer <- p.value }

// take finds the caller with an id, who waits no longer: only the first answer is one.
func (c *calls) take(id string) (*call, bool) {
	if unkeyed, ok := strings.CutSuffix(id, "k"); ok {
		_, id, _ = strings.Cut(unkeyed, "-")
	}
	digits, ok := strings.CutPrefix(id, c.generation)
	if !ok {
		return nil, false
	}
	number, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		return nil, false
	}
	return c.waiting.LoadAndDelete(number)
}

// Ask sends q to the instance with the given id and waits for the answer. It waits for credit first. When
// ctx ends before the answer comes, the answer is dropped. With [Durable] it returns when the answer, and with it
// the question, is in a committed checkpoint.
func (q Request[Q, R]) Ask(ctx context.Context, e *Engine, id string, v Q, options ...SubmitOption) (r R, err error) {
	p := e.calls.begin(delivery(options).Durable && e.config.EpochInterval != EpochsOff)
	defer e.calls.end(p)
	if err := submit(ctx, e, q.in, id, v, p.id, nil); err != nil {
		return r, err
	}
	a, err := e.await(ctx, p)
	switch {
	case err != nil:
		return r, fmt.Errorf("engine: ask %v: %w", q.in.fn.typ, err)
	case a.Typename != q.reply.Typename():
		return r, fmt.Errorf("engine: ask %v: %w: the answer is a %s, not a %s", q.in.fn.typ, ErrUndecodable, a.Typename, q.reply.Typename())
	}
	return q.reply.Decode(a.Value)
}

// await waits for an answer until ctx is done or the engine has stopped: then none comes any more.
func (e *Engine) await(ctx context.Context, p *call) (TypedValue, error) {
	select {
	case a := <-p.answer:
		return a, nil
	case <-ctx.Done():
		return TypedValue{}, ctx.Err()
	case <-e.leaving:
	case <-e.over:
	}
	select {
	case a := <-p.answer: // It came before.
		return a, nil
	default:
		return TypedValue{}, e.unknown()
	}
}
