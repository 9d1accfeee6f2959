// SPDX-License-Identifier: Apache-2.0

package epochlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"maps"
	"runtime/metrics"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/backend"

	"github.com/millrace-io/millrace/backends/logstore/disktest"
	"github.com/millrace-io/millrace/backends/logstore/format"
)

// Three records of two pages each, in a segment that has room, and a fourth that a crash may have torn. What is
// behind the third is a crash's, or damage.
func TestWhereTheLogEnds(t *testing.T) {
	const page, sector = format.PageBytes, format.SectorBytes
	d := disktest.NewDisk()
	l := newLog(t, d.Process(), 1<<20)
	ends := []int64{l.End().Offset}
	for i := range 5 {
		if err := l.Append(Record{Kind: Epoch, Epoch: 1}, nil, []backend.Part{puts(i, 100, 60)}); err != nil {
			t.Fatal(err)
		}
		ends = append(ends, l.End().Offset)
	}
	whole := d.Files()[SegmentName(1)]
	if ends[4]-ends[3] != 2*page {
		t.Fatalf("a record has %d bytes", ends[4]-ends[3])
	}
	third, fourth := ends[3], ends[4]
	three := append(bytes.Clone(whole[:third]), make([]byte, len(whole)-int(third))...)

	// tear writes the sectors of the fourth record that it says.
	tear := func(written func(sector int) bool) []byte {
		data := bytes.Clone(three)
		for i := range 2 * page / sector {
			if at := int(third) + i*sector; written(i) {
				copy(data[at:at+sector], whole[at:])
			}
		}
		return data
	}
	flip := func(data []byte, at int64) []byte {
		data = bytes.Clone(data)
		data[at] ^= 1
		return data
	}
	all := func(int) bool { return true }
	filled := (recordBytes + 100*66) / sector // The last sector that is not only zeros.
	for _, tt := range []struct {
		name    string
		data    []byte
		known   uint64
		records uint64
		damage  string
	}{
		{name: "room", data: three, known: 3, records: 3},
		{name: "no room", data: whole[:third], known: 3, records: 3},
		{name: "an older witness", data: three, known: 1, records: 3},
		{name: "all of it", data: tear(all), known: 3, records: 4},
		{name: "the header only", data: tear(func(i int) bool { return i == 0 }), known: 3, records: 3},
		{name: "all but the header", data: tear(func(i int) bool { return i != 0 }), known: 3, records: 3},
		{name: "all but one", data: tear(func(i int) bool { return i != 7 }), known: 3, records: 3},
		{name: "all but the last", data: tear(func(i int) bool { return i != filled }), known: 3, records: 3},
		{name: "every other", data: tear(func(i int) bool { return i%2 == 0 }), known: 3, records: 3},
		{name: "cut off in the header", data: whole[:third+20], known: 3, records: 3},
		{name: "cut off in the body", data: whole[:third+page], known: 3, records: 3},
		{name: "cut off in the padding", data: whole[:fourth-1], known: 3, records: 3},

		{name: "torn, and known", data: tear(func(i int) bool { return i != 7 }), known: 4, damage: "is known to have been committed"},
		{name: "gone, and known", data: three, known: 4, damage: "is known to have been committed"},
		{name: "cut off, and known", data: whole[:third], known: 5, damage: "is known to have been committed"},
		{name: "a flipped header", data: flip(tear(all), third+30), known: 3, damage: "no crash leaves that behind"},
		{name: "a flipped body", data: flip(tear(all), third+300), known: 3, damage: "no crash leaves that behind"},
		{name: "a flipped padding", data: flip(tear(all), fourth-1), known: 3, damage: "no crash leaves that behind"},
		{name: "a flipped body, and a later record", data: flip(whole, third+300), known: 3, damage: "but record 5 follows"},
		{name: "a torn record, and a later one", data: slices.Concat(whole[:third+sector], make([]byte, sector), whole[third+2*sector:]), damage: "but record 5 follows"},
		{name: "gone, and a later one", data: slices.Concat(whole[:third], make([]byte, fourth-third), whole[fourth:]), damage: "but record 5 follows"},
		{name: "a record twice", data: slices.Concat(whole[:fourth], whole[third:]), known: 3, damage: "record 4, want 5"},
		{name: "a record left out", data: slices.Concat(whole[:third], whole[fourth:]), damage: "record 5, want 4"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := disktest.DiskOf(map[string][]byte{SegmentName(1): tt.data})
			found, err := Recover(d.Process(), storeID, Start, tt.known, 1<<20)
			if tt.damage != "" {
				if !errors.Is(err, backend.ErrCorrupt) || !strings.Contains(err.Error(), tt.damage) {
					t.Fatalf("error %v; want ErrCorrupt with %q", err, tt.damage)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := found.Log.End().Sequence; got != tt.records || !bytes.Equal(d.Files()[SegmentName(1)], tt.data) {
				t.Fatalf("%d records, want %d; the file is the same: %v", got, tt.records, bytes.Equal(d.Files()[SegmentName(1)], tt.data))
			}
			// What is appended now is read by the next one, and nothing of what was torn.
			if err := found.Settle(); err != nil {
				t.Fatal(err)
			}
			if err := found.Log.Append(Record{Kind: Generation}, nil, nil); err != nil {
				t.Fatal(err)
			}
			d.Crash(disktest.Lose)
			if got := recovered(t, d.Process(), 1<<20).Log.End().Sequence; got != tt.records+1 {
				t.Errorf("%d records after another was appended to %d", got, tt.records)
			}
		})
	}
}

// A log in several segments: the one that is full says that there is another, and one that has no record yet is
// no damage.
func TestSegments(t *testing.T) {
	d := disktest.NewDisk()
	l := newLog(t, d.Process(), 2*format.PageBytes)
	for range 3 {
		if err := l.Append(Record{Kind: Epoch, Epoch: 1}, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	files := d.Files()
	one, two := SegmentName(1), SegmentName(2)
	if len(files) != 2 || len(files[two]) != 2*format.PageBytes {
		t.Fatalf("%d segments", len(files))
	}
	without := func(name string) map[string][]byte {
		rest := maps.Clone(files)
		delete(rest, name)
		return rest
	}
	with := func(name string, data []byte) map[string][]byte {
		changed := maps.Clone(files)
		changed[name] = data
		return changed
	}
	empty := files[two][:format.PageBytes]
	for _, tt := range []struct {
		name    string
		files   map[string][]byte
		records uint64
		damage  string
	}{
		{name: "both", files: files, records: 3},
		{name: "the second without records", files: with(two, empty), records: 2},
		{name: "the first missing", files: without(one), damage: one + " at offset 0: missing"},
		{name: "the second missing", files: without(two), damage: two + " at offset 0: missing"},
		{name: "the second without its header", files: with(two, nil), damage: two + " at offset 0: truncated"},
		{name: "half a header", files: with(two, empty[:100]), damage: two + " at offset 64: header page"},
		{name: "the first instead of the second", files: with(two, files[one]), damage: two + " at offset 32: has number 1"},
		{name: "the first without its last record", files: with(one, files[one][:2*format.PageBytes]), damage: "but there are records in " + two},
	} {
		t.Run(tt.name, func(t *testing.T) {
			found, err := Recover(disktest.DiskOf(tt.files).Process(), storeID, Start, 0, 2*format.PageBytes)
			if tt.damage != "" {
				if !errors.Is(err, backend.ErrCorrupt) || !strings.Contains(err.Error(), tt.damage) {
					t.Fatalf("error %v; want ErrCorrupt with %q", err, tt.damage)
				}
				return
			}
			if err != nil || found.Log.End().Sequence != tt.records {
				t.Fatalf("%+v, %v; want %d records", found, err, tt.records)
			}
		})
	}
	// Made ahead of the record that was to name it, and then there was no more time.
	prepared := map[string][]byte{one: files[one][:2*format.PageBytes], two: empty}
	d = disktest.DiskOf(prepared)
	found := recovered(t, d.Process(), 2*format.PageBytes)
	for range 2 {
		if err := found.Log.Append(Record{Kind: Epoch, Epoch: 1}, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	if got := recovered(t, d.Process(), 2*format.PageBytes).Log.End().Sequence; got != 3 {
		t.Errorf("%d records, want 3", got)
	}
}

// Whatever a segment holds, with or without the right checksums and chain: it is read without a panic, with
// memory in proportion, as a log that is shorter, or to ErrCorrupt.
func FuzzLog(f *testing.F) {
	d := disktest.NewDisk()
	fs := d.Process()
	s, err := CreateSegment(fs, storeID, 1)
	if err != nil {
		f.Fatal(err)
	}
	s.Release()
	found, err := Recover(fs, storeID, Start, 0, 1)
	if err != nil {
		f.Fatal(err)
	}
	for i := range 2 {
		if err := found.Log.Append(Record{Kind: Epoch, Epoch: 1}, []byte("d"), []backend.Part{puts(i, 3, 20)}); err != nil {
			f.Fatal(err)
		}
	}
	header := d.Files()[SegmentName(1)][:format.PageBytes]
	good := d.Files()[SegmentName(1)][format.PageBytes:]
	f.Add(good, false)
	f.Add(good[:recordBytes+30], true)
	f.Add([]byte{}, true)
	huge := bytes.Clone(good)
	binary.LittleEndian.PutUint64(huge[48:], 1<<49)
	binary.LittleEndian.PutUint64(huge[56:], 1<<50)
	f.Add(huge, true)
	f.Fuzz(func(t *testing.T, in []byte, seal bool) {
		if seal {
			in = sealed(in)
		}
		disk := disktest.DiskOf(map[string][]byte{SegmentName(1): slices.Concat(header, in)})
		before := allocated()
		found, err := Recover(disk.Process(), storeID, Start, 0, 1<<20)
		defer func() { // Lengths are claims: memory is taken for what is there.
			if n := allocated() - before; n > uint64(1<<20+16*len(in)) {
				t.Errorf("%d bytes allocated for %d", n, len(in))
			}
		}()
		if err != nil {
			if !errors.Is(err, backend.ErrCorrupt) {
				t.Fatalf("error %v; want ErrCorrupt", err)
			}
			return
		}
		end := found.Log.End()
		if end.Offset > int64(format.PageBytes+len(in)) || len(found.Description) > len(in) {
			t.Fatalf("found %+v, %d bytes of description in %d", end, len(found.Description), len(in))
		}
		n := 0
		err = Replay(found.Segments, storeID, Start, end, Visitor{Changes: func(changes []backend.Change) error {
			for _, c := range changes {
				n += len(c.Key) + len(c.Value)
			}
			return nil
		}})
		if n > len(in) || (err != nil && !errors.Is(err, backend.ErrCorrupt)) {
			t.Fatalf("%d bytes of keys and values in %d, error %v", n, len(in), err)
		}
	})
}

// allocated returns how many bytes have ever been allocated.
func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// sealed makes the bytes a record as far as checksums and chain go, of the lengths that it claims.
func sealed(in []byte) []byte {
	in = append(bytes.Clone(in), make([]byte, pages(int64(max(len(in), 1)))-int64(len(in)))...)
	copy(in, recordMagic)
	in[4], in[5] = byte(Epoch), 0
	copy(in[8:], storeID[:])
	binary.LittleEndian.PutUint64(in[24:], 1)
	binary.LittleEndian.PutUint32(in[64:], 0)
	r := Record{Description: int64(binary.LittleEndian.Uint64(in[48:])), Changes: int64(binary.LittleEndian.Uint64(in[56:]))}
	if end := r.bytes(); end >= recordBytes && end <= int64(len(in)) {
		binary.LittleEndian.PutUint32(in[68:], format.Checksum(in[recordBytes:end]))
	}
	binary.LittleEndian.PutUint32(in[76:], format.Checksum(in[:76]))
	return in
}
