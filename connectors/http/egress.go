// SPDX-License-Identifier: Apache-2.0

package http

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/statefun"
)

var _ connector.Sink = (*Egress)(nil)

// Egress sends each record as a POST request.
//
// A sending address that has records waiting has a lane: a queue, and a goroutine that delivers it in
// order and ends when it is empty. So a record that has to wait for another attempt holds up those of its
// own sender and nobody else's. There are no more lanes than records, and no more records than MaxQueued.
type Egress struct {
	c      EgressConfig
	to     endpoint
	client client
	slots  chan struct{} // One for each record taken over and not done.
	flight chan struct{} // One for each request under way.

	base   context.Context    // Of every delivery; over when Close gives up.
	giveUp context.CancelFunc // Ends base.

	failing atomic.Bool // The last request that was done had no success; for the log.
	running sync.WaitGroup

	mu      sync.Mutex
	lanes   map[statefun.Address]*lane // Guarded by mu.
	closing bool                       // Guarded by mu.
}

// lane is what one sending address has waiting. Guarded by the mu of its Egress.
type lane struct{ queue []delivery }

type delivery struct {
	record connector.Record
	done   func(error)
}

// NewEgress makes an egress of c, or says what is wrong with it.
func NewEgress(c EgressConfig) (*Egress, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	to, err := parseEndpoint(c.URL)
	if err != nil {
		return nil, err
	}
	e := &Egress{
		c: c, to: to,
		client: client{dial: dialer(to, nil)},
		slots:  make(chan struct{}, c.MaxQueued),
		flight: make(chan struct{}, c.MaxInFlight),
		lanes:  map[statefun.Address]*lane{},
	}
	e.base, e.giveUp = context.WithCancel(context.Background())
	return e, nil
}

// Open does nothing: a receiver that is not there yet is one that does not answer, and is waited for.
func (e *Egress) Open(context.Context) error { return nil }

// Publish queues the record behind the others of its sender. It blocks while MaxQueued records are not
// done.
func (e *Egress) Publish(r connector.Record, done func(error)) {
	e.slots <- struct{}{}
	e.mu.Lock()
	if e.closing {
		e.mu.Unlock()
		<-e.slots
		done(fmt.Errorf("http: egress %s: %w", e.c.ID, ErrClosed))
		return
	}
	l := e.lanes[r.Sender]
	if l == nil {
		l = &lane{}
		e.lanes[r.Sender] = l
		e.running.Add(1)
		go e.run(r.Sender, l)
	}
	l.queue = append(l.queue, delivery{r, done})
	e.mu.Unlock()
}

// run delivers the lane of one sender until it is empty.
func (e *Egress) run(sender statefun.Address, l *lane) {
	defer e.running.Done()
	for {
		e.mu.Lock()
		if len(l.queue) == 0 {
			delete(e.lanes, sender)
			e.mu.Unlock()
			return
		}
		d := l.queue[0]
		l.queue[0] = delivery{}
		l.queue = l.queue[1:]
		e.mu.Unlock()

		d.done(e.deliver(d.record))
		<-e.slots
	}
}

// Close waits until every record is done. When ctx is done first, the rest are given up: their done is
// called with an error that matches ErrClosed.
func (e *Egress) Close(ctx context.Context) error {
	e.mu.Lock()
	e.closing = true
	e.mu.Unlock()
	empty := make(chan struct{})
	go func() {
		e.running.Wait()
		close(empty)
	}()
	var err error
	select {
	case <-empty:
	case <-ctx.Done():
		err = fmt.Errorf("http: egress %s: gave up what was not delivered: %w", e.c.ID, ctx.Err())
		e.giveUp()
		<-empty
	}
	e.giveUp()
	e.client.close()
	return err
}
