// SPDX-License-Identifier: Apache-2.0

package sorted

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"

	"github.com/millrace-io/millrace/backends/logstore/format"
)

// Five million changes of a number of keys, half of all keys or half a million in an epoch, put and drained in order. Made
// is how shards write an epoch, by when an instance was made; random is as bad as it gets.
func BenchmarkMemtable(b *testing.B) {
	const groups, changes, epoch = 128, 5_000_000, 500_000
	for _, keys := range []int{1_000_000, changes} {
		for _, order := range []string{"made", "random"} {
			b.Run(fmt.Sprintf("keys=%d/order=%s", keys, order), func(b *testing.B) {
				rng := rand.New(rand.NewPCG(1, 2))
				var part []byte
				for from := 0; from < changes; from += epoch {
					ids := rng.Perm(keys)[:epoch]
					if order == "made" {
						slices.Sort(ids)
					}
					for _, i := range ids {
						id := fmt.Sprintf("user-%011d", i)
						group := statefun.KeyGroupOf(statefun.KeyHash(id), groups)
						part = backend.AppendPut(part, group, append([]byte{1, 7}, id...), make([]byte, 20))
					}
				}
				m := NewMemtable(backend.KeyGroupRange{End: groups})
				m.Keep(1 << 30)
				batch := make([]backend.Change, 64)
				for b.Loop() {
					for rest := part; len(rest) > 0; {
						count := 0
						for ; count < len(batch) && len(rest) > 0; count++ {
							n, err := format.NextChange(rest, &batch[count])
							if err != nil {
								b.Fatal(err)
							}
							rest = rest[n:]
						}
						m.PutAll(batch[:count])
					}
					b.ReportMetric(float64(m.Bytes())/float64(keys), "B/key")
					for d := m.Drain(); d.Head() != nil; {
						if err := d.Advance(); err != nil {
							b.Fatal(err)
						}
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/changes, "ns/change")
			})
		}
	}
}
