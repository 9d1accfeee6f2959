// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"fmt"
	"testing"
	"unsafe"

	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/statefun"
)

// BenchmarkLease measures a message that changes a number of its instance, one of a thousand, with and without
// something that expires; time goes on by a millisecond with every 256 messages.
func BenchmarkLease(b *testing.B) {
	for _, bench := range []struct {
		name  string
		terms terms
	}{
		{"none", terms{}},
		{"write", terms{n: 60_000}},
		{"invoke", terms{i: 60_000}},
		{"idle", terms{idle: 60_000}},
	} {
		b.Run("expires="+bench.name, func(b *testing.B) {
			r := newLeaseRig(b, bench.terms)
			r.s.fns[fnLease].Inputs[0].Wire = func(_ unsafe.Pointer, inv *Invocation, _ []byte) error {
				v := &inv.fn.Values[0]
				inv.Touch()
				if v.Expiry != Never {
					inv.Wrote(v.Offset)
				}
				*(*int64)(unsafe.Add(inv.State, v.Offset))++
				inv.Row.Present |= 1 | 1<<2
				return nil
			}
			var batches []*envelope.Batch
			for i := range 4 {
				batch := envelope.New(256)
				for j := range 256 {
					id := fmt.Sprint("id", i*256+j)
					batch.SetWire(batch.Append(fnLease, 0, statefun.KeyHash(id), id), nil)
				}
				batches = append(batches, batch)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i%256 == 0 {
					r.advance(1)
					r.s.Step(r.now, batches[i/256%4])
				}
			}
		})
	}
}
