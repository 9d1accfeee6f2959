// SPDX-License-Identifier: Apache-2.0

package epochlog

import (
	"slices"

	"github.com/millrace-io/millrace/engine/backend"

	"github.com/millrace-io/millrace/backends/logstore/format"
)

// Visitor is what Replay tells about records.
type Visitor struct {
	// Changes is called with the changes of a record, in their order, some at a time. They are valid until it
	// returns. Only the call of Record says that they are undamaged.
	Changes func(changes []backend.Change) error
	// Record is called at the end of a record, with the description, if it has one, and the position behind
	// it. It says whether to go on. It may be nil.
	Record func(r *Record, description []byte, end Position) (goOn bool, err error)
}

// Replay reads the records between two positions. The segments are all those from the first position to the
// second; the caller holds them. It takes little memory, however long a record is.
func Replay(segments []*Segment, id format.StoreID, from, to Position, v Visitor) error {
	p := &replay{visitor: v, id: id, at: from}
	for _, s := range segments {
		if s.Number != p.at.Segment {
			continue
		}
		limit := to.Offset // Behind it a commit may be writing, or taking back what it wrote.
		if s.Number != to.Segment {
			var err error
			if limit, err = s.Size(); err != nil {
				return err
			}
		}
		if n := min(limit-p.at.Offset, readBytes); n > int64(len(p.buf)) {
			p.buf = make([]byte, n)
		}
		p.segment, p.start, p.end, p.read, p.limit = s, 0, 0, p.at.Offset, limit
		for s.Number == p.at.Segment && p.at.Sequence < to.Sequence {
			if goOn, err := p.record(); err != nil || !goOn {
				return err
			}
		}
	}
	if p.at.Sequence != to.Sequence {
		return format.Corrupt(SegmentName(p.at.Segment), p.at.Offset,
			"the log ends behind record %d, want %d", p.at.Sequence, to.Sequence)
	}
	return nil
}

type replay struct {
	visitor Visitor
	id      format.StoreID
	at      Position
	segment *Segment
	limit   int64 // How far the segment may be read.

	// buf[start:end] has been read and not used; what follows it is in the file at read.
	buf        []byte
	start, end int
	read       int64

	sum     uint32 // Of the body so far.
	changes [64]backend.Change
}

// record reads the record at p.at and goes behind it.
func (p *replay) record() (goOn bool, err error) {
	name, at := p.segment.Name, p.at.Offset
	if err := p.want(recordBytes); err != nil {
		return false, err
	}
	rec, err := parseRecord(p.buf[p.start:p.end])
	if err == nil {
		err = rec.follows(p.at, p.id)
	}
	if err != nil {
		return false, format.Corrupt(name, at, "%v", err)
	}
	if rec.bytes() > p.limit-at {
		return false, format.Corrupt(name, at, "record %d: truncated", rec.Sequence)
	}
	p.start += recordBytes
	p.sum = 0

	description := make([]byte, 0, rec.Description)
	if err := p.body(rec.Description, func(b []byte) { description = append(description, b...) }); err != nil {
		return false, err
	}
	if err := p.allChanges(&rec); err != nil {
		return false, err
	}
	if err := p.body(rec.bytes()-rec.filled(), func([]byte) {}); err != nil {
		return false, err
	}
	if p.sum != rec.body {
		return false, format.Corrupt(name, at, "record %d: body checksum", rec.Sequence)
	}
	p.at = p.at.after(&rec)
	if p.visitor.Record == nil {
		return true, nil
	}
	return p.visitor.Record(&rec, description, p.at)
}

// allChanges hands out the changes of a record, as many at a time as fit in the array.
func (p *replay) allChanges(rec *Record) error {
	left, want := rec.Changes, 1
	for left > 0 {
		if err := p.want(want); err != nil {
			return err
		}
		b := p.buf[p.start:p.end]
		b = b[:min(int64(len(b)), left)]
		count, used := 0, 0
		for count < len(p.changes) && used < len(b) {
			n, err := format.NextChange(b[used:], &p.changes[count])
			if err != nil {
				return format.Corrupt(p.segment.Name, p.at.Offset, "record %d: %v", rec.Sequence, err)
			}
			if n == 0 {
				break
			}
			count++
			used += n
		}
		if count == 0 { // The first of them is longer than what has been read of it.
			if int64(len(b)) == left {
				return format.Corrupt(p.segment.Name, p.at.Offset, "record %d: changes are cut off", rec.Sequence)
			}
			want = int(min(2*int64(len(b)), left))
			continue
		}
		if err := p.visitor.Changes(p.changes[:count]); err != nil {
			return err
		}
		p.use(used)
		left -= int64(used)
		want = 1
	}
	return nil
}

// body hands out the next n bytes of a body.
func (p *replay) body(n int64, do func(b []byte)) error {
	for n > 0 {
		if err := p.want(1); err != nil {
			return err
		}
		b := p.buf[p.start:min(int64(p.end), int64(p.start)+n)]
		do(b)
		p.use(len(b))
		n -= int64(len(b))
	}
	return nil
}

func (p *replay) use(n int) {
	p.sum = format.Extend(p.sum, p.buf[p.start:p.start+n])
	p.start += n
}

// want reads on until n bytes can be used.
func (p *replay) want(n int) error {
	if p.end-p.start >= n {
		return nil
	}
	p.end = copy(p.buf, p.buf[p.start:p.end])
	p.start = 0
	if n > len(p.buf) {
		p.buf = slices.Grow(p.buf[:p.end], n-p.end)
		p.buf = p.buf[:cap(p.buf)]
	}
	more := p.buf[p.end:]
	more = more[:min(int64(len(more)), p.limit-p.read)]
	if p.end+len(more) < n {
		return format.Corrupt(p.segment.Name, p.limit, "file ends")
	}
	if err := read(p.segment, more, p.read); err != nil {
		return err
	}
	p.end += len(more)
	p.read += int64(len(more))
	return nil
}
