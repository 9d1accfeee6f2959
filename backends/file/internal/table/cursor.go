// SPDX-License-Identifier: Apache-2.0

package table

import (
	"bufio"
	"errors"
	"io"
	"slices"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"

	"github.com/millrace-io/millrace/backends/logstore/format"
	"github.com/millrace-io/millrace/backends/logstore/sorted"
)

// readBytes is how much a cursor reads at once: as much as makes the call cheap.
const readBytes = 64 << 10

// cursor walks through the data blocks of a table.
type cursor struct {
	table   *Table
	in      *bufio.Reader
	at      int64 // Of the next block.
	end     statefun.KeyGroup
	payload []byte
	changes []backend.Change
	next    int // Behind the head in changes; 0 before the first step.
}

// Scan returns the changes of the key groups in r. The caller holds the table meanwhile.
func (t *Table) Scan(r backend.KeyGroupRange) (sorted.Source, error) {
	start := int64(format.HeaderBytes)
	first := &backend.Entry{Group: r.First}
	if p, ok, err := t.locate(first); err != nil {
		return nil, err
	} else if ok {
		start = p.at
	}
	c := &cursor{table: t, at: start, end: r.End}
	c.in = bufio.NewReaderSize(io.NewSectionReader(t.File, start, t.end-start), int(min(t.end-start, readBytes)))
	for {
		switch h, err := c.step(); {
		case err != nil:
			return nil, err
		case h == nil || format.Compare(&h.Entry, first) >= 0:
			return c, nil
		}
	}
}

func (c *cursor) Head() *backend.Change {
	if c.next == 0 || c.next > len(c.changes) {
		return nil
	}
	if h := &c.changes[c.next-1]; h.Group < c.end {
		return h
	}
	return nil
}

func (c *cursor) Advance() error {
	_, err := c.step()
	return err
}

func (c *cursor) Close() {}

// step goes to the next change, which may be in the next block.
func (c *cursor) step() (*backend.Change, error) {
	if c.next++; c.next > len(c.changes) {
		if err := c.load(); err != nil {
			return nil, err
		}
	}
	return c.Head(), nil
}

// load reads the next data block; none is left when there are no changes after it.
func (c *cursor) load() error {
	c.changes, c.next = c.changes[:0], 1
	for c.at < c.table.end {
		at := c.at
		var raw [frameBytes]byte
		if err := c.read(raw[:]); err != nil {
			return err
		}
		f := parseFrame(raw[:])
		if f.payload > c.table.end-c.at {
			return format.Corrupt(c.table.Name, at, "block of %d bytes, %d are left", f.payload, c.table.end-c.at)
		}
		c.payload = slices.Grow(c.payload[:0], int(f.payload))[:f.payload]
		if err := c.read(c.payload); err != nil {
			return err
		}
		if f.kind == kindIndex && f.holds(c.table.Number, at, c.payload) {
			continue
		}
		var err error
		if c.changes, err = c.table.decodeBlock(&f, kindData, at, c.payload, c.changes[:0]); err != nil {
			return err
		}
		if len(c.changes) > 0 {
			return nil
		}
	}
	return nil
}

func (c *cursor) read(b []byte) error {
	n, err := io.ReadFull(c.in, b)
	c.at += int64(n)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return format.Corrupt(c.table.Name, c.at, "file ends, want %d bytes", c.table.Bytes)
	}
	return err
}
