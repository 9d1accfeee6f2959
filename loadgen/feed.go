// SPDX-License-Identifier: Apache-2.0

package loadgen

import (
	"context"
	"io"

	"github.com/millrace-io/millrace/engine/connector"
)

// feed is a source of a fixed number of events, which it begins to hand out when begin is closed. Its
// other fields are owned by the source's goroutine.
type feed struct {
	begin chan struct{}
	count int
	sent  int
	next  func(i int, into *connector.Events) // Appends event number i.
}

var _ connector.Source = (*feed)(nil)

func newFeed(count int, next func(i int, into *connector.Events)) *feed {
	return &feed{begin: make(chan struct{}), count: count, next: next}
}

// Open implements connector.Source. A load has no place to come back to: each run sends all of it.
func (*feed) Open(context.Context, []byte) error { return nil }

// Poll implements connector.Source.
func (f *feed) Poll(ctx context.Context, into *connector.Events) error {
	select {
	case <-f.begin:
	case <-ctx.Done():
		return nil
	}
	i, end := f.sent, min(f.sent+into.Room(), f.count)
	for ; i < end; i++ {
		f.next(i, into)
	}
	if f.sent = end; end == f.count {
		return io.EOF
	}
	return nil
}

// Position implements connector.Source.
func (*feed) Position() []byte { return nil }

// Close implements connector.Source.
func (*feed) Close() error { return nil }
