// SPDX-License-Identifier: Apache-2.0

package mailbox

import (
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/millrace-io/millrace/engine/internal/envelope"
)

// BenchmarkRing measures one batch from one goroutine to another and back, empty.
func BenchmarkRing(b *testing.B) {
	for _, slots := range []int{1, 64} {
		b.Run(fmt.Sprintf("slots=%d", slots), func(b *testing.B) {
			b.ReportAllocs()
			r := NewRing(slots, NewGate(1))
			for range slots {
				r.Return(envelope.New(1))
			}
			var consumer sync.WaitGroup
			consumer.Go(func() {
				for n := 0; n < b.N; {
					if batch := r.Pop(); batch != nil {
						r.Return(batch)
						n++
					} else {
						runtime.Gosched()
					}
				}
			})
			for n := 0; n < b.N; {
				if batch := r.Recycled(); batch != nil {
					r.Push(batch)
					n++
				} else {
					runtime.Gosched()
				}
			}
			consumer.Wait()
		})
	}
}

// BenchmarkInboxPush measures one batch that is left by one of several producers and taken.
func BenchmarkInboxPush(b *testing.B) {
	for _, producers := range []int{1, 2, 4} {
		b.Run(fmt.Sprintf("producers=%d", producers), func(b *testing.B) {
			b.ReportAllocs()
			inbox := NewInbox[envelope.Batch](1024)
			batch := envelope.New(1)
			var all sync.WaitGroup
			for i := range producers {
				all.Go(func() {
					for range (b.N + i) / producers {
						for !inbox.TryPush(batch) {
							runtime.Gosched()
						}
					}
				})
			}
			for n := 0; n < b.N; {
				if inbox.Pop() != nil {
					n++
				} else {
					runtime.Gosched()
				}
			}
			all.Wait()
		})
	}
}
