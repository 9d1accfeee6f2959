// SPDX-License-Identifier: Apache-2.0

package requestreply

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/millrace-io/millrace/engine/remote"
)

// idleMax is how long a worker, and its connection, is kept without work: less than most servers keep a
// connection.
const idleMax = 15 * time.Second

// crew is the goroutines of an invoker: no more than most at a time, begun when there is work for them.
// What comes when all are busy waits in line for as long as it may take as a whole.
//
//	add --> idle worker, new worker or line --> serve --> Done
type crew struct {
	most int
	// serve does what a call asks for and returns what it ends with; mine is false if somebody else has
	// ended it, or will.
	serve func(w *worker, c *call) (mine bool, err error)

	running sync.WaitGroup

	mu       sync.Mutex
	workers  map[*worker]struct{} // Guarded by mu.
	idle     []*worker            // Guarded by mu; the latest used is the last.
	line     line                 // Guarded by mu; empty as long as a worker is idle.
	sweep    *time.Timer          // Guarded by mu; lets go of the idle ones.
	sweeping bool                 // Guarded by mu; sweep will fire.
	closed   bool                 // Guarded by mu.
}

// worker is one goroutine of a crew, with the connection that it uses. Whoever takes it from crew.idle,
// holding crew.mu, gives it one call.
type worker struct {
	work  chan *call // Room for one; closed to end the worker.
	used  time.Time  // Guarded by crew.mu.
	raw   net.Conn   // What Close cuts. Guarded by crew.mu.
	route route      // Where the connection leads. The worker's; of an idle one, guarded by crew.mu.
	peer  *peer      // The worker's.
}

// call is what an invoker keeps with a request: it is the request's Scratch.
type call struct {
	r     *remote.Request
	until time.Time
	to    *target
	// buf holds the request and then, in its place, the reply, which aliases it until r is used again. The
	// request is not needed when the first byte of the reply is there.
	buf   []byte
	share share // What buf takes of the invoker's room for large replies.

	inLine     bool        // Guarded by crew.mu.
	prev, next *call       // In line. Guarded by crew.mu.
	timer      *time.Timer // Ends the wait in line; nil if it never had to wait. Guarded by crew.mu.
}

// goneMax is how long workers whose connections have been cut may take to see it, when Close has no time left.
const goneMax = 100 * time.Millisecond

// bufKept bounds the buffer that stays with a request.
const bufKept = 64 << 10

// callOf prepares the Scratch of a request that has just been invoked.
func callOf(r *remote.Request, to *target) *call {
	c, ok := r.Scratch.(*call)
	if !ok {
		c = &call{r: r}
		r.Scratch = c
	}
	r.Recycle()
	c.shrink()
	c.to, c.until = to, time.Now().Add(r.Timeout)
	return c
}

// shrink lets go of a buffer that was needed for once, and of the lists of the reply, which still show what is
// in it when they are empty.
func (c *call) shrink() {
	if cap(c.buf) > bufKept {
		c.buf, c.r.Reply = nil, remote.Reply{}
	}
}

// fail returns what a call ends with.
func (c *call) fail(reason remote.Reason, err error) *remote.Error {
	return &remote.Error{Reason: reason, Endpoint: c.to.text, Err: err}
}

func newCrew(most int, serve func(*worker, *call) (bool, error)) *crew {
	return &crew{most: most, serve: serve, workers: map[*worker]struct{}{}}
}

// add takes a call over. It never waits.
func (k *crew) add(c *call) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		go c.r.Done(c.fail(remote.Unreachable, errClosed)) // It may invoke, and come here again.
		return
	}
	switch at := k.pick(c.to.route); {
	case at >= 0:
		w := k.idle[at]
		k.idle = slices.Delete(k.idle, at, at+1)
		w.work <- c
	case len(k.workers) < k.most:
		k.begin(c)
	default:
		k.line.push(c)
		if c.timer == nil {
			c.timer = time.AfterFunc(time.Until(c.until), func() { k.expire(c) })
		} else {
			c.timer.Reset(time.Until(c.until))
		}
	}
}

// pick returns which idle worker does a call best, or -1: one with a connection to there, else one without
// any, else a new one, else the one that has been idle longest. It needs mu.
func (k *crew) pick(to route) int {
	best := -1
	for i := len(k.idle) - 1; i >= 0; i-- {
		if k.idle[i].route == to {
			return i
		}
		if best < 0 && k.idle[i].raw == nil {
			best = i
		}
	}
	if best < 0 && len(k.idle) > 0 && len(k.workers) == k.most {
		best = 0
	}
	return best
}

// begin needs mu.
func (k *crew) begin(c *call) {
	w := &worker{work: make(chan *call, 1)}
	w.work <- c
	k.workers[w] = struct{}{}
	k.running.Add(1)
	go k.run(w)
}

// expire ends a call that has waited in line for all of its time. It may come late, when the request is
// under way again: then it is in line no more, or has time.
func (k *crew) expire(c *call) {
	k.mu.Lock()
	over := c.inLine && !time.Now().Before(c.until)
	if over {
		k.line.remove(c)
	}
	k.mu.Unlock()
	if over {
		c.r.Done(c.fail(remote.TimedOut, fmt.Errorf("%d requests were under way all the time", k.most)))
	}
}

func (k *crew) run(w *worker) {
	defer k.leave(w)
	for c := range w.work {
		for c != nil {
			mine, err := k.serve(w, c)
			// First the next, because Done may bring one, which should find this worker idle.
			next, closed := k.next(w)
			if mine {
				c.r.Done(err)
			}
			if closed {
				return
			}
			c = next
		}
	}
}

// next returns the call that a worker does next; without one, the worker is idle.
func (k *crew) next(w *worker) (c *call, closed bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return nil, true
	}
	if c := k.shift(); c != nil {
		return c, false
	}
	w.used = time.Now()
	k.idle = append(k.idle, w)
	switch {
	case k.sweep == nil:
		k.sweep = time.AfterFunc(idleMax, k.dismiss)
	case !k.sweeping:
		k.sweep.Reset(idleMax)
	}
	k.sweeping = true
	return nil, false
}

// dismiss ends the workers that have been idle for idleMax.
func (k *crew) dismiss() {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := 0
	for n < len(k.idle) && time.Since(k.idle[n].used) >= idleMax {
		close(k.idle[n].work)
		n++
	}
	k.idle = slices.Delete(k.idle, 0, n)
	if k.sweeping = len(k.idle) > 0; k.sweeping {
		k.sweep.Reset(idleMax - time.Since(k.idle[0].used))
	}
}

// leave ends a worker. While it was on its way out somebody may have got into line because of it.
func (k *crew) leave(w *worker) {
	defer k.running.Done()
	k.drop(w)
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.workers, w)
	if c := k.shift(); c != nil {
		k.begin(c)
	}
}

// shift takes the first call out of the line, or returns nil. It needs mu.
func (k *crew) shift() *call {
	c := k.line.first
	if c != nil {
		k.line.remove(c)
		c.timer.Stop()
	}
	return c
}

// hold makes a connection the worker's; false, with the connection closed, when the crew is.
func (k *crew) hold(w *worker, raw net.Conn, to route) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		_ = raw.Close()
		return false
	}
	w.raw, w.route = raw, to
	return true
}

// drop closes the worker's connection, if there is one. There is no farewell that could block.
func (k *crew) drop(w *worker) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if w.raw != nil {
		_ = w.raw.Close()
		w.raw, w.route = nil, route{}
	}
}

// close ends what is in line and cuts all connections, and waits for the workers.
func (k *crew) close(ctx context.Context) error {
	k.mu.Lock()
	k.closed = true
	var waiting []*call
	for c := k.shift(); c != nil; c = k.shift() {
		waiting = append(waiting, c)
	}
	for _, w := range k.idle {
		close(w.work)
	}
	k.idle = nil
	for w := range k.workers {
		if w.raw != nil {
			_ = w.raw.Close()
		}
	}
	if k.sweep != nil {
		k.sweep.Stop()
	}
	k.mu.Unlock()
	for _, c := range waiting {
		c.r.Done(c.fail(remote.Unreachable, errClosed))
	}

	gone := make(chan struct{})
	go func() {
		k.running.Wait()
		close(gone)
	}()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
	}
	select { // Both may have been true.
	case <-gone:
		return nil
	case <-time.After(goneMax):
		return fmt.Errorf("requestreply: requests are still in progress: %w", ctx.Err())
	}
}
