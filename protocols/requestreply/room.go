// SPDX-License-Identifier: Apache-2.0

package requestreply

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// smallReply is what a reply may take of memory without asking. All that are in progress at once have
	// that much.
	smallReply = 64 << 10
	// roomBytes is what the others of an endpoint have together, besides one.
	roomBytes = 64 << 20
)

// room bounds the memory that the large replies of one endpoint take at a time, however many are in progress
// and whatever the other end sends. Each takes more as it grows. When there is no more, one of them goes on
// without asking, so that it comes to its end, and the others wait for their turn to be that one; so they
// cannot all wait for each other. What waits does not read, and the sender finds its window closed.
type room struct {
	mu   sync.Mutex
	free int // Guarded by mu.

	last chan struct{} // Holds a token while somebody goes on without asking.
}

// share is what one reply has of a room.
type share struct {
	taken int
	last  bool
}

func newRoom() *room { return &room{free: roomBytes, last: make(chan struct{}, 1)} }

var errNoRoom = errors.New("too many large answers are being read at once")

// grow makes room for a reply of so many bytes, or fails when its time is over or ctx is done.
func (m *room) grow(ctx context.Context, s *share, bytes int, until time.Time) error {
	if s.last || bytes <= smallReply+s.taken || m.take(s, bytes-smallReply-s.taken) {
		return nil
	}
	select { // Before the time is looked at: a turn that is free is taken.
	case m.last <- struct{}{}:
		s.last = true
		return nil
	default:
	}
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case m.last <- struct{}{}:
		s.last = true
		return nil
	case <-timer.C:
		return errNoRoom
	case <-ctx.Done():
		return errClosed
	}
}

func (m *room) take(s *share, more int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.free < more {
		return false
	}
	m.free -= more
	s.taken += more
	return true
}

// release gives back what a reply has, once nobody needs it any more.
func (m *room) release(s *share) {
	if s.last {
		<-m.last
	}
	if s.taken > 0 {
		m.mu.Lock()
		m.free += s.taken
		m.mu.Unlock()
	}
	*s = share{}
}
