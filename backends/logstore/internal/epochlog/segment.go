// SPDX-License-Identifier: Apache-2.0

package epochlog

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/millrace-io/millrace/engine/backend"

	"github.com/millrace-io/millrace/backends/logstore/disk"
	"github.com/millrace-io/millrace/backends/logstore/format"
)

// Position is a place between two records.
type Position struct {
	Segment  uint64
	Offset   int64
	Sequence uint64 // Of the record before it; 0 at the beginning of the log.
	Checksum uint32 // Of the record before it.
	Bytes    uint64 // Of all records before it, also those that are no longer there.
}

// after returns the position behind a record that is at p. When it is the last of its segment, the position
// is the beginning of the next.
func (p Position) after(r *Record) Position {
	next := Position{
		Segment: p.Segment, Offset: p.Offset + r.bytes(),
		Sequence: r.Sequence, Checksum: r.checksum, Bytes: p.Bytes + uint64(r.bytes()),
	}
	if r.Last {
		next.Segment, next.Offset = p.Segment+1, format.PageBytes
	}
	return next
}

// Start is where the log of a new store begins.
var Start = Position{Segment: 1, Offset: format.PageBytes}

// Segment is one file of the log. Its first page is its header.
type Segment struct {
	*disk.Handle
	Number uint64
}

// SegmentName returns the name of a segment's file.
func SegmentName(number uint64) string { return fmt.Sprintf("log-%012d", number) }

// ParseSegmentName returns the number of a segment, if that is what the file is.
func ParseSegmentName(name string) (number uint64, ok bool) {
	digits, ok := strings.CutPrefix(name, "log-")
	number, err := strconv.ParseUint(digits, 10, 64)
	return number, ok && err == nil && SegmentName(number) == name
}

// CreateSegment makes an empty segment, durably.
func CreateSegment(fs disk.FS, id format.StoreID, number uint64) (*Segment, error) {
	f, err := fs.Create(SegmentName(number))
	if err != nil {
		return nil, err
	}
	page := format.AppendHeader(nil, format.Header{Kind: format.KindLog, Store: id, Number: number})
	page = append(page, make([]byte, format.PageBytes-len(page))...)
	if _, err := f.WriteAt(page, 0); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if err := f.Sync(); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", backend.ErrSync, err), f.Close())
	}
	if err := fs.SyncDir(); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", backend.ErrSync, err), f.Close())
	}
	return &Segment{Handle: disk.NewHandle(f, SegmentName(number)), Number: number}, nil
}

// openSegment opens a segment that must exist.
func openSegment(fs disk.FS, id format.StoreID, number uint64) (*Segment, error) {
	name := SegmentName(number)
	f, err := fs.Open(name)
	if err != nil {
		return nil, err
	}
	s := &Segment{Handle: disk.NewHandle(f, name), Number: number}
	if err := s.checkHeader(id); err != nil {
		s.Release()
		return nil, err
	}
	return s, nil
}

func (s *Segment) checkHeader(id format.StoreID) error {
	page := make([]byte, format.PageBytes)
	n, err := s.ReadAt(page, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	h, err := format.ParseHeader(s.Name, page[:n], format.KindLog)
	if err != nil {
		return err
	}
	if err := h.Want(s.Name, id, s.Number); err != nil {
		return err
	}
	if n < len(page) || !format.Zero(page[format.HeaderBytes:]) {
		return format.Corrupt(s.Name, format.HeaderBytes, "header page")
	}
	return nil
}
