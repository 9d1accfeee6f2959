// SPDX-License-Identifier: Apache-2.0

package epochlog

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/millrace-io/millrace/engine/statefun"

	"github.com/millrace-io/millrace/backends/logstore/disk"
	"github.com/millrace-io/millrace/backends/logstore/format"
	"github.com/millrace-io/millrace/backends/logstore/internal/planted"
)

// Found is what Recover has read.
type Found struct {
	Log         *Log
	Segments    []*Segment // All of the log. The caller holds them.
	Generation  statefun.Generation
	Epoch       statefun.Epoch // The newest; 0 when there is none.
	Description []byte         // Of the newest epoch.

	torn             bool
	last             *Segment // Where the last record is, unless it is known to have been committed.
	lastFrom, lastTo int64
}

// Recover reads the log from a position on to its end, and changes nothing. known is a record of which is
// known elsewhere that it was committed.
//
// The log ends where no record begins. That is damage, and not the end, when
//
//   - the record that should be there is known, or
//   - anything behind it shows that the log went on: a later record, in this or another segment, or the note
//     in the record before it that there is another segment, or
//   - what is there was not left behind by a crash. A crash while a record was being written, before it was
//     synced, leaves some of its sectors written and the others as they were: zeros, or behind the end of
//     the file. A record all of whose sectors are there, and yet not as they were written, is damaged.
//
// So the one thing that nobody can tell from a crash is damage to the very last record, of which no witness
// knows, that has cut it off or made zeros of a sector, or that has hit a record with sectors of zeros of its own.
func Recover(fs disk.FS, id format.StoreID, from Position, known uint64, segmentBytes int64) (*Found, error) {
	r := &recovery{fs: fs, id: id, known: known, buf: make([]byte, readBytes)}
	log := &Log{fs: fs, id: id, segmentBytes: segmentBytes}
	if err := r.run(from); err != nil {
		for _, s := range r.found.Segments {
			s.Release()
		}
		return nil, err
	}
	log.active, log.end, log.zeroed = r.found.Segments[len(r.found.Segments)-1], r.at, r.size
	log.active.Retain()
	r.found.Log = log
	return &r.found, nil
}

type recovery struct {
	fs    disk.FS
	id    format.StoreID
	known uint64
	buf   []byte

	at    Position
	size  int64 // Of the segment.
	found Found
}

const readBytes = 64 << 10

func (r *recovery) run(from Position) error {
	for r.at = from; ; {
		s, err := openSegment(r.fs, r.id, r.at.Segment)
		if errors.Is(err, fs.ErrNotExist) {
			return format.Corrupt(SegmentName(r.at.Segment), 0, "missing")
		}
		if err != nil {
			return err
		}
		r.found.Segments = append(r.found.Segments, s)
		if r.size, err = s.Size(); err != nil {
			return err
		}
		if r.at.Offset > r.size {
			return format.Corrupt(s.Name, r.size, "file ends, and the log goes on at %d", r.at.Offset)
		}
		if ended, err := r.segment(s); ended || err != nil {
			return err
		}
	}
}

// segment reads the records of a segment. ended says that the log ends in it.
func (r *recovery) segment(s *Segment) (ended bool, err error) {
	for {
		rec, bad, err := r.record(s)
		if err != nil {
			return false, err
		}
		if bad != nil {
			return true, r.end(s, &rec, bad)
		}
		r.found.Generation = rec.Generation
		if rec.Kind == Epoch {
			r.found.Epoch = rec.Epoch
			r.found.Description = make([]byte, rec.Description)
			if err := read(s, r.found.Description, r.at.Offset+recordBytes); err != nil {
				return false, err
			}
		}
		if rec.Sequence > r.known {
			r.found.last, r.found.lastFrom, r.found.lastTo = s, r.at.Offset, r.at.Offset+rec.bytes()
		}
		r.at = r.at.after(&rec)
		if rec.Last {
			return false, nil
		}
	}
}

var errEnd = errors.New("the log ends")

// record reads the record at which the recovery stands. bad says why there is none.
func (r *recovery) record(s *Segment) (rec Record, bad, err error) {
	at, left := r.at.Offset, r.size-r.at.Offset
	if left == 0 {
		return Record{}, errEnd, nil
	}
	head := r.buf[:min(recordBytes, left)]
	if err := read(s, head, at); err != nil {
		return Record{}, nil, err
	}
	if rec, bad = parseRecord(head); bad != nil {
		return Record{}, bad, nil
	}
	if bad := rec.follows(r.at, r.id); bad != nil {
		return rec, bad, nil
	}
	if rec.bytes() > left {
		return rec, fmt.Errorf("record %d: truncated", rec.Sequence), nil
	}
	var sum uint32
	err = r.each(s, at+recordBytes, at+rec.bytes(), func(b []byte) { sum = format.Extend(sum, b) })
	if err == nil && sum != rec.body {
		bad = fmt.Errorf("record %d: body checksum", rec.Sequence)
	}
	return rec, bad, err
}

// each reads a segment piece by piece. All but the last are as long as the buffer.
func (r *recovery) each(s *Segment, from, to int64, do func(b []byte)) error {
	for from < to {
		b := r.buf[:min(int64(len(r.buf)), to-from)]
		if err := read(s, b, from); err != nil {
			return err
		}
		do(b)
		from += int64(len(b))
	}
	return nil
}

// read reads all of b. That the file ends before it is damage: its size has been compared.
func read(s *Segment, b []byte, at int64) error {
	n, err := s.ReadAt(b, at)
	switch {
	case n == len(b):
		return nil
	case errors.Is(err, io.EOF):
		return format.Corrupt(s.Name, at+int64(n), "file ends")
	}
	return err
}

// end decides whether the log ends here, where rec is not a record because of bad.
func (r *recovery) end(s *Segment, rec *Record, bad error) error {
	if planted.DamageIsTheEnd {
		return nil
	}
	damage := func(text string, args ...any) error {
		return format.Corrupt(s.Name, r.at.Offset, "%v, %s", bad, fmt.Sprintf(text, args...))
	}
	if r.known > r.at.Sequence {
		return damage("but record %d is known to have been committed", r.known)
	}
	blank, later, err := r.rest(s)
	switch {
	case err != nil:
		return err
	case later > 0:
		return damage("but record %d follows", later)
	}
	if name, err := r.laterSegment(s.Number); err != nil {
		return err
	} else if name != "" {
		return damage("but there are records in %s", name)
	}
	if blank {
		return nil
	}
	lost, err := r.lost(s, rec)
	if err != nil {
		return err
	}
	if !lost {
		return damage("and no crash leaves that behind")
	}
	r.found.torn = true
	return nil
}

// rest reads what is behind the end: whether all of it is zeros, and the first record behind the end, if any.
func (r *recovery) rest(s *Segment) (blank bool, later uint64, err error) {
	blank = true
	at := r.at.Offset
	err = r.each(s, at, r.size, func(b []byte) {
		blank = blank && format.Zero(b)
		for i := 0; i < len(b) && later == 0; i += format.PageBytes {
			rec, bad := parseRecord(b[i:])
			if bad == nil && at+int64(i) > r.at.Offset && rec.store == r.id && rec.Sequence > r.at.Sequence {
				later = rec.Sequence
			}
		}
		at += int64(len(b))
	})
	return blank, later, err
}

// laterSegment returns the name of a segment behind this one that has records. One without is made before the
// record that names it.
func (r *recovery) laterSegment(number uint64) (name string, err error) {
	names, err := r.fs.List()
	if err != nil {
		return "", err
	}
	for _, name := range names {
		if n, ok := ParseSegmentName(name); !ok || n <= number {
			continue
		}
		f, err := r.fs.Open(name)
		if err != nil {
			return "", err
		}
		size, err := f.Size()
		if err = errors.Join(err, f.Close()); err != nil {
			return "", err
		}
		if size > format.PageBytes {
			return name, nil
		}
	}
	return "", nil
}

// lost reports whether a sector of the record is not there, as after a crash. A header that does not read stands
// for its sector.
func (r *recovery) lost(s *Segment, rec *Record) (lost bool, err error) {
	filled := int64(format.SectorBytes)
	if rec.Kind != 0 {
		if rec.follows(r.at, r.id) != nil {
			return false, nil
		}
		filled = rec.filled()
	}
	if r.size-r.at.Offset < rec.bytes() {
		return true, nil
	}
	err = r.each(s, r.at.Offset, r.at.Offset+filled, func(b []byte) {
		for len(b) > 0 && !lost {
			n := min(len(b), format.SectorBytes)
			lost = format.Zero(b[:n])
			b = b[n:]
		}
	})
	return lost, err
}
