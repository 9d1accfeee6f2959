// SPDX-License-Identifier: Apache-2.0

package sorted

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"

	"github.com/millrace-io/millrace/backends/logstore/format"
)

// model holds changes by key group and key; a delete is there too.
type model map[string]backend.Change

func (m model) put(c backend.Change) {
	c.Key, c.Value = bytes.Clone(c.Key), bytes.Clone(c.Value)
	m[fmt.Sprintf("%05d %s", c.Group, c.Key)] = c
}

// in returns the changes of the key groups in r, in order.
func (m model) in(r backend.KeyGroupRange) (changes []backend.Change) {
	for _, c := range m {
		if r.Contains(c.Group) {
			changes = append(changes, c)
		}
	}
	slices.SortFunc(changes, func(a, b backend.Change) int { return format.Compare(&a.Entry, &b.Entry) })
	return changes
}

func same(a, b backend.Change) bool {
	return a.Group == b.Group && a.Delete == b.Delete && bytes.Equal(a.Key, b.Key) && bytes.Equal(a.Value, b.Value)
}

// drained returns what a source yields, as copies.
func drained(t interface{ Fatal(...any) }, s Source) (changes []backend.Change) {
	for s.Head() != nil {
		c := *s.Head()
		c.Key, c.Value = bytes.Clone(c.Key), bytes.Clone(c.Value)
		changes = append(changes, c)
		if err := s.Advance(); err != nil {
			t.Fatal(err)
		}
	}
	return changes
}

// Keys that have much in common, also with those that they are a prefix of, and zeros at their ends.
var anyKey = rapid.OneOf(
	rapid.Custom(func(t *rapid.T) string {
		return strings.Repeat("k", rapid.IntRange(0, 40).Draw(t, "length"))
	}),
	rapid.Custom(func(t *rapid.T) string {
		return "prefix of all" + strings.Repeat("\x00", rapid.IntRange(0, 20).Draw(t, "zeros"))
	}),
	rapid.Custom(func(t *rapid.T) string {
		return strings.Repeat("long", 30) + rapid.StringN(0, 3, 3).Draw(t, "end")
	}),
	rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 10), func(b []byte) string { return string(b) }),
)

var anyChange = rapid.Custom(func(t *rapid.T) (c backend.Change) {
	c.Group = statefun.KeyGroup(rapid.IntRange(2, 9).Draw(t, "group"))
	c.Key = []byte(anyKey.Draw(t, "key"))
	if c.Delete = rapid.IntRange(0, 3).Draw(t, "delete") == 0; !c.Delete {
		letter := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "letter")
		c.Value = []byte(strings.Repeat(letter, rapid.IntRange(0, 300).Draw(t, "length")))
	}
	return c
})

// A memtable does what a map does, leaves out what is not its own, and yields it in order, once.
func TestMemtable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := backend.KeyGroupRange{First: 3, End: 8}
		m, want := NewMemtable(r), model{}
		keep := rapid.SampledFrom([]int64{0, 2000, 1 << 20}).Draw(t, "keep")
		m.Keep(keep)
		for range rapid.IntRange(1, 3).Draw(t, "rounds") {
			for range rapid.IntRange(0, 40).Draw(t, "batches") {
				batch := rapid.SliceOfN(anyChange, 0, 12).Draw(t, "batch")
				for _, c := range batch {
					want.put(c)
				}
				m.PutAll(batch)
				for i := range batch { // The caller's bytes are used again.
					clear(batch[i].Key)
					clear(batch[i].Value)
				}
			}
			for _, c := range want {
				got, ok := m.Get(backend.Entry{Group: c.Group, Key: c.Key})
				if ok != r.Contains(c.Group) || (ok && !same(got, c)) {
					t.Fatalf("get %+v yields %+v, %v", c, got, ok)
				}
			}
			if _, ok := m.Get(backend.Entry{Group: 5, Key: []byte("absent")}); ok {
				t.Fatalf("an absent key is there")
			}
			deletes := 0
			for _, c := range want.in(r) {
				if c.Delete {
					deletes++
				}
			}
			if _, got := m.Data(); got != uint64(deletes) {
				t.Fatalf("%d deletes, want %d", got, deletes)
			}
			if got := drained(t, m.Drain()); !slices.EqualFunc(got, want.in(r), same) {
				t.Fatalf("yields %+v; want %+v", got, want.in(r))
			}
			if m.Bytes() > keep {
				t.Fatalf("takes %d bytes when it is empty, want at most %d", m.Bytes(), keep)
			}
			clear(want)
		}
	})
}

// Whatever is put, a memtable takes memory in proportion to what it keeps, and says how much.
func TestMemtableMemory(t *testing.T) {
	const keys = 1000
	for name, valueBytes := range map[string]func(round, key int) int{
		"same length":        func(int, int) int { return 20 },
		"length that change": func(round, key int) int { return (round*7 + key) % 40 },
		"long once":          func(round, _ int) int { return max(20, 5000-5000*round) },
	} {
		t.Run(name, func(t *testing.T) {
			m := NewMemtable(backend.KeyGroupRange{End: 4})
			for round := range 400 {
				for k := range keys {
					c := backend.Change{Entry: backend.Entry{
						Group: statefun.KeyGroup(k % 4), Key: fmt.Append(nil, k), Value: make([]byte, valueBytes(round, k)),
					}}
					m.PutAll([]backend.Change{c})
				}
			}
			if most := int64(keys * 500); m.Bytes() > most {
				t.Errorf("%d bytes for %d keys; want at most %d", m.Bytes(), keys, most)
			}
			check := func() {
				t.Helper()
				var sum int64
				for _, g := range m.groups {
					sum += int64(cap(g.pending)+cap(g.table.arena)) + int64(len(g.table.slots)*8)
				}
				if sum != m.Bytes() {
					t.Errorf("says it takes %d bytes, and takes %d", m.Bytes(), sum)
				}
			}
			check()
			full := m.Bytes()
			m.Keep(full)
			drained(t, m.Drain())
			if check(); m.Bytes() != full {
				t.Errorf("%d bytes are kept of %d", m.Bytes(), full)
			}
			drained(t, m.Drain()) // Nothing was put: the memory is not needed.
			if check(); m.Bytes() != 0 {
				t.Errorf("%d bytes are kept; want none", m.Bytes())
			}
		})
	}
}
