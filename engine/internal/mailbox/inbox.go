// SPDX-License-Identifier: Apache-2.0

package mailbox

import (
	"runtime"
	"sync/atomic"

	"github.com/puzpuzpuz/xsync/v3"
)

// Inbox is where everybody who has no ring of their own leaves something for a shard: doors and callers of
// the API their batches, invokers what they have brought back. Any number of goroutines may push; one shard
// pops.
type Inbox[T any] struct {
	queue *xsync.MPMCQueueOf[*T]
	slots int64

	_ pad
	// waiting counts what has been let in and not taken. It is raised before the push and lowered
	// after the pop, so that whoever was let in finds a slot.
	waiting atomic.Int64
	_       pad
}

// NewInbox returns an empty inbox for the given number of items.
func NewInbox[T any](slots int) *Inbox[T] {
	return &Inbox[T]{queue: xsync.NewMPMCQueueOf[*T](slots), slots: int64(slots)}
}

// TryPush leaves an item, or reports false when the inbox is full.
func (i *Inbox[T]) TryPush(item *T) bool {
	if i.waiting.Add(1) > i.slots {
		i.waiting.Add(-1)
		return false
	}
	// TryEnqueue gives up when it loses a race; there is room, so another try will find it.
	for !i.queue.TryEnqueue(item) {
		runtime.Gosched()
	}
	return true
}

// Pop takes an item, or returns nil. Only the shard calls it. It may return nil while a push is in
// progress; Empty then reports false.
func (i *Inbox[T]) Pop() *T {
	if i.waiting.Load() == 0 {
		return nil
	}
	item, ok := i.queue.TryDequeue()
	if !ok {
		return nil
	}
	i.waiting.Add(-1)
	return item
}

// Empty reports whether nothing has been left.
func (i *Inbox[T]) Empty() bool { return i.waiting.Load() == 0 }
