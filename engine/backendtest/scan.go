// SPDX-License-Identifier: Apache-2.0

package backendtest

import (
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"
)

// fill commits three keys in every key group but the fifth, the last first, and returns them in order.
func (s *store) fill(epoch statefun.Epoch, value string) (items []item) {
	for group := range statefun.KeyGroup(16) {
		for i := range 3 {
			if group != 5 {
				items = append(items, item{group, fmt.Sprint("k", i), value})
			}
		}
	}
	var changes []change
	for _, i := range slices.Backward(items) {
		changes = append(changes, put(i.group, i.key, i.value))
	}
	s.commit(epoch, part(changes...))
	return items
}

func checkScan(s *store) {
	items := s.fill(1, "v")
	for _, r := range []backend.KeyGroupRange{
		{First: 0, End: 16},
		{First: 0, End: 1},
		{First: 15, End: 16},
		{First: 3, End: 9},
		{First: 5, End: 6}, // Nothing is in it.
		{First: 4, End: 4}, // Nothing can be in it.
		{First: 9, End: 3},
		{First: 8, End: 500},
		{First: 16, End: 500},
	} {
		want := slices.DeleteFunc(slices.Clone(items), func(i item) bool { return !r.Contains(i.group) })
		if got := s.scan(r); !slices.Equal(got, want) {
			s.Fatalf("scan of %v yields %v; want %v", r, got, want)
		}
	}
}

func checkScanStops(s *store) {
	items := s.fill(1, "v")
	seq := s.b.Scan(s.ctx, everything)
	for stop := range items {
		n := 0
		for _, err := range seq {
			if err != nil {
				s.Fatalf("scan: %v", err)
			}
			if n++; n > stop {
				break
			}
		}
	}
	// Nothing is left behind by them that would stop a commit.
	items = s.fill(2, "w")
	s.want("after scans that were left", items...)
}

// A scan that lasts longer than the commits beside it still yields the one commit that it began with.
// They must not wait for it: the engine takes checkpoints while somebody inspects the state.
func checkScanDuringCommit(s *store) {
	want := s.fill(1, "old")
	var got []item
	for e, err := range s.b.Scan(s.ctx, everything) {
		if err != nil {
			s.Fatalf("scan: %v", err)
		}
		got = append(got, item{e.Group, string(e.Key), string(e.Value)})
		switch len(got) {
		case 1:
			s.fill(2, "a value of another length")
		case 2:
			s.commit(3, part(del(0, "k0"), del(0, "k1"), del(0, "k2"), del(15, "k0"), put(15, "k3", "added"), put(5, "k0", "added")))
		}
	}
	sortItems(got)
	if !slices.Equal(got, want) {
		s.Fatalf("scan beside commits yields %v; want %v", got, want)
	}
	if value, ok := s.get(15, "k3"); value != "added" || !ok {
		s.Fatalf("get after the commits beside a scan yields %q, %v", value, ok)
	}
}
