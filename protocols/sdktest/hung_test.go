// SPDX-License-Identifier: Apache-2.0

package sdktest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace-io/millrace/engine/remote"
)

// A server that accepts and never answers holds no more connections than it may, and nobody else back: another
// type goes on, and when the server comes to itself, nothing is lost.
func TestHungEndpoint(t *testing.T) {
	const connections, stuck = 8, 200
	calls := 100_000
	if short() {
		calls = 5_000
	}
	healthy, hung := startServer(t, "tcp", plain), startServer(t, "tcp", plain)
	r := start(t,
		at(t, "test/counter", healthy.url(), impatient()),
		at(t, "test/courier", hung.url(), remote.Policy{InFlightMax: connections, Call: time.Hour}),
	)
	t.Logf("all is well:         p99 %v", p99(r, calls))

	hung.sabotage(sabotage{Kinds: []string{"hang"}, Share: 1})
	for n := range stuck {
		r.mustSend(address("courier", id(n)), errands(errand{Do: "emit", Value: int64(n)}))
	}
	r.until("all connections of the hung server", func() bool { return hung.stats().Requests == connections })
	t.Logf("one endpoint hangs:  p99 %v", p99(r, calls))
	if s := hung.stats(); s.Open != connections || s.OpenPeak != connections || s.Requests != connections {
		t.Errorf("the hung server has %d connections, at most %d at once, and %d requests; want %d", s.Open, s.OpenPeak, s.Requests, connections)
	}
	if f := r.stats("courier"); f.In != 0 || f.InFlight != connections || f.Backlog != stuck {
		t.Errorf("hung: %d through, %d in flight, %d wait", f.In, f.InFlight, f.Backlog)
	}

	hung.sabotage(sabotage{})
	r.until("what was stuck", func() bool { return r.in("courier") == stuck && len(r.kept()) == stuck })
}

// p99 has callers ask counters, all the time, and returns the time that all but one of a hundred calls take at
// most.
func p99(r *rig, calls int) time.Duration {
	const callers = 64
	times := make([]time.Duration, calls)
	var group errgroup.Group
	for c := range callers {
		group.Go(func() error {
			for n := c; n < calls; n += callers {
				begun := time.Now()
				if _, err := r.read(fmt.Sprint("caller-", c)); err != nil {
					return err
				}
				times[n] = time.Since(begun)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		r.t.Fatal(err)
	}
	slices.Sort(times)
	return times[calls*99/100].Round(time.Microsecond)
}
