// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"
)

// Commit of 100,000 of a million entries: keys of 18 bytes, values of 12, so 37 bytes a change. In order
// is how shards write an epoch, by when an instance was made; at random is as bad as it gets.
func BenchmarkCommit(b *testing.B) {
	const keys, changes = 1_000_000, 100_000
	for _, order := range []string{"made", "random"} {
		b.Run(fmt.Sprintf("changes=%d/order=%s", changes, order), func(b *testing.B) {
			ids := make([]int, keys)
			for i := range ids {
				ids[i] = i
			}
			inOrder := epochsOf(ids, changes)
			store, err := Open(b.Context(), backend.Options{Application: "bench", KeyGroups: 128})
			if err != nil {
				b.Fatal(err)
			}
			cp := backend.Checkpoint{}
			commit := func(part backend.Part) {
				cp.Epoch++
				if err := store.Commit(b.Context(), cp, []backend.Part{part}); err != nil {
					b.Fatal(err)
				}
			}
			for _, part := range inOrder {
				commit(part)
			}
			epochs := inOrder
			if order == "random" {
				rand.New(rand.NewPCG(1, 2)).Shuffle(keys, func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
				epochs = epochsOf(ids, changes)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				commit(epochs[i%len(epochs)])
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/changes, "ns/change")
		})
	}
}

// epochsOf writes the entries of ids in their order, a part for each so many.
func epochsOf(ids []int, changes int) (epochs []backend.Part) {
	for ; len(ids) > 0; ids = ids[changes:] {
		var p backend.Part
		for _, i := range ids[:changes] {
			id := fmt.Sprintf("user-%011d", i)
			group := statefun.KeyGroupOf(statefun.KeyHash(id), 128)
			value := binary.LittleEndian.AppendUint64(make([]byte, 4, 12), uint64(i))
			p.Changes = backend.AppendPut(p.Changes, group, append([]byte{1, 7}, id...), value)
		}
		epochs = append(epochs, p)
	}
	return epochs
}
