// SPDX-License-Identifier: Apache-2.0

package sorted

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/millrace-io/millrace/engine/backend"
)

// Where sources hold the same key, the newest wins.
func TestMerge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := model{}
		var sources []Source
		everything := backend.KeyGroupRange{End: 16}
		for range rapid.IntRange(0, 5).Draw(t, "sources") {
			one := model{}
			for _, c := range rapid.SliceOfN(anyChange, 0, 20).Draw(t, "changes") {
				one.put(c)
				all.put(c)
			}
			m := NewMemtable(everything)
			m.PutAll(one.in(everything))
			sources = slices.Insert(sources, 0, m.Drain())
		}
		m, err := NewMerge(sources)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := drained(t, m), all.in(everything); !slices.EqualFunc(got, want, same) {
			t.Fatalf("yields %+v; want %+v", got, want)
		}
	})
}
