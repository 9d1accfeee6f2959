// SPDX-License-Identifier: Apache-2.0

package table

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/millrace-io/millrace/engine/statefun"
)

// benchTable is a table of n instances with 16-byte ids and their keys in random order.
func benchTable(b *testing.B, n int) (*Table, []Key) {
	b.Helper()
	arena := NewArena(func(n int) []byte { return make([]byte, n) })
	t := New(arena, NewHeap(arena), 8)
	keys := make([]Key, n)
	for i := range keys {
		id := fmt.Sprintf("user-%011d", i)
		keys[i] = *ident{statefun.KeyHash(id), id}.key()
		t.Insert(&keys[i])
	}
	rand.New(rand.NewPCG(1, 2)).Shuffle(n, func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	return t, keys
}

// BenchmarkFind measures one lookup after the other, index and row; bytes/instance is all memory of the
// table.
func BenchmarkFind(b *testing.B) {
	for _, n := range []int{1_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("instances=%d", n), func(b *testing.B) {
			t, keys := benchTable(b, n)
			i := 0
			for b.Loop() {
				if _, ok := t.Find(&keys[i]); !ok {
					b.Fatal("not found")
				}
				if i++; i == len(keys) {
					i = 0
				}
			}
			b.ReportAllocs()
			b.ReportMetric(float64(t.arena.Bytes())/float64(n), "bytes/instance")
		})
	}
}

// BenchmarkInsertRelease measures an instance that comes and goes among others.
func BenchmarkInsertRelease(b *testing.B) {
	t, _ := benchTable(b, 100_000)
	k := ident{statefun.KeyHash("another"), "another"}.key()
	b.ReportAllocs()
	for b.Loop() {
		t.Release(t.Insert(k), k.Tag)
	}
}
