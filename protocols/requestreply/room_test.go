// SPDX-License-Identifier: Apache-2.0

package requestreply

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// However many replies grow at a time, they have no more than the room and one whole reply, and all of them
// come to their end.
func TestRoomIsBounded(t *testing.T) {
	const replies, most = 64, 32 << 20
	m := newRoom()
	var held, peak atomic.Int64
	var all sync.WaitGroup
	for range replies {
		all.Go(func() {
			var s share
			size := 0
			for next := smallReply; next <= most; next *= 2 {
				if err := m.grow(t.Context(), &s, next, time.Now().Add(ample)); err != nil {
					t.Error(err)
					return
				}
				now := held.Add(int64(next - size))
				for p := peak.Load(); now > p && !peak.CompareAndSwap(p, now); p = peak.Load() {
				}
				size = next
			}
			held.Add(int64(-size))
			m.release(&s)
		})
	}
	all.Wait()
	if p := peak.Load(); p > roomBytes+most+replies*smallReply {
		t.Errorf("%d bytes at a time", p)
	}
	if m.free != roomBytes || len(m.last) != 0 {
		t.Errorf("in the end %d bytes are free, %d go on without asking", m.free, len(m.last))
	}
}

// Who waits for room gives up when its time is over, or the invoker is closed, and keeps nothing.
func TestRoomGivesUp(t *testing.T) {
	m := newRoom()
	var first, last, more share
	for _, s := range []*share{&first, &last} {
		if err := m.grow(t.Context(), s, roomBytes+smallReply, time.Now().Add(ample)); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.grow(t.Context(), &more, smallReply+1, time.Now()); !errors.Is(err, errNoRoom) {
		t.Errorf("without time: %v", err)
	}
	closed, cancel := context.WithCancel(t.Context())
	cancel()
	if err := m.grow(closed, &more, smallReply+1, time.Now().Add(ample)); !errors.Is(err, errClosed) {
		t.Errorf("closed: %v", err)
	}
	if more != (share{}) {
		t.Errorf("it keeps %+v", more)
	}
	m.release(&last)
	if err := m.grow(t.Context(), &more, smallReply+1, time.Now()); err != nil {
		t.Errorf("when there is a turn: %v", err)
	}
}

// A large reply has room until the engine needs it no more, and large replies to many requests at a time all
// arrive.
func TestLargeRepliesTakeRoom(t *testing.T) {
	text := strings.Repeat("x", 8<<20)
	answer := []byte(ok(echoBytes(mustAppend(t, text))))
	s := newRawServer(t, "unix", func(_ int, c *rawConn) {
		for buf := make([]byte, 4<<10); ; { // One read is one request.
			if _, err := c.Read(buf); err != nil {
				return
			}
			if _, err := c.Write(answer); err != nil {
				return
			}
		}
	})
	h := newHTTP(t, HTTPConfig{URL: s.url()})
	var requests []*asked
	for range 32 {
		requests = append(requests, ask(h, "small", ample))
	}
	var all sync.WaitGroup
	for _, a := range requests {
		all.Go(func() { // They wait for each other: whoever has arrived must make room.
			if got, err := a.answer(t); err != nil || got != text {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			if cap(a.r.Scratch.(*call).buf) < len(text) {
				t.Error("the reply is gone before the engine has said so")
			}
			a.r.Recycle()
			if kept := cap(a.r.Scratch.(*call).buf); kept > bufKept {
				t.Errorf("%d bytes are kept, want at most %d", kept, bufKept)
			}
		})
	}
	all.Wait()
	if h.room.free != roomBytes || len(h.room.last) != 0 {
		t.Errorf("%d bytes are not given back, %d go on without asking", roomBytes-h.room.free, len(h.room.last))
	}
	shut(t, h)
}
