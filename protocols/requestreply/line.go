// SPDX-License-Identifier: Apache-2.0

package requestreply

// line is the calls that wait, in order. It is linked through them, so that one whose time is over leaves
// from the middle, and a request needs no memory to wait.
type line struct{ first, last *call }

func (l *line) push(c *call) {
	c.inLine, c.prev, c.next = true, l.last, nil
	if l.last == nil {
		l.first = c
	} else {
		l.last.next = c
	}
	l.last = c
}

func (l *line) remove(c *call) {
	if c.prev == nil {
		l.first = c.next
	} else {
		c.prev.next = c.next
	}
	if c.next == nil {
		l.last = c.prev
	} else {
		c.next.prev = c.prev
	}
	c.inLine, c.prev, c.next = false, nil, nil
}
