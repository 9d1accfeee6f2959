// SPDX-License-Identifier: Apache-2.0

package shard

import "github.com/millrace-io/millrace/engine/backend"

// changes is what a shard has to say in an epoch, in pieces. One buffer for all of it would be copied again and
// again while it grows, and at tens of megabytes each time would be a stop that callers notice.
type changes struct {
	pieces [][]byte // In order; those behind open are empty.
	open   int
	full   int // Bytes in the pieces before open.
}

const (
	// pieceMin and pieceMax are the sizes of the first piece, for the many shards that have little to say, and of
	// those from the third on: a tenth of a millisecond to get from the operating system.
	pieceMin = 64 << 10
	pieceMax = 1 << 20
	// pieceRoom is what a piece has left when a change is begun. A longer one makes the piece grow.
	pieceRoom = 4 << 10
	// piecesKept is how many stay, however little an epoch changes.
	piecesKept = 4
)

// begin returns where the next change is to be appended. What comes of that is given to end.
func (c *changes) begin() []byte {
	if c.open == len(c.pieces) {
		c.pieces = append(c.pieces, make([]byte, 0, pieceBytes(c.open)))
	}
	if b := c.pieces[c.open]; len(b)+pieceRoom <= cap(b) {
		return b
	}
	return c.next()
}

func pieceBytes(i int) int { return min(pieceMin<<(2*min(i, 2)), pieceMax) }

func (c *changes) next() []byte {
	c.full += len(c.pieces[c.open])
	c.open++
	return c.begin()
}

func (c *changes) end(b []byte) { c.pieces[c.open] = b }

// bytes returns how much there is.
func (c *changes) bytes() int {
	if c.open == len(c.pieces) {
		return c.full
	}
	return c.full + len(c.pieces[c.open])
}

// parts returns all of it. It is valid until reset.
func (c *changes) parts(shard int) []backend.Part {
	var parts []backend.Part
	for _, b := range c.pieces[:min(c.open+1, len(c.pieces))] {
		if len(b) > 0 {
			parts = append(parts, backend.Part{Shard: shard, Changes: b})
		}
	}
	return parts
}

// reset empties the pieces. After a peak it gives some back, and always those that one long change has made grow.
func (c *changes) reset() {
	if keep := max(piecesKept, 2*(c.open+1)); len(c.pieces) > keep {
		clear(c.pieces[keep:])
		c.pieces = c.pieces[:keep]
	}
	for i, b := range c.pieces {
		if c.pieces[i] = b[:0]; cap(b) > 2*pieceBytes(i) {
			c.pieces[i] = make([]byte, 0, pieceBytes(i))
		}
	}
	c.open, c.full = 0, 0
}
