// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"fmt"
	"sync"

	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/statefun"
)

// caller is the function type that functions see as the sender of a call.
var caller = statefun.FunctionType{Namespace: "io.millrace.admin", Name: "caller"}

// door is the part of a server that takes messages in. It is open while the engine is.
type door struct {
	base   context.Context    // Of calls; over when nobody waits for them any more.
	giveUp context.CancelFunc // Ends base.

	mu    sync.Mutex
	entry connector.Entry // Guarded by mu. nil while the door is closed.
	users sync.WaitGroup  // Of entry. Add is guarded by mu.
}

var (
	_ connector.Door   = (*door)(nil)
	_ connector.Caller = (*door)(nil)
)

// Door takes in what is sent by hand.
func (s *Server) Door() connector.Door { return &s.door }

// CallerType implements connector.Caller.
func (d *door) CallerType() statefun.FunctionType { return caller }

// Open implements connector.Door.
func (d *door) Open(_ context.Context, in connector.Entry) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.entry = in
	return nil
}

// Close implements connector.Door.
func (d *door) Close(ctx context.Context) error {
	d.mu.Lock()
	d.entry = nil
	d.mu.Unlock()
	left := make(chan struct{})
	go func() {
		d.users.Wait()
		close(left)
	}()
	select {
	case <-left:
		return nil
	case <-ctx.Done():
		d.giveUp()
		<-left
		return fmt.Errorf("admin: close: calls were cut off: %w", ctx.Err())
	}
}

// enter returns the entry, and what to call when it is not used any more; false while the door is closed.
func (d *door) enter() (in connector.Entry, leave func(), ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.entry == nil {
		return nil, nil, false
	}
	d.users.Add(1)
	return d.entry, d.users.Done, true
}
