// SPDX-License-Identifier: Apache-2.0

package mailbox

import (
	"runtime"
	"sync/atomic"

	"github.com/puzpuzpuz/xsync/v3"

	"github.com/millrace-io/millrace/engine/internal/envelope"
)

// Inbox is where everybody who has no ring of their own leaves batches for a shard: doors, completions,
// callers of the API. Any number of goroutines may push; one shard pops.
type Inbox struct {
	queue *xsync.MPMCQueueOf[*envelope.Batch]
	slots int64

	_ pad
	// waiting counts what has been let in and not taken. It is raised before the push and lowered
	// after the pop, so that whoever was let in finds a slot.
	waiting atomic.Int64
	_       pad
}

// NewInbox returns an empty inbox for the given number of batches.
func NewInbox(slots int) *Inbox {
	return &Inbox{queue: xsync.NewMPMCQueueOf[*envelope.Batch](slots), slots: int64(slots)}
}

// TryPush leaves a batch, or reports false when the inbox is full.
func (i *Inbox) TryPush(b *envelope.Batch) bool {
	if i.waiting.Add(1) > i.slots {
		i.waiting.Add(-1)
		return false
	}
	// TryEnqueue gives up when it loses a race; there is room, so another try will find it.
	for !i.queue.TryEnqueue(b) {
		runtime.Gosched()
	}
	return true
}

// Pop takes a batch, or returns nil. Only the shard calls it. It may return nil while a push is in
// progress; Empty then reports false.
func (i *Inbox) Pop() *envelope.Batch {
	if i.waiting.Load() == 0 {
		return nil
	}
	b, ok := i.queue.TryDequeue()
	if !ok {
		return nil
	}
	i.waiting.Add(-1)
	return b
}

// Empty reports whether nothing has been left.
func (i *Inbox) Empty() bool { return i.waiting.Load() == 0 }
