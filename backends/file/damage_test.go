// SPDX-License-Identifier: Apache-2.0

package file

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"

	"github.com/millrace-io/millrace/backends/file/filetest"
	"github.com/millrace-io/millrace/backends/file/internal/format"
)

// smallStore returns the files of a store with a table, two segments and a tail of epochs that are only in the
// log, as they are after its process was killed.
func smallStore(t *testing.T, h *history) map[string][]byte {
	t.Helper()
	d := filetest.NewDisk()
	b, err := Open(t.Context(), Config{FS: d.Process(), Inline: true, SegmentBytes: 16 << 10}, options)
	if err != nil {
		t.Fatal(err)
	}
	for epoch := statefun.Epoch(1); epoch <= h.last(); epoch++ {
		if err := h.commit(t, b, epoch); err != nil {
			t.Fatal(err)
		}
		if epoch == 3 {
			if err := b.Compact(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	d.Kill()
	files := d.Files()
	if names := slices.Sorted(maps.Keys(files)); len(names) != 6 || b.Stats().Tables != 1 || b.Stats().Segments != 2 {
		t.Fatalf("the store has %v, %+v", names, b.Stats())
	}
	return files
}

// refuses fails unless the store of the damaged file is refused, for the right reason, or holds its last epoch.
func (h *history) refuses(t *testing.T, files map[string][]byte, name, what string) (refused bool) {
	t.Helper()
	d := filetest.DiskOf(files)
	b, err := Open(t.Context(), Config{FS: d.Process(), Inline: true, SegmentBytes: 16 << 10}, options)
	if err == nil {
		var state contents
		if state, err = scan(t, b); err == nil {
			if epoch := b.Stats().Epoch; epoch != h.last() || !maps.Equal(state, h.states[epoch]) {
				t.Fatalf("%s: %s: epoch %d is loaded, with %.100q", name, what, epoch, state)
			}
			return false
		}
	}
	text := err.Error()
	if !errors.Is(err, backend.ErrCorrupt) || !strings.Contains(text, name) || !strings.Contains(text, "at offset ") {
		t.Fatalf("%s: %s: error %v; want ErrCorrupt, the file and the offset", name, what, err)
	}
	return true
}

// with returns the files with one of them changed.
func with(files map[string][]byte, name string, data []byte) map[string][]byte {
	files = maps.Clone(files)
	files[name] = data
	return files
}

// interesting yields the offsets of a file, but of the zeros that lie ahead of its end only some.
func interesting(data []byte) (offsets []int) {
	end := len(bytes.TrimRight(data, "\x00"))
	for at := range data {
		if at < end+format.PageBytes || at%997 == 0 {
			offsets = append(offsets, at)
		}
	}
	return offsets
}

// Every byte of every file is flipped: the store is refused, with the file and the offset, or holds what it held.
func TestFlippedBytes(t *testing.T) {
	h := newHistory(8, 700)
	files := smallStore(t, h)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data := files[name]
			refused, offsets := 0, interesting(data)
			for _, at := range offsets {
				flipped := bytes.Clone(data)
				flipped[at] ^= 1 << (at % 8)
				if h.refuses(t, with(files, name, flipped), name, fmt.Sprint("byte ", at)) {
					refused++
				}
			}
			t.Logf("%d of %d refused", refused, len(offsets))
			end := len(bytes.TrimRight(data, "\x00"))
			switch least := min(end, len(offsets)); {
			case name == lockName || name == witnessName: // Nothing of the lock is read, and one slot of two is enough.
			case refused < least:
				t.Errorf("only %d refused; want at least %d", refused, least)
			}
		})
	}
}

// Every file is cut at every length, and filled up with zeros from there. The witness knows how much there was.
func TestTruncatedFiles(t *testing.T) {
	h := newHistory(8, 700)
	files := smallStore(t, h)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data := files[name]
			end := len(bytes.TrimRight(data, "\x00"))
			for _, at := range interesting(data) {
				refused := h.refuses(t, with(files, name, data[:at:at]), name, fmt.Sprint("cut at ", at))
				zeros := append(bytes.Clone(data[:at]), make([]byte, len(data)-at)...)
				filled := h.refuses(t, with(files, name, zeros), name, fmt.Sprint("zeros from ", at))
				if name != lockName && name != witnessName && at < end && (!refused || !filled) {
					t.Fatalf("cut at %d: refused %v, filled with zeros: %v", at, refused, filled)
				}
			}
		})
	}
}

// A file that is missing is not the same as one that never was.
func TestMissingFiles(t *testing.T) {
	h := newHistory(8, 700)
	files := smallStore(t, h)
	for name := range files {
		rest := maps.Clone(files)
		delete(rest, name)
		if refused := h.refuses(t, rest, name, "missing"); refused != (name != lockName) {
			t.Errorf("without %s: refused %v", name, refused)
		}
	}
}

// Files, and records within them, that are good but in the wrong place.
func TestSwapped(t *testing.T) {
	h := newHistory(8, 700)
	files := smallStore(t, h)
	other := smallStore(t, h)
	var log string
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if strings.HasPrefix(name, "log-") {
			log = name
		}
		if name == lockName {
			continue
		}
		// The same file of another store. Whatever it is compared with first is named.
		d := filetest.DiskOf(with(files, name, other[name]))
		if _, err := Open(t.Context(), Config{FS: d.Process()}, options); !errors.Is(err, backend.ErrCorrupt) {
			t.Errorf("%s of another store: error %v; want ErrCorrupt", name, err)
		}
	}
	data := bytes.Clone(files[log])
	first, second := data[format.PageBytes:2*format.PageBytes], data[2*format.PageBytes:3*format.PageBytes]
	swapped := slices.Concat(data[:format.PageBytes], second, first, data[3*format.PageBytes:])
	if !h.refuses(t, with(files, log, swapped), log, "swapped records") {
		t.Error("swapped records are not refused")
	}
	twice := slices.Concat(data[:2*format.PageBytes], first, data[2*format.PageBytes:])
	if !h.refuses(t, with(files, log, twice), log, "a record twice") {
		t.Error("a record that is there twice is not refused")
	}
}

// Without an exact witness, as after a loss of power, damage to the last record is still told from a commit
// that was under way: no crash changes a byte.
func TestFlippedBytesWithOldWitness(t *testing.T) {
	h := newHistory(8, 700)
	files := smallStore(t, h)
	d := filetest.NewDisk()
	b, err := Open(t.Context(), Config{FS: d.Process()}, options)
	if err != nil {
		t.Fatal(err)
	}
	w := &witness{file: b.witness.file, id: format.StoreID(mustID(t, files[witnessName]))}
	if err := errors.Join(w.note(known{}), w.note(known{})); err != nil {
		t.Fatal(err)
	}
	files[witnessName] = d.Files()[witnessName]
	names := slices.Sorted(maps.Keys(files))
	log := names[slices.Index(names, manifestName)-1]
	data := files[log]
	end := len(bytes.TrimRight(data, "\x00"))
	const last = format.PageBytes // It is alone in its segment.
	for at := last; at < end; at++ {
		flipped := bytes.Clone(data)
		flipped[at] ^= 1 << (at % 8)
		if !h.refuses(t, with(files, log, flipped), log, fmt.Sprint("byte ", at)) {
			t.Fatalf("byte %d is not refused", at)
		}
	}
	// Cut off within the last record, it is a commit that was under way; behind it, nothing is missing.
	for _, at := range []int{last, last + 1, last + 100, last + 512, end - 1} {
		b, err := Open(t.Context(), Config{FS: filetest.DiskOf(with(files, log, data[:at])).Process()}, options)
		if err != nil {
			t.Fatalf("cut at %d: %v", at, err)
		}
		h.check(t, b, h.last()-1)
	}
}

func mustID(t *testing.T, data []byte) format.StoreID {
	t.Helper()
	h, err := format.ParseHeader(witnessName, data, format.KindWitness)
	if err != nil {
		t.Fatal(err)
	}
	return h.Store
}

// What the caller knows of counts as much as what the store does.
func TestEpochMin(t *testing.T) {
	h := newHistory(8, 700)
	files := smallStore(t, h)
	for _, tt := range []struct {
		files map[string][]byte
		min   statefun.Epoch
		ok    bool
	}{
		{files, 8, true},
		{files, 7, true},
		{files, 9, false},
		{nil, 0, true},
		{nil, 1, false}, // An empty directory, where there was a store.
	} {
		d := filetest.DiskOf(tt.files)
		b, err := Open(t.Context(), Config{FS: d.Process(), EpochMin: tt.min}, options)
		if tt.ok != (err == nil) || (err != nil && !errors.Is(err, backend.ErrCorrupt)) {
			t.Errorf("%d files, epoch %d: error %v", len(tt.files), tt.min, err)
		}
		if err == nil {
			_ = b.Close()
			continue
		}
		if !tt.ok && len(tt.files) == 0 && len(d.Files()) > 1 {
			t.Errorf("a store that was refused has been made: %v", slices.Sorted(maps.Keys(d.Files())))
		}
	}
}

// A store of another version is refused, and says so.
func TestVersion(t *testing.T) {
	h := newHistory(8, 700)
	files := smallStore(t, h)
	for name, data := range files {
		if name == lockName {
			continue
		}
		data := bytes.Clone(data)
		data[10]++
		sum := format.Checksum(data[:format.HeaderBytes-4])
		copy(data[format.HeaderBytes-4:], []byte{byte(sum), byte(sum >> 8), byte(sum >> 16), byte(sum >> 24)})
		if name == witnessName { // Both slots.
			copy(data[format.PageBytes:], data[:slotBytes])
		}
		d := filetest.DiskOf(with(files, name, data))
		_, err := Open(t.Context(), Config{FS: d.Process()}, options)
		if err == nil || !strings.Contains(err.Error(), name+" has format version 2, and this program reads version 1") {
			t.Errorf("%s: error %v; want one that names the version", name, err)
		}
		for n, before := range with(files, name, data) {
			if n != lockName && !bytes.Equal(before, d.Files()[n]) {
				t.Errorf("%s of version 2 was refused, and %s has changed", name, n)
			}
		}
	}
}

// After a loss of power the witness still knows of all segments but the last.
func TestWitnessAfterPowerLoss(t *testing.T) {
	h := newHistory(8, 700)
	d := filetest.NewDisk()
	b, err := Open(t.Context(), Config{FS: d.Process(), SegmentBytes: 16 << 10}, options)
	if err != nil {
		t.Fatal(err)
	}
	for epoch := range h.last() {
		if err := h.commit(t, b, epoch+1); err != nil {
			t.Fatal(err)
		}
	}
	d.Crash(filetest.Lose)
	w, err := openWitness(d.Process(), b.id)
	if err != nil {
		t.Fatal(err)
	}
	if n := b.log.End(); w.known.epoch < h.last()-3 || w.known.sequence > n.Sequence || n.Segment != 3 {
		t.Errorf("the witness knows of %+v; the log ends at %+v", w.known, n)
	}
}
