// SPDX-License-Identifier: Apache-2.0

package table

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/millrace-io/millrace/engine/backend"

	"github.com/millrace-io/millrace/backends/logstore/disk"
	"github.com/millrace-io/millrace/backends/logstore/format"
)

// Writer writes a table from changes in ascending order, in one pass and with little memory: a few blocks
// and the root, which is a few millionths of the table.
type Writer struct {
	file    disk.File
	number  uint64
	out     []byte // What is not yet written.
	written int64
	dirty   int64 // Written and not yet synced.
	data    level
	index   level
	root    level
	entries uint64
	deletes uint64
}

// level gathers one kind of block.
type level struct {
	payload []byte
	first   backend.Entry // The first key of the block. Owns its bytes.
}

const (
	writeBytes = 256 << 10
	// syncBytes is how much a writer leaves to the file system before it syncs. A commit that has to wait for
	// the same disk, or for the same journal, then waits for this much and not for a whole table.
	syncBytes = 4 << 20
)

// NewWriter begins a table in an empty file.
func NewWriter(f disk.File, id format.StoreID, number uint64) *Writer {
	h := format.Header{Kind: format.KindTable, Store: id, Number: number}
	return &Writer{file: f, number: number, out: format.AppendHeader(nil, h)}
}

// Add appends a change. Its key comes behind those of all before it.
func (w *Writer) Add(c *backend.Change) error {
	if len(w.data.payload) >= blockBytes {
		if err := w.endData(); err != nil {
			return err
		}
	}
	w.data.begin(&c.Entry)
	w.data.payload = format.AppendChange(w.data.payload, c)
	w.entries++
	if c.Delete {
		w.deletes++
	}
	return nil
}

// Bytes returns how long the table is so far.
func (w *Writer) Bytes() int64 {
	return w.written + int64(len(w.out)+len(w.data.payload)+len(w.index.payload)+len(w.root.payload))
}

// Finish writes what is left and makes the table durable; its name the caller makes durable.
func (w *Writer) Finish() (bytes int64, err error) {
	if err := w.endData(); err != nil {
		return 0, err
	}
	if err := w.endIndex(); err != nil {
		return 0, err
	}
	root, err := w.block(kindRoot, &w.root)
	if err != nil {
		return 0, err
	}
	start := len(w.out)
	w.out = binary.LittleEndian.AppendUint64(w.out, uint64(root.at))
	w.out = binary.LittleEndian.AppendUint64(w.out, uint64(root.bytes))
	w.out = binary.LittleEndian.AppendUint64(w.out, w.entries)
	w.out = binary.LittleEndian.AppendUint64(w.out, w.deletes)
	w.out = binary.LittleEndian.AppendUint64(w.out, w.number)
	w.out = append(w.out, footerMagic...)
	w.out = binary.LittleEndian.AppendUint32(w.out, format.Checksum(w.out[start:]))
	if err := w.flush(); err != nil {
		return 0, err
	}
	return w.written, w.sync()
}

func (l *level) begin(first *backend.Entry) {
	if len(l.payload) == 0 {
		l.first.Group = first.Group
		l.first.Key = append(l.first.Key[:0], first.Key...)
	}
}

// put notes where a block of the level below is.
func (l *level) put(first *backend.Entry, p place) {
	l.begin(first)
	var b [2 * binary.MaxVarintLen64]byte
	l.payload = backend.AppendPut(l.payload, first.Group, first.Key, appendPlace(b[:0], p))
}

func (w *Writer) endData() error {
	if len(w.data.payload) == 0 {
		return nil
	}
	p, err := w.block(kindData, &w.data)
	if err != nil {
		return err
	}
	w.index.put(&w.data.first, p)
	if len(w.index.payload) >= blockBytes {
		return w.endIndex()
	}
	return nil
}

func (w *Writer) endIndex() error {
	if len(w.index.payload) == 0 {
		return nil
	}
	p, err := w.block(kindIndex, &w.index)
	if err != nil {
		return err
	}
	w.root.put(&w.index.first, p)
	return nil
}

func (w *Writer) block(kind uint32, l *level) (place, error) {
	if len(l.payload) > math.MaxUint32 {
		return place{}, fmt.Errorf("table %d: a block of %d bytes, at most %d are possible",
			w.number, len(l.payload), uint32(math.MaxUint32))
	}
	at := w.written + int64(len(w.out))
	w.out = appendFrame(w.out, w.number, at, kind, l.payload)
	w.out = append(w.out, l.payload...)
	p := place{at: at, bytes: frameBytes + int64(len(l.payload))}
	l.payload = l.payload[:0]
	if len(w.out) < writeBytes {
		return p, nil
	}
	return p, w.flush()
}

func (w *Writer) flush() error {
	n, err := w.file.WriteAt(w.out, w.written)
	w.written += int64(n)
	w.dirty += int64(n)
	w.out = w.out[:0]
	if err != nil {
		return fmt.Errorf("table %d: %w", w.number, err)
	}
	if w.dirty >= syncBytes {
		return w.sync()
	}
	return nil
}

func (w *Writer) sync() error {
	w.dirty = 0
	if err := w.file.Sync(); err != nil {
		return fmt.Errorf("table %d: %w: %w", w.number, backend.ErrSync, err)
	}
	return nil
}
