// SPDX-License-Identifier: Apache-2.0

package sorted

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"
)

// Five million changes of a number of keys, in no order, gathered and put in order.
func BenchmarkMemtable(b *testing.B) {
	const groups, changes = 128, 5_000_000
	for _, keys := range []int{1_000_000, 5_000_000} {
		b.Run(fmt.Sprintf("keys=%d", keys), func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 2))
			batch := make([]backend.Change, 64)
			text := make([]byte, 0, 64*64)
			for b.Loop() {
				m := NewMemtable(backend.KeyGroupRange{End: groups})
				for range changes / len(batch) {
					text = text[:0]
					for i := range batch {
						at := len(text)
						text = fmt.Appendf(text, "\x01\x07user-%011d", rng.IntN(keys))
						value := len(text)
						id := text[at+2 : value]
						text = binary.LittleEndian.AppendUint64(append(text, make([]byte, 12)...), uint64(i))
						batch[i].Entry = backend.Entry{
							Group: statefun.KeyGroupOf(statefun.KeyHash(string(id)), groups),
							Key:   text[at:value], Value: text[value:],
						}
					}
					m.PutAll(batch)
				}
				b.ReportMetric(float64(m.Bytes())/float64(keys), "B/key")
				n := 0
				for d := m.Drain(); d.Head() != nil; n++ {
					if err := d.Advance(); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/changes, "ns/change")
		})
	}
}
