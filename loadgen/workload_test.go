// SPDX-License-Identifier: Apache-2.0

package loadgen

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/millrace-io/millrace/loadgen/keys"
)

// Verification of a ring rests on hopsAt: it is what a message does that goes where next says.
func TestHopsAt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, hops := rapid.IntRange(1, 40).Draw(t, "keys"), rapid.IntRange(1, 500).Draw(t, "hops")
		k := keyFn{round: allIDs(n)}
		got, want := make([]int64, n), make([]int64, n)
		for left := hops; left > 0; left-- {
			at, _ := keys.Index(k.next(int64(left)))
			got[at]++
		}
		for i := range want {
			want[i] = hopsAt(i, n, hops)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%d hops round %d keys: walked %v, hopsAt says %v", hops, n, got, want)
		}
	})
}

// The nodes of a skynet, their leaves and their messages, against a tree that is walked.
func TestSkynetTree(t *testing.T) {
	for _, leaves := range []int{1, 10, 100, 1000} {
		tree := newTree(leaves)
		var nodes, messages, sum int64
		var grow func(node, size int64)
		grow = func(node, size int64) {
			nodes++
			messages++
			if node != 0 {
				messages++
			}
			if size == int64(leaves) {
				sum += node - tree.firstLeaf
				if tree.count(int(node)) != 1 {
					t.Errorf("%d leaves: node %d is none", leaves, node)
				}
				return
			}
			if tree.count(int(node)) != 11 {
				t.Errorf("%d leaves: node %d is one", leaves, node)
			}
			for c := range int64(children) {
				grow(children*node+1+c, size*children)
			}
		}
		grow(0, 1)
		counted, whole := skynetNodes(leaves)
		if !whole || int64(counted) != nodes || int64(SkynetMessages(leaves)) != messages || tree.total != sum {
			t.Errorf("%d leaves: %d nodes, %d messages, sum %d; want %d, %d, %d", leaves, counted, SkynetMessages(leaves), tree.total, nodes, messages, sum)
		}
	}
	for _, leaves := range []int{0, 2, 11, 99, 1001} {
		if _, whole := skynetNodes(leaves); whole {
			t.Errorf("%d leaves make a whole tree", leaves)
		}
	}
}
