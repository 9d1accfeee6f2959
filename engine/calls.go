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
)

// calls are the callers outside that wait for an answer. A caller is an address of its own, named by
// generation and request (P23): an answer that comes for an earlier run of the process finds nobody.
type calls struct {
	generation string
	last       atomic.Uint64
	waiting    *xsync.MapOf[uint64, chan TypedValue]
	dropped    atomic.Int64
}

func newCalls(w *wiring) *calls {
	generation := uint64(1)
	if w.config.Backend != nil {
		generation = uint64(w.config.Backend.Generation())
	}
	return &calls{
		generation: strconv.FormatUint(generation, 10) + "-",
		waiting:    xsync.NewMapOf[uint64, chan TypedValue](),
	}
}

// begin registers a caller. Whoever begins must end.
func (c *calls) begin() (number uint64, id string, answer <-chan TypedValue) {
	number = c.last.Add(1)
	ch := make(chan TypedValue, 1) // Only the first answer is delivered, so this never blocks.
	c.waiting.Store(number, ch)
	return number, c.generation + strconv.FormatUint(number, 10), ch
}

func (c *calls) end(number uint64) { c.waiting.Delete(number) }

// deliver takes what functions have sent to callers. It is called by the shards' goroutines.
func (c *calls) deliver(b *envelope.Batch) {
	for i := range b.Envelopes {
		e := &b.Envelopes[i]
		typename, value := b.Named(e)
		ch, ok := c.take(string(b.ID(e)))
		if !ok {
			c.dropped.Add(1) // A further answer, or the caller is gone.
			continue
		}
		ch <- TypedValue{Typename: string(typename), Value: append([]byte(nil), value...)}
	}
}

func (c *calls) take(id string) (chan TypedValue, bool) {
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
// ctx ends before the answer comes, the answer is dropped.
func (q Request[Q, R]) Ask(ctx context.Context, e *Engine, id string, v Q) (r R, err error) {
	number, caller, answer := e.calls.begin()
	defer e.calls.end(number)
	if err := submit(ctx, e, q.in, id, v, caller); err != nil {
		return r, err
	}
	a, err := e.await(ctx, answer)
	switch {
	case err != nil:
		return r, fmt.Errorf("engine: ask %v: %w", q.in.fn.typ, err)
	case a.Typename != q.reply.Typename():
		return r, fmt.Errorf("engine: ask %v: %w: the answer is a %s, not a %s", q.in.fn.typ, ErrUndecodable, a.Typename, q.reply.Typename())
	}
	return q.reply.Decode(a.Value)
}

// await waits for an answer until ctx is done or the engine is closed: then none comes any more.
func (e *Engine) await(ctx context.Context, answer <-chan TypedValue) (TypedValue, error) {
	select {
	case a := <-answer:
		return a, nil
	case <-ctx.Done():
		return TypedValue{}, ctx.Err()
	case <-e.closed:
	}
	select {
	case a := <-answer: // It came before.
		return a, nil
	default:
		return TypedValue{}, ErrClosing
	}
}
