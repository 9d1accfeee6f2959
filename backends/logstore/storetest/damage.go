// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"

	"github.com/millrace-io/millrace/backends/logstore/disktest"
	"github.com/millrace-io/millrace/backends/logstore/format"
)

// smallStore returns the files of a store with something in its base, two segments and a tail of epochs that are
// only in the log, as they are after its process was killed.
func (s suite) smallStore(t *testing.T, h *history) map[string][]byte {
	t.Helper()
	d := disktest.NewDisk()
	b := s.open(t, Config{FS: d.Process(), Inline: true, SegmentBytes: 16 << 10})
	for epoch := statefun.Epoch(1); epoch <= h.last(); epoch++ {
		if err := h.commit(t, b, epoch); err != nil {
			t.Fatal(err)
		}
		if epoch == 3 {
			if err := b.Fold(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if stats := b.Stats(nil); stats.Folds != 1 || stats.Segments != 2 {
		t.Fatalf("the store has %+v", stats)
	}
	d.Kill()
	_ = b.Close()
	return d.Files()
}

// stores are the files of stores that are damaged in all ways.
func (s suite) stores(t *testing.T, h *history) map[string]map[string][]byte {
	t.Helper()
	stores := map[string]map[string][]byte{"folded": s.smallStore(t, h)}
	if s.Forgets {
		stores["forgotten"], _ = s.forgottenStore(t, h, false)
	}
	return stores
}

// eachFile tests what becomes of each file of each store.
func (s suite) eachFile(t *testing.T, h *history, test func(t *testing.T, files map[string][]byte, name string)) {
	for of, files := range s.stores(t, h) {
		for _, name := range slices.Sorted(maps.Keys(files)) {
			t.Run(of+" "+name, func(t *testing.T) {
				t.Parallel()
				test(t, files, name)
			})
		}
	}
}

// refuses fails unless the store of the damaged file is refused, for the right reason, or holds its last epoch.
func (s suite) refuses(t *testing.T, h *history, files map[string][]byte, name, what string) (refused bool) {
	t.Helper()
	d := disktest.DiskOf(files)
	b, err := s.Open(t.Context(), Config{FS: d.Process(), Inline: true, SegmentBytes: 16 << 10}, Options)
	if err == nil {
		defer b.Close()
		var state Contents
		if state, err = Read(t, b); err == nil {
			if epoch := b.Stats(nil).Epoch; epoch != h.last() || !maps.Equal(state, h.states[epoch]) {
				t.Fatalf("%s: %s: epoch %d is loaded, with %.100q", name, what, epoch, state)
			}
			return false
		}
	}
	called, where := s.Foreign(name), ""
	if called == "" {
		called, where = name, "at offset "
	}
	if text := err.Error(); !errors.Is(err, backend.ErrCorrupt) || !strings.Contains(text, called) || !strings.Contains(text, where) {
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

var everyByte = flag.Bool("every-byte", false, "damage every byte of a store, of long zeros too")

// interesting yields the offsets of a file: all, but of long zeros only where they and their sectors begin and end, and
// some within, unless all are asked for.
func interesting(data []byte) (offsets []int) {
	const near = 16
	for at := range data {
		around := data[max(at-near, 0):min(at+near, len(data))]
		if sector := at % format.SectorBytes; !format.Zero(around) || sector == 0 || sector == format.SectorBytes-1 || at%97 == 0 || *everyByte {
			offsets = append(offsets, at)
		}
	}
	return offsets
}

// Each byte of each file is flipped: the store is refused, with the file and the offset, or holds what it held.
func (s suite) flippedBytes(t *testing.T) {
	h := newHistory(8, 700)
	s.eachFile(t, h, func(t *testing.T, files map[string][]byte, name string) {
		data := files[name]
		refused, offsets := 0, interesting(data)
		for _, at := range offsets {
			flipped := bytes.Clone(data)
			flipped[at] ^= 1 << (at % 8)
			if s.refuses(t, h, with(files, name, flipped), name, fmt.Sprint("byte ", at)) {
				refused++
			}
		}
		t.Logf("%d of %d refused", refused, len(offsets))
		end := len(bytes.TrimRight(data, "\x00"))
		least, _ := slices.BinarySearch(offsets, end)
		switch {
		case name == "lock" || name == "witness" || s.Foreign(name) != "": // Nothing of the lock is read, and one slot of two is enough.
		case refused < least:
			t.Errorf("only %d refused; want at least %d", refused, least)
		}
	})
}

// Each file is cut at each length, and filled up with zeros from there. The witness knows how much there was.
func (s suite) truncatedFiles(t *testing.T) {
	h := newHistory(8, 700)
	s.eachFile(t, h, func(t *testing.T, files map[string][]byte, name string) {
		data := files[name]
		end := len(bytes.TrimRight(data, "\x00"))
		for _, at := range interesting(data) {
			refused := s.refuses(t, h, with(files, name, data[:at:at]), name, fmt.Sprint("cut at ", at))
			zeros := append(bytes.Clone(data[:at]), make([]byte, len(data)-at)...)
			filled := s.refuses(t, h, with(files, name, zeros), name, fmt.Sprint("zeros from ", at))
			if name != "lock" && name != "witness" && s.Foreign(name) == "" && at < end && (!refused || !filled) {
				t.Fatalf("cut at %d: refused %v, filled with zeros: %v", at, refused, filled)
			}
		}
	})
}

// A file that is missing is not the same as one that never was.
func (s suite) missingFiles(t *testing.T) {
	h := newHistory(8, 700)
	s.eachFile(t, h, func(t *testing.T, files map[string][]byte, name string) {
		rest := maps.Clone(files)
		delete(rest, name)
		if refused := s.refuses(t, h, rest, name, "missing"); refused != (name != "lock") && s.Foreign(name) == "" {
			t.Errorf("refused %v", refused)
		}
	})
}

// Files, and records within them, that are good but in the wrong place.
func (s suite) swapped(t *testing.T) {
	h := newHistory(8, 700)
	files := s.smallStore(t, h)
	other := s.smallStore(t, h)
	var log string
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if strings.HasPrefix(name, "log-") {
			log = name
		}
		if name == "lock" || s.Foreign(name) != "" {
			continue
		}
		// The same file of another store. Whatever it is compared with first is named.
		d := disktest.DiskOf(with(files, name, other[name]))
		b, err := s.Open(t.Context(), Config{FS: d.Process()}, Options)
		if err == nil {
			_ = b.Close()
		}
		if !errors.Is(err, backend.ErrCorrupt) {
			t.Errorf("%s of another store: error %v; want ErrCorrupt", name, err)
		}
	}
	data := bytes.Clone(files[log])
	first, second := data[format.PageBytes:2*format.PageBytes], data[2*format.PageBytes:3*format.PageBytes]
	swapped := slices.Concat(data[:format.PageBytes], second, first, data[3*format.PageBytes:])
	if !s.refuses(t, h, with(files, log, swapped), log, "swapped records") {
		t.Error("swapped records are not refused")
	}
	twice := slices.Concat(data[:2*format.PageBytes], first, data[2*format.PageBytes:])
	if !s.refuses(t, h, with(files, log, twice), log, "a record twice") {
		t.Error("a record that is there twice is not refused")
	}
}

// Without an exact witness, as after a loss of power, damage to the last record is still told from a commit
// that was under way: no crash changes a byte.
func (s suite) flippedBytesOldWitness(t *testing.T) {
	h := newHistory(8, 700)
	d := disktest.NewDisk()
	b := s.open(t, Config{FS: d.Process(), Inline: true})
	var old []byte
	for epoch := range h.last() {
		old = d.Files()["witness"]
		if err := h.commit(t, b, epoch+1); err != nil {
			t.Fatal(err)
		}
	}
	d.Kill()
	_ = b.Close()
	const log = "log-000000000001"
	files := with(d.Files(), "witness", old)
	data := files[log]
	end := len(bytes.TrimRight(data, "\x00"))
	last := (end - 1) &^ (format.PageBytes - 1) // Where the last record begins: it has one page.
	for at := last; at < end; at++ {
		flipped := bytes.Clone(data)
		flipped[at] ^= 1 << (at % 8)
		if !s.refuses(t, h, with(files, log, flipped), log, fmt.Sprint("byte ", at)) {
			t.Fatalf("byte %d is not refused", at)
		}
	}
	// Cut off within the last record, it is a commit that was under way; behind it, nothing is missing.
	for _, at := range []int{last, last + 1, last + 100, end - 1} {
		b := s.open(t, Config{FS: disktest.DiskOf(with(files, log, data[:at])).Process()})
		h.check(t, b, h.last()-1)
		_ = b.Close()
	}
}

// What the caller knows of counts as much as what the store does.
func (s suite) epochMin(t *testing.T) {
	h := newHistory(8, 700)
	files := s.smallStore(t, h)
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
		d := disktest.DiskOf(tt.files)
		b, err := s.Open(t.Context(), Config{FS: d.Process(), EpochMin: tt.min}, Options)
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
func (s suite) version(t *testing.T) {
	h := newHistory(8, 700)
	files := s.smallStore(t, h)
	for name, data := range files {
		if name == "lock" || s.Foreign(name) != "" {
			continue
		}
		data := bytes.Clone(data)
		data[10]++
		sum := format.Checksum(data[:format.HeaderBytes-4])
		copy(data[format.HeaderBytes-4:], []byte{byte(sum), byte(sum >> 8), byte(sum >> 16), byte(sum >> 24)})
		if name == "witness" { // Both slots.
			copy(data[format.PageBytes:], data[:format.PageBytes])
		}
		d := disktest.DiskOf(with(files, name, data))
		_, err := s.Open(t.Context(), Config{FS: d.Process()}, Options)
		if err == nil || !strings.Contains(err.Error(), name+" has format version 2, and this program reads version 1") {
			t.Errorf("%s: error %v; want one that names the version", name, err)
		}
		for n, before := range with(files, name, data) {
			if n != "lock" && !bytes.Equal(before, d.Files()[n]) {
				t.Errorf("%s of version 2 was refused, and %s has changed", name, n)
			}
		}
	}
}
