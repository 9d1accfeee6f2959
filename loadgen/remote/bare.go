// SPDX-License-Identifier: Apache-2.0

package remote

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace-io/millrace/loadgen/keys"
)

// bareCount is what all counters stand at in the requests of the bare client.
const bareCount = 1 << 20

// bare is the bare client: one goroutine and one request at a time for each connection.
type bare struct {
	bodies      [][]byte
	invocations int
	answers     []byte // What all replies are.
	workers     []*worker
	measuring   atomic.Bool
}

// worker owns its latency while it runs. Its counter lies in a cache line of its own.
type worker struct {
	requests atomic.Int64
	latency  latency
	_        [64]byte
}

// measureBare has the bare client send requests with so many invocations for c.Each.
func measureBare(ctx context.Context, c Config, t target, invocations int) (side, error) {
	b := &bare{bodies: make([][]byte, c.keys(invocations)), invocations: invocations}
	for k := range b.bodies {
		b.bodies[k] = request(keys.ID(k), bareCount, invocations)
	}
	before, _, err := t.asked()
	if err != nil {
		return side{}, err
	}
	if b.answers, err = firstAnswer(t, b.bodies[0], invocations); err != nil {
		return side{}, err
	}
	s, err := b.run(ctx, c, t)
	if err != nil {
		return side{}, err
	}
	after, _, err := t.asked()
	if err != nil {
		return side{}, err
	}
	// The first answer is one request more. A worker that fails to compare a reply has failed the run.
	sent := b.requests() + 1
	s.verified = after.since(before) == counts{sent, sent * int64(invocations)}
	return s, nil
}

// firstAnswer sends one request and returns the reply, which counts right.
func firstAnswer(t target, body []byte, invocations int) ([]byte, error) {
	send, hangUp := t.dial()
	defer hangUp()
	reply, err := send(body)
	if err != nil {
		return nil, err
	}
	n, err := countOf(reply)
	if err != nil {
		return nil, err
	}
	if want := bareCount + int64(invocations); n != want {
		return nil, fmt.Errorf("a counter at %d is at %d after %d invocations", bareCount, n, invocations)
	}
	return bytes.Clone(reply), nil
}

func (b *bare) run(ctx context.Context, c Config, t target) (side, error) {
	stopping, stop := context.WithCancel(ctx)
	defer stop()
	group, running := errgroup.WithContext(stopping)
	var warm sync.WaitGroup
	for i := range c.Connections {
		w := &worker{latency: newLatency()}
		b.workers = append(b.workers, w)
		warm.Add(1)
		group.Go(func() error { return b.work(running, w, t, i*len(b.bodies)/c.Connections, warm.Done) })
	}
	warm.Wait() // Every connection is made.
	b.measuring.Store(true)
	s, err := measure(running, c.Each, t, c.Bare, b.done)
	b.measuring.Store(false)
	stop()
	if failed := group.Wait(); failed != nil {
		return side{}, failed
	}
	if err != nil {
		return side{}, err
	}
	s.latency = newLatency()
	for _, w := range b.workers {
		s.latency.nanos.Merge(w.latency.nanos)
	}
	return s, nil
}

// work sends requests, from a body on, until ctx is done. It calls warm after the first, or without one.
func (b *bare) work(ctx context.Context, w *worker, t target, body int, warm func()) error {
	send, hangUp := t.dial()
	defer hangUp()
	warm = sync.OnceFunc(warm)
	defer warm()
	for ; ctx.Err() == nil; warm() {
		start := time.Now()
		reply, err := send(b.bodies[body%len(b.bodies)])
		if err != nil {
			return err
		}
		if !bytes.Equal(reply, b.answers) {
			return fmt.Errorf("reply %x, want %x", reply, b.answers)
		}
		if b.measuring.Load() {
			w.latency.record(time.Since(start))
		}
		w.requests.Add(1)
		body++
	}
	return nil
}

func (b *bare) requests() (n int64) {
	for _, w := range b.workers {
		n += w.requests.Load()
	}
	return n
}

func (b *bare) done() counts {
	n := b.requests()
	return counts{n, n * int64(b.invocations)}
}
