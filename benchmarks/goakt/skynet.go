// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"strconv"

	actors "github.com/tochemey/goakt/v3/actor"
	"github.com/tochemey/goakt/v3/goaktpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/millrace-io/millrace/benchmarks/workload"
)

type node struct {
	hooks
	workload.Node
	system *framework
	id     string
	above  *actors.PID
	done   func(sum int64) // Of the root.
}

// Skynet implements [workload.System]. Nodes are no children in the framework's sense, which costs less.
func (s *framework) Skynet(root workload.Node, done func(sum int64)) error {
	_, err := s.start("0", &node{Node: root, system: s, id: "0", done: done})
	return err
}

// Receive starts the nodes below and adds up what they report.
func (n *node) Receive(ctx *actors.ReceiveContext) {
	switch m := ctx.Message().(type) {
	case *goaktpb.PostStart:
		if n.Leaf() {
			n.report(ctx, n.First)
			return
		}
		for i, b := range n.Below() {
			id := n.id + strconv.Itoa(i)
			if _, err := n.system.start(id, &node{Node: b, system: n.system, id: id, above: ctx.Self()}); err != nil {
				panic(err)
			}
		}
	case *wrapperspb.Int64Value:
		if sum, ok := n.Report(m.Value); ok {
			n.report(ctx, sum)
		}
	}
}

func (n *node) report(ctx *actors.ReceiveContext, sum int64) {
	if n.above == nil {
		n.done(sum)
		return
	}
	if err := ctx.Self().Tell(context.Background(), n.above, wrapperspb.Int64(sum)); err != nil {
		panic(err)
	}
}
