// SPDX-License-Identifier: Apache-2.0

package main

import (
	"runtime"
	"sync"
	"time"

	"github.com/millrace-io/millrace/loadgen/keys"
)

// producers is how many goroutines partition the load. One leaves the workers idle at few keys; more
// than two gain nothing on two cores.
const producers = 2

// counterRun sends the messages of a load, each of which adds one to the counter of its key, and returns
// how many were executed in a second.
func counterRun(l keys.Load) (perSecond float64, err error) {
	ring, err := keys.NewRing(l)
	if err != nil {
		return 0, err
	}
	tables := newTables(l.Keys)
	used := make(chan []string, 64)
	var in [workers]chan []string
	for w := range in {
		in[w] = make(chan []string, 16)
	}

	runtime.GC() // What the preparation has left is not the run's.
	start := time.Now()
	var producing, working sync.WaitGroup
	for p := range producers {
		first, count := keys.Part(l.Messages, p, producers)
		producing.Go(func() { produce(ring.Cursor(first), count, in, used) })
	}
	for w := range workers {
		working.Go(func() { count(tables[w], in[w], used) })
	}
	producing.Wait()
	for w := range in {
		close(in[w])
	}
	working.Wait()
	seconds := time.Since(start).Seconds()
	return float64(l.Messages) / seconds, verify(tables, l)
}

// produce partitions messages by the hash of their id.
func produce(ids keys.Cursor, messages int, in [workers]chan []string, used <-chan []string) {
	var out [workers][]string
	for range messages {
		id := ids.Next()
		w := owner(id)
		out[w] = append(out[w], id)
		if len(out[w]) < batchSize {
			continue
		}
		in[w] <- out[w]
		select {
		case out[w] = <-used:
		default:
			out[w] = make([]string, 0, batchSize)
		}
	}
	for w := range out {
		in[w] <- out[w]
	}
}

// count is a worker. It hands its slices back, so that a run allocates none after its first moments.
func count(t table, in <-chan []string, used chan<- []string) {
	for batch := range in {
		for _, id := range batch {
			t.add(id)
		}
		select {
		case used <- batch[:0]:
		default:
		}
	}
}
