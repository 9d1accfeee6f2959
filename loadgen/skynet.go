// SPDX-License-Identifier: Apache-2.0

package loadgen

import (
	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/loadgen/keys"
)

// children is how many of them a node of a skynet has, unless it is a leaf.
const children = 10

// tree is the nodes of a skynet. They are numbered from the root on, level by level: the children of node n
// are 10n+1 to 10n+10, and the leaves come last.
type tree struct {
	ids       string // Of all nodes, end to end: those of siblings lie side by side.
	firstLeaf int64
	total     int64 // What the root has summed up in the end: the numbers of all leaves.
	sum       engine.Value[int64]
}

// part is what a child tells its parent.
type part struct {
	Node int64 // The parent: it knows its own number by this alone.
	Sum  int64
}

var (
	growType  = engine.Flat[int64]("io.millrace.loadgen/grow")
	partType  = engine.Flat[part]("io.millrace.loadgen/part")
	totalType = engine.Flat[int32]("io.millrace.loadgen/total")
)

// skynetNodes is how many nodes a tree with so many leaves has. It is whole when the leaves are a power of ten.
func skynetNodes(leaves int) (nodes int, whole bool) {
	level := 1
	for nodes = 1; level < leaves; nodes += level {
		level *= children
	}
	return nodes, level == leaves
}

// SkynetMessages is how many messages a skynet with so many leaves takes: each node is told to grow, and all but
// the root tell their parents.
func SkynetMessages(leaves int) int {
	nodes, _ := skynetNodes(leaves)
	return 2*nodes - 1
}

// newTree makes the ids before the run, for the reason that package keys gives.
func newTree(leaves int) tree {
	nodes, _ := skynetNodes(leaves)
	return tree{ids: allIDs(nodes), firstLeaf: int64(nodes - leaves), total: int64(leaves) * int64(leaves-1) / 2}
}

// count is how many messages a node gets.
func (t *tree) count(node int) int64 {
	if int64(node) >= t.firstLeaf {
		return 1
	}
	return 1 + children
}

// Grow makes the node's children, or, when it is a leaf, answers its number among the leaves.
func (k *keyFn) Grow(ctx *engine.Context, node int64) error {
	*k.count.Edit(ctx)++
	if first := k.tree.firstLeaf; node >= first {
		k.tree.tell(ctx, node, node-first)
		return nil
	}
	for child := children*node + 1; child <= children*node+children; child++ {
		grows.To(idAt(k.tree.ids, int(child))).Send(ctx, child)
	}
	return nil
}

// Gather adds what a child has summed up, and tells the parent when it was the last one.
func (k *keyFn) Gather(ctx *engine.Context, p part) error {
	count, sum := k.count.Edit(ctx), k.tree.sum.Edit(ctx)
	*count++
	*sum += p.Sum
	if *count == 1+children {
		k.tree.tell(ctx, p.Node, *sum)
	}
	return nil
}

// tell tells a node's parent. The root has none: there the result stays.
func (t *tree) tell(ctx *engine.Context, node, sum int64) {
	if node == 0 {
		return
	}
	parent := (node - 1) / children
	gathers.To(idAt(t.ids, int(parent))).Send(ctx, part{parent, sum})
}

// Total tells what has been summed up.
func (k *keyFn) Total(ctx *engine.Context, _ int32) (int64, error) { return k.tree.sum.Get(ctx), nil }

// allIDs is the ids of the first n keys, end to end.
func allIDs(n int) string {
	ids := make([]byte, 0, n*keys.IDBytes)
	for i := range n {
		ids = keys.AppendID(ids, i)
	}
	return string(ids)
}

// idAt is the i-th of ids that lie end to end.
func idAt(ids string, i int) string { return ids[i*keys.IDBytes : (i+1)*keys.IDBytes] }
