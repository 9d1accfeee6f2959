// SPDX-License-Identifier: Apache-2.0

package epochlog

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"

	"github.com/millrace-io/millrace/backends/logstore/disk"
	"github.com/millrace-io/millrace/backends/logstore/disktest"
	"github.com/millrace-io/millrace/backends/logstore/format"
)

var storeID = format.StoreID{1, 2, 3}

// newLog makes a log with one segment.
func newLog(t *testing.T, fs disk.FS, segmentBytes int64) *Log {
	t.Helper()
	s, err := CreateSegment(fs, storeID, 1)
	if err != nil {
		t.Fatal(err)
	}
	s.Release()
	return recovered(t, fs, segmentBytes).Log
}

func recovered(t *testing.T, fs disk.FS, segmentBytes int64) *Found {
	t.Helper()
	found, err := Recover(fs, storeID, Start, 0, segmentBytes)
	if err != nil {
		t.Fatal(err)
	}
	if err := found.Settle(); err != nil {
		t.Fatal(err)
	}
	return found
}

func puts(epoch, n, valueBytes int) (p backend.Part) {
	for i := range n {
		value := bytes.Repeat([]byte{byte(epoch), byte(i)}, valueBytes/2)
		p.Changes = backend.AppendPut(p.Changes, statefun.KeyGroup(i), fmt.Append(nil, epoch, i), value)
	}
	return p
}

// What is appended is read back, in order and byte for byte, whatever the lengths of records, changes and
// segments, from the beginning and from every position between two records.
func TestReplay(t *testing.T) {
	epochs := [][]backend.Part{
		{},
		{{}},
		{puts(2, 1, 0)},
		{puts(3, 200, 20), puts(33, 70, 20)},
		{puts(4, 1, 3*readBytes)}, // One change that is longer than what is read at once.
		{puts(5, 5, 30_000)},
		{puts(6, 20_000, 20)},
		{puts(7, 1, format.PageBytes-recordBytes-3-1-3-2-5)}, // Exactly a page.
		{puts(8, 3, 10)},
	}
	for _, segmentBytes := range []int64{1, 20 << 10, 64 << 20} {
		fs := disktest.NewDisk().Process()
		l := newLog(t, fs, segmentBytes)
		positions := []Position{l.End()}
		for i, parts := range epochs {
			r := Record{Kind: Epoch, Generation: 9, Epoch: statefun.Epoch(i + 1)}
			if err := l.Append(r, fmt.Append(nil, "description ", i), parts); err != nil {
				t.Fatal(err)
			}
			positions = append(positions, l.End())
		}
		found := recovered(t, fs, segmentBytes)
		if last := len(epochs); found.Log.End() != positions[last] || found.Generation != 9 ||
			found.Epoch != statefun.Epoch(last) || string(found.Description) != fmt.Sprint("description ", last-1) {
			t.Errorf("found %+v at %+v, want %+v", found, found.Log.End(), positions[last])
		}
		for from := range positions {
			at := from
			var changes []byte
			err := Replay(found.Segments, storeID, positions[from], l.End(), Visitor{
				Changes: func(some []backend.Change) error {
					for i := range some {
						changes = format.AppendChange(changes, &some[i])
					}
					return nil
				},
				Record: func(r *Record, description []byte, end Position) (bool, error) {
					var want []byte
					for _, p := range epochs[at] {
						want = append(want, p.Changes...)
					}
					if !bytes.Equal(changes, want) || string(description) != fmt.Sprint("description ", at) ||
						end != positions[at+1] || r.Epoch != statefun.Epoch(at+1) {
						t.Errorf("record %d: %+v, %q, %+v, %d bytes of changes, want %d", at, r, description, end, len(changes), len(want))
					}
					at++
					changes = nil
					return true, nil
				},
			})
			if err != nil || at != len(epochs) {
				t.Errorf("from %d: %d records, %v", from, at-from, err)
			}
		}
		// A visitor that has seen enough is left alone.
		seen := 0
		err := Replay(found.Segments, storeID, Start, l.End(), Visitor{
			Changes: func([]backend.Change) error { return nil },
			Record:  func(*Record, []byte, Position) (bool, error) { seen++; return seen < 3, nil },
		})
		if err != nil || seen != 3 {
			t.Errorf("saw %d records, %v", seen, err)
		}
	}
}

// Damage that comes after recovery is found by whoever reads the log next.
func TestReplayDamage(t *testing.T) {
	d := disktest.NewDisk()
	fs := d.Process()
	l := newLog(t, fs, 64<<20)
	for i := range 3 {
		if err := l.Append(Record{Kind: Epoch, Epoch: statefun.Epoch(i + 1)}, []byte("d"), []backend.Part{puts(i, 3, 20)}); err != nil {
			t.Fatal(err)
		}
	}
	found := recovered(t, fs, 64<<20)
	f, err := fs.Open(SegmentName(1))
	if err != nil {
		t.Fatal(err)
	}
	data := d.Files()[SegmentName(1)]
	for at := format.PageBytes; at < format.PageBytes*4; at++ {
		if _, err := f.WriteAt([]byte{data[at] ^ 1}, int64(at)); err != nil {
			t.Fatal(err)
		}
		err := Replay(found.Segments, storeID, Start, l.End(), Visitor{Changes: func([]backend.Change) error { return nil }})
		record := at &^ (format.PageBytes - 1)
		if want := fmt.Sprintf("%s at offset %d", SegmentName(1), record); !errors.Is(err, backend.ErrCorrupt) || !strings.Contains(err.Error(), want) {
			t.Fatalf("byte %d: error %v; want ErrCorrupt and %q", at, err, want)
		}
		if _, err := f.WriteAt(data[at:at+1], int64(at)); err != nil {
			t.Fatal(err)
		}
	}
}

// When there is no room, nothing has happened, and the same record can be tried again. Of other failures nobody
// knows.
func TestAppendFails(t *testing.T) {
	for _, tt := range []struct {
		name   string
		fails  disktest.OpKind
		err    error
		refuse bool // For ever.
	}{
		{"no room", disktest.OpWrite, syscall.ENOSPC, false},
		{"half of it", disktest.OpWrite, disktest.Short{Bytes: 5000, Err: syscall.ENOSPC}, false},
		{"quota", disktest.OpWrite, syscall.EDQUOT, false},
		{"write", disktest.OpWrite, syscall.EIO, true},
		{"sync", disktest.OpSync, syscall.EIO, true},
		{"no room when syncing", disktest.OpSync, syscall.ENOSPC, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := disktest.NewDisk()
			l := newLog(t, d.Process(), 64<<20)
			if err := l.Append(Record{Kind: Epoch, Epoch: 1}, nil, []backend.Part{puts(1, 3, 20)}); err != nil {
				t.Fatal(err)
			}
			end, size := l.End(), l.End().Offset
			d.Inject(func(op disktest.Op) error {
				if op.Kind == tt.fails {
					return tt.err
				}
				return nil
			})
			again := func() error {
				return l.Append(Record{Kind: Epoch, Epoch: 2}, nil, []backend.Part{puts(2, 300, 20)})
			}
			err := again()
			if !errors.Is(err, tt.err) || errors.Is(err, backend.ErrSync) != tt.refuse || l.End() != end {
				t.Errorf("error %v, end %+v", err, l.End())
			}
			if got := int64(len(d.Files()[SegmentName(1)])); !tt.refuse && got != size {
				t.Errorf("the segment has %d bytes; want %d, so that there is room for others", got, size)
			}
			d.Inject(nil)
			if err := again(); (err != nil) != tt.refuse || (tt.refuse && !errors.Is(err, backend.ErrSync)) {
				t.Errorf("again: %v", err)
			}
			if !tt.refuse {
				d.Crash(disktest.Lose)
				if found := recovered(t, d.Process(), 64<<20); found.Epoch != 2 || found.Log.End() != l.End() {
					t.Errorf("found %+v", found)
				}
			}
		})
	}
}

// Where a short record ends there is room, so that the next one changes nothing but bytes that were there.
func TestAppendAhead(t *testing.T) {
	d := disktest.NewDisk()
	l := newLog(t, d.Process(), 64<<20)
	sizes := map[int]int{}
	for range 200 {
		if err := l.Append(Record{Kind: Epoch, Epoch: 1}, nil, nil); err != nil {
			t.Fatal(err)
		}
		sizes[len(d.Files()[SegmentName(1)])]++
	}
	if len(sizes) > 5 {
		t.Errorf("200 records have changed the size %d times", len(sizes))
	}
	if size := len(d.Files()[SegmentName(1)]); size > 201*format.PageBytes+aheadBytes {
		t.Errorf("the segment has %d bytes for 200 pages", size)
	}
	l = newLog(t, disktest.NewDisk().Process(), 10*format.PageBytes)
	for range 9 {
		if err := l.Append(Record{Kind: Epoch, Epoch: 1}, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	if size, err := l.Active().Size(); err != nil || size != 10*format.PageBytes {
		t.Errorf("a segment of ten pages has %d bytes, %v", size, err)
	}
}
