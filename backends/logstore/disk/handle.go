// SPDX-License-Identifier: Apache-2.0

package disk

import (
	"fmt"
	"sync/atomic"
)

// Handle is an open file that several hold: whoever opened it, and those who read it meanwhile. It may be
// removed while they do; the last of them closes it.
type Handle struct {
	File
	Name string

	holders atomic.Int64
}

// NewHandle returns a file that its caller holds.
func NewHandle(f File, name string) *Handle {
	h := &Handle{File: f, Name: name}
	h.holders.Store(1)
	return h
}

// Retain adds a holder. The caller knows that there is one: it is one, or has a lock that keeps one.
func (h *Handle) Retain() { h.holders.Add(1) }

// Release takes a holder away. What closing may report would be about bytes that were only read, or that a sync
// has already answered for.
func (h *Handle) Release() {
	switch n := h.holders.Add(-1); {
	case n == 0:
		_ = h.Close()
	case n < 0:
		panic(fmt.Sprintf("disk: %s released once too often", h.Name))
	}
}
