// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"strings"
	"testing"

	"github.com/millrace-io/millrace/loadgen/keys"
)

func TestNodes(t *testing.T) {
	for leaves, want := range map[int]int{1: 1, 10: 11, 100: 111, 1_000_000: 1_111_111, 5: 0, 11: 0, 999: 0} {
		if n, ok := Nodes(leaves); n != want || ok != (want > 0) {
			t.Errorf("a tree of %d leaves has %d nodes, %t; want %d", leaves, n, ok, want)
		}
	}
}

// A tree that adds up wrong, or that cannot be, is no measurement.
func TestTimeSkynet(t *testing.T) {
	for _, tt := range []struct {
		leaves int
		sum    int64
		want   string
	}{
		{10, 45, ""},
		{10, 44, "add up to 44, want 45"},
		{1, 0, "power of 10"},
		{20, 190, "power of 10"},
	} {
		value, err := TimeSkynet(keys.Load{Keys: tt.leaves}, func(_ Node, done func(int64)) error {
			done(tt.sum)
			return nil
		})
		if tt.want == "" && (err != nil || value <= 0) || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%d leaves, sum %d: %v, %v; want error %q", tt.leaves, tt.sum, value, err, tt.want)
		}
	}
}

// The numbers of the leaves below a node are those that it has itself.
func TestBelow(t *testing.T) {
	n := Node{First: 300, Leaves: 100}
	for i, b := range n.Below() {
		if want := (Node{First: 300 + 10*int64(i), Leaves: 10}); b != want {
			t.Errorf("node %d below is %+v, want %+v", i, b, want)
		}
	}
	for i := range 10 {
		if sum, ok := n.Report(7); ok != (i == 9) || sum != 7*int64(i+1) {
			t.Errorf("after report %d: %d, %t", i+1, sum, ok)
		}
	}
}
