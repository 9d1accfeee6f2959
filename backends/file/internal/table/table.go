// SPDX-License-Identifier: Apache-2.0

package table

import (
	"encoding/binary"
	"errors"
	"io"
	"slices"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"

	"github.com/millrace-io/millrace/backends/logstore/disk"
	"github.com/millrace-io/millrace/backends/logstore/format"
)

// Table is a table that can be read, by many goroutines at once.
type Table struct {
	*disk.Handle
	Number  uint64
	Bytes   int64
	Entries uint64 // Deletes included.
	Deletes uint64

	end  int64            // Where the root begins.
	root []backend.Change // The first key of each index block, and its place.
}

// Open reads header, footer and root of a table. The table holds the file, also when Open fails.
func Open(f disk.File, name string, id format.StoreID, number uint64, bytes int64) (*Table, error) {
	t := &Table{Handle: disk.NewHandle(f, name), Number: number, Bytes: bytes}
	if err := t.open(id); err != nil {
		t.Release()
		return nil, err
	}
	return t, nil
}

func (t *Table) open(id format.StoreID) error {
	size, err := t.Size()
	if err != nil {
		return err
	}
	if size != t.Bytes || size < format.HeaderBytes+frameBytes+footerBytes {
		return format.Corrupt(t.Name, size, "file ends, want %d bytes", t.Bytes)
	}
	head := make([]byte, format.HeaderBytes)
	if err := t.read(head, 0); err != nil {
		return err
	}
	h, err := format.ParseHeader(t.Name, head, format.KindTable)
	if err != nil {
		return err
	}
	if err := h.Want(t.Name, id, t.Number); err != nil {
		return err
	}

	at := size - footerBytes
	foot := make([]byte, footerBytes)
	if err := t.read(foot, at); err != nil {
		return err
	}
	root := place{at: int64(binary.LittleEndian.Uint64(foot)), bytes: int64(binary.LittleEndian.Uint64(foot[8:]))}
	t.Entries, t.Deletes = binary.LittleEndian.Uint64(foot[16:]), binary.LittleEndian.Uint64(foot[24:])
	switch {
	case binary.LittleEndian.Uint32(foot[44:]) != format.Checksum(foot[:44]) || string(foot[40:44]) != footerMagic:
		return format.Corrupt(t.Name, at, "footer checksum")
	case binary.LittleEndian.Uint64(foot[32:]) != t.Number:
		return format.Corrupt(t.Name, at, "footer of table %d", binary.LittleEndian.Uint64(foot[32:]))
	case root.at < format.HeaderBytes || root.bytes < frameBytes || root.at > at || root.bytes != at-root.at:
		return format.Corrupt(t.Name, at, "root at %d with %d bytes", root.at, root.bytes)
	}
	t.end = root.at
	t.root, err = t.block(root, kindRoot)
	return err
}

func (t *Table) read(b []byte, at int64) error {
	n, err := t.ReadAt(b, at)
	switch {
	case n == len(b):
		return nil
	case errors.Is(err, io.EOF):
		return format.Corrupt(t.Name, at+int64(n), "file ends, want %d bytes", t.Bytes)
	}
	return err
}

// block reads a block.
func (t *Table) block(p place, kind uint32) ([]backend.Change, error) {
	b := make([]byte, p.bytes)
	if err := t.read(b, p.at); err != nil {
		return nil, err
	}
	f := parseFrame(b)
	return t.decodeBlock(&f, kind, p.at, b[frameBytes:], nil)
}

// decodeBlock checks a block and appends its changes to dst.
func (t *Table) decodeBlock(f *frame, kind uint32, at int64, payload []byte, dst []backend.Change) ([]backend.Change, error) {
	switch {
	case f.payload != int64(len(payload)) || !f.holds(t.Number, at, payload):
		return nil, format.Corrupt(t.Name, at, "block checksum")
	case f.kind != kind:
		return nil, format.Corrupt(t.Name, at, "block of kind %d, want %d", f.kind, kind)
	}
	dst, err := decode(dst, payload)
	if err != nil {
		return nil, format.Corrupt(t.Name, at, "block: %v", err)
	}
	return dst, nil
}

// find returns the last change whose key is not behind the key of e: where e must be, if it is there.
func find(changes []backend.Change, e *backend.Entry) (c *backend.Change, exact bool) {
	i, exact := slices.BinarySearchFunc(changes, e, func(c backend.Change, e *backend.Entry) int {
		return format.Compare(&c.Entry, e)
	})
	switch {
	case exact:
		return &changes[i], true
	case i == 0:
		return nil, false
	}
	return &changes[i-1], false
}

// Get returns the change of a key. It owns its bytes.
func (t *Table) Get(group statefun.KeyGroup, key []byte) (c backend.Change, ok bool, err error) {
	e := &backend.Entry{Group: group, Key: key}
	p, ok, err := t.locate(e)
	if !ok || err != nil {
		return backend.Change{}, false, err
	}
	changes, err := t.block(p, kindData)
	if err != nil {
		return backend.Change{}, false, err
	}
	if found, exact := find(changes, e); exact {
		return *found, true, nil
	}
	return backend.Change{}, false, nil
}

// locate returns the data block in which a key is, if it is there; !ok when it comes before all blocks.
func (t *Table) locate(e *backend.Entry) (p place, ok bool, err error) {
	c, _ := find(t.root, e)
	if c == nil {
		return place{}, false, nil
	}
	if p, err = parsePlace(c.Value, t.end); err != nil {
		return place{}, false, format.Corrupt(t.Name, t.end, "root: %v", err)
	}
	index := p.at
	changes, err := t.block(p, kindIndex)
	if err != nil {
		return place{}, false, err
	}
	if c, _ = find(changes, e); c == nil {
		return place{}, false, format.Corrupt(t.Name, index, "index begins behind what the root says")
	}
	if p, err = parsePlace(c.Value, t.end); err != nil {
		return place{}, false, format.Corrupt(t.Name, index, "index: %v", err)
	}
	return p, true, nil
}
