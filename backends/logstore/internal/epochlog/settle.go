// SPDX-License-Identifier: Apache-2.0

package epochlog

import "github.com/millrace-io/millrace/backends/logstore/internal/planted"

// Settle makes durable what has been read, so that something can be based on it.
//
// Only of the last record it is not known that it is. The process that wrote it may have been killed before it
// was synced, or may have been told that the sync had failed; then the system may show what it could not write
// and does not intend to write again. So the record is written once more, as it is, and synced.
//
// And what a crash has left of a record that was never committed is taken away, so that nothing of it is
// behind the next one.
func (f *Found) Settle() error {
	if planted.NotSettled {
		return nil
	}
	l := f.Log
	if f.torn {
		if err := l.active.Truncate(l.end.Offset); err != nil {
			return l.fail(err)
		}
		l.zeroed = l.end.Offset
	}
	if f.last != nil {
		if err := rewrite(f.last, f.lastFrom, f.lastTo); err != nil {
			return l.fail(err)
		}
	}
	if f.torn && f.last != l.active {
		if err := l.active.Sync(); err != nil {
			return l.fail(err)
		}
	}
	return nil
}

// rewrite writes what is between two offsets to where it is, and syncs it.
func rewrite(s *Segment, from, to int64) error {
	b := make([]byte, readBytes)
	for from < to {
		b = b[:min(int64(len(b)), to-from)]
		if err := read(s, b, from); err != nil {
			return err
		}
		if _, err := s.WriteAt(b, from); err != nil {
			return err
		}
		from += int64(len(b))
	}
	return s.Sync()
}
