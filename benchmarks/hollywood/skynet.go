// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strconv"

	"github.com/anthdm/hollywood/actor"

	"github.com/millrace-io/millrace/benchmarks/workload"
)

// part is what a node reports.
type part struct{ sum int64 }

type node struct {
	workload.Node
	system *framework
	id     string
	above  *actor.PID
	done   func(sum int64) // Of the root.
}

// Skynet implements [workload.System]. Nodes are no children in the framework's sense, which costs less.
func (s *framework) Skynet(root workload.Node, done func(sum int64)) error {
	s.start("0", &node{Node: root, system: s, id: "0", done: done})
	return nil
}

// Receive starts the nodes below and adds up what they report.
func (n *node) Receive(ctx *actor.Context) {
	switch m := ctx.Message().(type) {
	case actor.Started:
		if n.Leaf() {
			n.report(ctx, n.First)
			return
		}
		for i, b := range n.Below() {
			id := n.id + strconv.Itoa(i)
			n.system.start(id, &node{Node: b, system: n.system, id: id, above: ctx.PID()})
		}
	case *part:
		if sum, ok := n.Report(m.sum); ok {
			n.report(ctx, sum)
		}
	}
}

func (n *node) report(ctx *actor.Context, sum int64) {
	if n.above == nil {
		n.done(sum)
		return
	}
	ctx.Engine().Send(n.above, &part{sum})
}
