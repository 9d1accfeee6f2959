// SPDX-License-Identifier: Apache-2.0

package remote

import (
	"context"
	"io"
	"math"
	"sync/atomic"

	"github.com/millrace-io/millrace/engine/connector"
)

// feed is a source of events for keys, so many in a row for each key and for all keys in turn, from when begin
// is closed until there are enough, or until it is stopped.
type feed struct {
	ids          []string
	row, most    int
	value        []byte
	begin, ended chan struct{}
	stopped      atomic.Bool

	sent int // Owned by the source's goroutine until ended is closed.
	id   []byte
}

var _ connector.Source = (*feed)(nil)

// forever is the number of events of a feed that has to be stopped.
const forever = math.MaxInt

func newFeed(ids []string, row, most int, value []byte) *feed {
	return &feed{ids: ids, row: row, most: most, value: value, begin: make(chan struct{}), ended: make(chan struct{})}
}

// Open implements connector.Source. A load has no place to come back to.
func (*feed) Open(context.Context, []byte) error { return nil }

// Poll implements connector.Source.
func (f *feed) Poll(ctx context.Context, into *connector.Events) error {
	select {
	case <-f.begin:
	case <-ctx.Done():
		return nil
	}
	for room := into.Room(); room > 0 && f.sent < f.most && !f.stopped.Load(); room-- {
		f.id = append(f.id[:0], f.ids[f.sent/f.row%len(f.ids)]...)
		into.Append(f.id, "", f.value)
		f.sent++
	}
	if f.sent == f.most || f.stopped.Load() {
		close(f.ended)
		return io.EOF
	}
	return nil
}

// count is how many events the key at a place among ids has been sent. It waits for the end of the feed.
func (f *feed) count(place int) int {
	<-f.ended
	turn := len(f.ids) * f.row
	return f.sent/turn*f.row + min(max(f.sent%turn-place*f.row, 0), f.row)
}

// Position implements connector.Source.
func (*feed) Position() []byte { return nil }

// Close implements connector.Source.
func (*feed) Close() error { return nil }
