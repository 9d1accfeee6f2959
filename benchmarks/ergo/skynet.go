// SPDX-License-Identifier: Apache-2.0

package main

import (
	"ergo.services/ergo/act"
	"ergo.services/ergo/gen"

	"github.com/millrace-io/millrace/benchmarks/workload"
)

// start tells a node to begin. Processes may not be spawned while one is initialised.
type start struct{}

// part is what a node reports.
type part struct{ sum int64 }

type node struct {
	act.Actor
	workload.Node
	above gen.PID
	done  func(sum int64) // Of the root.
}

// Skynet implements [workload.System].
func (s *framework) Skynet(root workload.Node, done func(sum int64)) error {
	pid, err := s.node.Spawn(func() gen.ProcessBehavior { return &node{Node: root, done: done} }, gen.ProcessOptions{})
	if err != nil {
		return err
	}
	return s.node.Send(pid, new(start))
}

// HandleMessage starts the nodes below and adds up what they report.
func (n *node) HandleMessage(_ gen.PID, message any) error {
	switch m := message.(type) {
	case *start:
		if n.Leaf() {
			return n.report(n.First)
		}
		for _, b := range n.Below() {
			pid, err := n.Spawn(func() gen.ProcessBehavior { return &node{Node: b, above: n.PID()} }, gen.ProcessOptions{})
			if err != nil {
				return err
			}
			if err := n.SendPID(pid, m); err != nil {
				return err
			}
		}
	case *part:
		if sum, ok := n.Report(m.sum); ok {
			return n.report(sum)
		}
	}
	return nil
}

func (n *node) report(sum int64) error {
	if n.done != nil {
		n.done(sum)
		return nil
	}
	return n.SendPID(n.above, &part{sum})
}
