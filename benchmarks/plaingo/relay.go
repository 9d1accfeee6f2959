// SPDX-License-Identifier: Apache-2.0

package main

import (
	"runtime"
	"sync"
	"time"

	"github.com/millrace-io/millrace/loadgen/keys"
)

// hop is a token on its way to a key, with how many keys it has yet to visit.
type hop struct {
	id   string
	left int
}

// relayRun lets the tokens of a load hop from key to key at random, each hop adding one to the counter of
// its key, and returns how many hops were executed in a second.
func relayRun(l keys.Load) (perSecond float64, err error) {
	ring, err := keys.NewRing(l)
	if err != nil {
		return 0, err
	}
	tables := newTables(l.Keys)
	tokens := l.Tokens()
	relays := make([]*relay, workers)
	for w := range relays {
		first, _ := keys.Part(l.Messages, w, workers)
		// A slice holds one token at least, so that no send into this channel ever waits, and two
		// workers that send to each other cannot deadlock.
		relays[w] = &relay{ids: ring.Cursor(first), table: tables[w], in: make(chan []hop, tokens), peers: relays}
	}
	starter, ids := &relay{peers: relays}, ring.Cursor(0)
	for i := range tokens {
		_, hops := keys.Part(l.Messages, i, tokens)
		starter.send(hop{ids.Next(), hops})
	}
	starter.flush()

	runtime.GC() // What the preparation has left is not the run's.
	start := time.Now()
	var live, working sync.WaitGroup
	live.Add(tokens)
	for _, r := range relays {
		working.Go(func() { r.run(&live) })
	}
	live.Wait()
	seconds := time.Since(start).Seconds()
	for _, r := range relays {
		close(r.in)
	}
	working.Wait()
	return float64(l.Messages) / seconds, verify(tables, l)
}

// relay is a worker. Owned by its goroutine but for in, which its peers send to.
type relay struct {
	ids   keys.Cursor
	table table
	in    chan []hop
	peers []*relay
	out   [workers][]hop
	used  [][]hop
}

func (r *relay) run(live *sync.WaitGroup) {
	for batch := range r.in {
		for _, h := range batch {
			r.table.add(h.id)
			if h.left == 1 {
				live.Done()
				continue
			}
			r.send(hop{r.ids.Next(), h.left - 1})
		}
		r.used = append(r.used, batch[:0])
		if len(r.in) == 0 {
			r.flush() // Nothing else to do: whoever waits for these gets them now.
		}
	}
}

func (r *relay) send(h hop) {
	w := owner(h.id)
	if r.out[w] == nil {
		if n := len(r.used); n > 0 {
			r.out[w], r.used = r.used[n-1], r.used[:n-1]
		} else {
			r.out[w] = make([]hop, 0, batchSize)
		}
	}
	r.out[w] = append(r.out[w], h)
	if len(r.out[w]) == batchSize {
		r.peers[w].in <- r.out[w]
		r.out[w] = nil
	}
}

func (r *relay) flush() {
	for w, batch := range r.out {
		if batch != nil {
			r.peers[w].in <- batch
			r.out[w] = nil
		}
	}
}
