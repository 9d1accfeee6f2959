// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/statefun"
)

// receipt is what somebody outside waits for: the tickets of the messages that he has sent. They come back from
// the shards that have judged them, or from the commit that has made them durable (P18). A receipt whose tickets
// are not all back is never used again: they are somebody else's.
type receipt struct {
	pool    *sync.Pool         // Of its engine: channels belong to where they were made, as testing/synctest sees it.
	promise envelope.Ticket    // What all tickets have in common.
	tickets []envelope.Ticket  // One for each batch.
	single  [1]envelope.Ticket // Mostly there is one.
	out     atomic.Int32       // Those that are not back.
	back    chan struct{}      // Gets a token, for which there is room, when they are.
	digest  hash.Hash
	scratch []byte
}

// newReceipts returns what an engine's receipts are taken from.
func newReceipts() *sync.Pool {
	pool := &sync.Pool{}
	pool.New = func() any {
		r := &receipt{pool: pool, back: make(chan struct{}, 1), digest: sha256.New()}
		r.promise.Done = r.takeBack
		return r
	}
	return pool
}

func (r *receipt) takeBack(*envelope.Ticket) {
	if r.out.Add(-1) == 0 {
		r.back <- struct{}{}
	}
}

// usualWindow is how long a key is kept when nobody says so.
const usualWindow = 24 * time.Hour

// receipt returns what the sender of a value waits for, by what he has been promised; nil: for nothing.
func (e *Engine) receipt(d connector.Delivery, typename string, value []byte) (*receipt, error) {
	if len(d.Key) > connector.KeyBytesMax {
		return nil, fmt.Errorf("%w: idempotency key of %d bytes, at most %d are allowed", connector.ErrTooLarge, len(d.Key), connector.KeyBytesMax)
	}
	durable := d.Durable && e.config.EpochInterval != EpochsOff
	if !durable && len(d.Key) == 0 {
		return nil, nil
	}
	r := e.receipts.Get().(*receipt)
	r.promise = envelope.Ticket{Durable: durable, Done: r.promise.Done, Key: r.promise.Key[:0]}
	if len(d.Key) > 0 {
		r.promise.Key = append(r.promise.Key, d.Key...) // The sender's bytes are his when his ctx ends.
		r.promise.Window = cmp.Or(d.Window, usualWindow).Milliseconds()
		r.promise.Body = r.bodyOf(typename, value)
	}
	return r, nil
}

// bodyOf is a digest of what was sent, by which a message that comes again is told from another.
func (r *receipt) bodyOf(typename string, value []byte) (body [16]byte) {
	r.digest.Reset()
	r.scratch = append(append(r.scratch[:0], typename...), 0)
	r.digest.Write(r.scratch)
	r.digest.Write(value)
	r.scratch = r.digest.Sum(r.scratch[:0])
	copy(body[:], r.scratch)
	return body
}

// keyed reports whether messages are judged by their key: then each needs a ticket of its own.
func (r *receipt) keyed() bool { return r != nil && len(r.promise.Key) > 0 }

// attach gives each batch a ticket. Of several messages to one address each has a name of its own, by its number
// among them: the same whenever the event comes again.
func (r *receipt) attach(batches ...*envelope.Batch) {
	if r == nil {
		return
	}
	r.tickets = r.single[:]
	if len(batches) != 1 {
		r.tickets = make([]envelope.Ticket, len(batches))
	}
	r.out.Store(int32(len(batches)))
	var numbers map[target]int
	for i, b := range batches {
		t := &r.tickets[i]
		*t = r.promise
		b.Ticket = t
		if len(batches) == 1 || !r.keyed() {
			continue
		}
		if numbers == nil {
			numbers = make(map[target]int, len(batches))
		}
		e := &b.Envelopes[0]
		to := target{e.Function, string(b.ID(e))}
		if n := numbers[to]; n > 0 {
			t.Key = fmt.Appendf(slices.Clone(t.Key), "\x00%d", n)
		}
		numbers[to]++
	}
}

// target is an address by number.
type target struct {
	fn envelope.Function
	id string
}

// receive waits until all tickets are back, or until ctx is done or the engine has stopped: then nobody knows what
// has become of the messages.
func (e *Engine) receive(ctx context.Context, r *receipt) error {
	if r == nil || len(r.tickets) == 0 {
		return nil
	}
	select {
	case <-r.back:
	case <-ctx.Done():
		return fmt.Errorf("it is not known whether the message is kept: %w", ctx.Err())
	case <-e.over:
		select {
		case <-r.back:
		default:
			return e.unknown()
		}
	}
	err := r.verdict()
	r.free()
	return err
}

// free gives a receipt back that no shard knows any more.
func (r *receipt) free() {
	if r != nil {
		r.tickets = nil
		r.pool.Put(r)
	}
}

// verdict is what has become of the messages.
func (r *receipt) verdict() error {
	for i := range r.tickets {
		switch r.tickets[i].Verdict {
		case envelope.Conflicting:
			return connector.ErrKeyReused
		case envelope.Crowded:
			return connector.ErrKeysFull
		}
	}
	return nil
}

// unknown is what those are told who wait when the engine stops.
func (e *Engine) unknown() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.doubt != nil {
		return fmt.Errorf("%w: the engine has stopped, and the outcome is not known: %w", ErrClosing, e.doubt)
	}
	return fmt.Errorf("%w: the engine has stopped, and the outcome is not known", ErrClosing)
}

// groupOf returns the key group of an id.
func (w *wiring) groupOf(id string) statefun.KeyGroup {
	return statefun.KeyGroupOf(statefun.KeyHash(id), len(w.route))
}
