// SPDX-License-Identifier: Apache-2.0

package sdktest

import (
	"testing"
	"time"
)

// A thousand counters are sent a thousand messages each, and have had every one of them once, in order, over
// TCP and over a unix socket.
func TestThousandTimesThousand(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			addresses, messages := thousands()
			s := startServer(t, network, plain)
			r := start(t, at(t, "test/*", s.url(), impatient()))
			begun := time.Now()
			r.completed(addresses, messages, r.count(addresses, messages))
			t.Logf("%d x %d in %v, %d requests", addresses, messages, time.Since(begun).Round(time.Millisecond), s.stats().Requests)
			r.counted(addresses, messages)
		})
	}
}

// The same while the function server is killed, again and again, and started anew.
func TestServerIsKilledUnderLoad(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			addresses, messages := thousands()
			s := startServer(t, network, plain)
			r := start(t, at(t, "test/*", s.url(), impatient()))
			const kills = 10
			sent := r.count(addresses, messages)
			for k := range int64(kills) {
				r.until("progress", func() bool { return r.in("counter") > k*int64(addresses*messages)/kills })
				s.kill()
				s.start()
			}
			r.completed(addresses, messages, sent)
			if f := r.stats("counter"); f.Failures == 0 {
				t.Errorf("no request has failed while the server was killed %d times", kills)
			}
			r.counted(addresses, messages)
		})
	}
}

func thousands() (addresses, messages int) {
	if short() {
		return 200, 100
	}
	return 1000, 1000
}

// completed waits until all messages are sent, and as many have taken effect, and no more.
func (r *rig) completed(addresses, messages int, sent <-chan error) {
	r.t.Helper()
	if err := <-sent; err != nil {
		r.t.Fatal(err)
	}
	total := int64(addresses * messages)
	r.until("all messages", func() bool { return r.in("counter") >= total })
	if n := r.in("counter"); n != total {
		r.t.Errorf("%d messages have taken effect, %d were sent", n, total)
	}
}
