// SPDX-License-Identifier: Apache-2.0

package remote

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/statefun"
)

// What a feed says that it has sent to each key is what it has sent, in rows, wherever it is stopped.
func TestFeedCounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keyCount := rapid.IntRange(1, 8).Draw(t, "keys")
		row := rapid.IntRange(1, 5).Draw(t, "row")
		most := rapid.SampledFrom([]int{forever, 0, 1, 17, 100}).Draw(t, "most")
		polls := rapid.IntRange(0, 6).Draw(t, "polls")
		ids := balanced(keyCount, 1)
		f := newFeed(ids, row, most, []byte("v"))
		close(f.begin)
		var sent []int
		for ended := false; !ended; polls-- {
			if polls <= 0 {
				f.stopped.Store(true)
			}
			events := connector.NewEvents(rapid.IntRange(1, 30).Draw(t, "room"))
			err := f.Poll(t.Context(), events)
			if err != nil && !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			ended = err != nil
			for i := range events.Len() {
				var e connector.Event
				events.At(i, &e)
				k := slices.Index(ids, string(e.Key))
				if string(e.Value) != "v" || k != len(sent)/row%keyCount {
					t.Fatalf("event %d is %q for %q", len(sent), e.Value, e.Key)
				}
				sent = append(sent, k)
			}
		}
		if len(sent) != f.sent || len(sent) > most {
			t.Fatalf("%d events were sent of %d; the feed says %d", len(sent), most, f.sent)
		}
		for k := range keyCount {
			want := len(slices.DeleteFunc(slices.Clone(sent), func(other int) bool { return other != k }))
			if got := f.count(k); got != want {
				t.Fatalf("%d events were sent to key %d of %d in rows of %d; the feed says %d", want, k, keyCount, row, got)
			}
		}
	})
}

// The engine's epochs go on while a feed has not begun.
func TestFeedWaits(t *testing.T) {
	f := newFeed(balanced(1, 1), 1, 1, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	events := connector.NewEvents(1)
	if err := f.Poll(ctx, events); err != nil || events.Len() != 0 {
		t.Errorf("Poll = %v with %d events, before the beginning", err, events.Len())
	}
}

// Every shard has as many keys as the others, or one less.
func TestKeysAreBalanced(t *testing.T) {
	for groups := 1; groups < 8; groups++ {
		const n = 100
		count, seen := make([]int, groups), map[string]bool{}
		for _, id := range balanced(n, groups) {
			count[statefun.KeyGroupOf(statefun.KeyHash(id), groups)]++
			seen[id] = true
		}
		if len(seen) != n || slices.Max(count) > (n+groups-1)/groups {
			t.Errorf("%d different keys fall on %d groups as %v", len(seen), groups, count)
		}
	}
}
