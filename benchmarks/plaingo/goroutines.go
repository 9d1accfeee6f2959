// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"runtime"
	"time"

	"github.com/millrace-io/millrace/benchmarks/workload"
	"github.com/millrace-io/millrace/loadgen/keys"
)

// ring passes a token around a ring of as many goroutines as there are keys, one channel each, and returns how
// many hops it has made in a second.
func ring(l keys.Load) (perSecond float64, err error) {
	if err := l.Validate(); err != nil {
		return 0, err
	}
	links := make([]chan int, l.Keys)
	for k := range links {
		links[k] = make(chan int, 1) // So that the one who passes it on does not wait until it is taken.
	}
	last := make(chan int)
	visits := make([]int64, l.Keys)
	for k := range links {
		go func() {
			next := links[(k+1)%len(links)]
			for left := range links[k] {
				visits[k]++
				if left == 1 {
					last <- k
					return
				}
				next <- left - 1
			}
		}()
	}
	runtime.GC() // What the preparation has left is not the run's.
	start := time.Now()
	links[0] <- l.Messages
	<-last
	seconds := time.Since(start).Seconds()
	var sum int64
	for _, n := range visits {
		sum += n
	}
	if sum != int64(l.Messages) {
		return 0, fmt.Errorf("plaingo: %d hops, want %d", sum, l.Messages)
	}
	return float64(l.Messages) / seconds, nil
}

// skynet adds up the numbers of as many leaves as there are keys, in a tree of goroutines, and returns how many
// of them were started in a second.
func skynet(l keys.Load) (perSecond float64, err error) {
	return workload.TimeSkynet(l, func(root workload.Node, done func(sum int64)) error {
		out := make(chan int64, 1)
		go grow(root, out)
		go func() { done(<-out) }()
		return nil
	})
}

func grow(n workload.Node, out chan<- int64) {
	if n.Leaf() {
		out <- n.First
		return
	}
	below := n.Below()
	in := make(chan int64, len(below))
	for _, b := range below {
		go grow(b, in)
	}
	for {
		if sum, ok := n.Report(<-in); ok {
			out <- sum
			return
		}
	}
}

// memory is how many bytes a counter takes, with the id that it is found by.
func memory(l keys.Load) (bytesEach float64, err error) {
	l.Messages = l.Keys
	ring, err := keys.NewRing(l)
	if err != nil {
		return 0, err
	}
	before, err := workload.Resident()
	if err != nil {
		return 0, err
	}
	tables, ids := newTables(l.Keys), ring.Cursor(0)
	for range l.Messages {
		id := ids.Next()
		tables[owner(id)].add(id)
	}
	after, err := workload.Resident()
	if err != nil {
		return 0, err
	}
	return float64(after-before) / float64(l.Keys), verify(tables, l)
}
