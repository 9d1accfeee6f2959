// SPDX-License-Identifier: Apache-2.0

// Command plaingo is the peer that really has to be beaten: what a Go programmer writes by hand
// instead of using a runtime. Two goroutines with a map[string]*counter each, and channels that carry
// slices of 256 messages. It promises nothing: there is no recovery, no atomicity, and a handler that
// panics takes the process with it.
package main

import (
	"fmt"
	"hash/maphash"

	"github.com/millrace-io/millrace/benchmarks/workload"
	"github.com/millrace-io/millrace/loadgen/keys"
)

func main() {
	workload.Main(map[string]workload.Run{
		workload.Counter: counterRun, workload.Relay: relayRun, workload.PingPong: ring, workload.Ring: ring,
		workload.Skynet: skynet, workload.Memory: memory,
	})
}

const (
	workers   = 2
	batchSize = 256
)

var seed = maphash.MakeSeed()

// owner is the worker that an id belongs to.
func owner(id string) int { return int(maphash.String(seed, id) % workers) }

type counter struct{ n int64 }

// table is one worker's counters by id.
type table map[string]*counter

// add counts one message.
func (t table) add(id string) {
	c := t[id]
	if c == nil {
		c = new(counter)
		t[id] = c
	}
	c.n++
}

// newTables makes every counter before the clock starts, as is done for the other programs too.
func newTables(keyCount int) (tables [workers]table) {
	for w := range tables {
		tables[w] = make(table, keyCount/workers)
	}
	for k := range keyCount {
		id := keys.ID(k)
		tables[owner(id)][id] = new(counter)
	}
	return tables
}

// verify reports why the counters do not add up to the messages of the load, or nil.
func verify(tables [workers]table, l keys.Load) error {
	var sum int64
	for _, t := range tables {
		for _, c := range t {
			sum += c.n
		}
	}
	if sum != int64(l.Messages) {
		return fmt.Errorf("plaingo: the counters add up to %d, %d messages were sent", sum, l.Messages)
	}
	return nil
}
