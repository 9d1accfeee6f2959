// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/millrace-io/millrace/loadgen/keys"
)

// Member counts the visits of the token of a ring.
type Member struct {
	Executed int64
	done     *sync.WaitGroup
}

// Visit counts a token that has yet to make left visits, this one included; it is false when it was the last.
func (m *Member) Visit(left int) (on bool) {
	m.Executed++
	if left == 1 {
		m.done.Done()
		return false
	}
	return true
}

func ring(s System, l keys.Load) (perSecond float64, err error) {
	if err := l.Validate(); err != nil {
		return 0, err
	}
	var done sync.WaitGroup
	inject, executed, err := s.Ring(l.Keys, func() Member { return Member{done: &done} })
	if err != nil {
		return 0, err
	}
	done.Add(1)
	runtime.GC() // What the preparation has left is not the run's.
	start := time.Now()
	inject(l.Messages)
	done.Wait()
	return float64(l.Messages) / time.Since(start).Seconds(), verify(l.Keys, executed, l.Messages)
}

// below is how many nodes of a skynet are below each that has any.
const below = 10

// Node is an actor of a skynet: the leaves below it, itself when it is one, have the numbers from First on. A
// leaf reports its number.
type Node struct {
	First, Leaves int64
	sum           int64
	awaited       int
}

// Leaf is true of a node with none below it.
func (n *Node) Leaf() bool { return n.Leaves == 1 }

// Below are the nodes below n, which has to wait for what they report.
func (n *Node) Below() (nodes [below]Node) {
	n.awaited = below
	for i := range nodes {
		nodes[i] = Node{First: n.First + int64(i)*n.Leaves/below, Leaves: n.Leaves / below}
	}
	return nodes
}

// Report adds what a node below n reports; ok is true when it was the last, and sum is what n reports then.
func (n *Node) Report(part int64) (sum int64, ok bool) {
	n.sum += part
	n.awaited--
	return n.sum, n.awaited == 0
}

// Nodes is how many nodes a tree with so many leaves has; ok is false when no tree has as many.
func Nodes(leaves int) (n int, ok bool) {
	n = 1
	for size := 1; size < leaves; n += size {
		size *= below
		if size > leaves {
			return 0, false
		}
	}
	return n, true
}

// TimeSkynet starts a tree with as many leaves as there are keys, whose root calls done with the sum of their
// numbers, and returns how many nodes were made, and have reported, in a second.
func TimeSkynet(l keys.Load, start func(root Node, done func(sum int64)) error) (perSecond float64, err error) {
	count, ok := Nodes(l.Keys)
	if !ok || l.Keys < below {
		return 0, fmt.Errorf("a tree of %d leaves: want a power of %d", l.Keys, below)
	}
	sums := make(chan int64, 1)
	leaves := int64(l.Keys)
	runtime.GC() // What the preparation has left is not the run's.
	began := time.Now()
	if err := start(Node{Leaves: leaves}, func(sum int64) { sums <- sum }); err != nil {
		return 0, err
	}
	sum := <-sums
	perSecond = float64(count) / time.Since(began).Seconds()
	if want := leaves * (leaves - 1) / 2; sum != want {
		return 0, fmt.Errorf("the leaves add up to %d, want %d", sum, want)
	}
	return perSecond, nil
}

func skynet(s System, l keys.Load) (perSecond float64, err error) { return TimeSkynet(l, s.Skynet) }
