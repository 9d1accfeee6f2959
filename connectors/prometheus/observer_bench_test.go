// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/remote"
)

// An attempt is told of by the goroutines that carry requests: it makes no garbage.
func TestInvokedAllocatesNothing(t *testing.T) {
	c, failed := NewCollector(), error(&remote.Error{Reason: remote.TimedOut})
	observe(c)
	if n := testing.AllocsPerRun(1000, func() {
		c.Invoked(paid, 3*time.Second, failed)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkInvoked(b *testing.B) {
	c := NewCollector()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			c.Invoked(paid, 3*time.Millisecond, nil)
		}
	})
}
