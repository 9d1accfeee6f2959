// SPDX-License-Identifier: Apache-2.0

package pebble

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"strings"
	"syscall"
	"testing"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"

	"github.com/millrace-io/millrace/backends/logstore/disktest"
	"github.com/millrace-io/millrace/backends/logstore/format"
	"github.com/millrace-io/millrace/backends/logstore/storetest"
)

func mustOpen(t *testing.T, config Config) *Backend {
	t.Helper()
	config.Inline = true
	config.CacheBytes = 1 << 20
	b, err := Open(t.Context(), config, storetest.Options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// One error names everything that is wrong.
func TestOpenJoinsProblems(t *testing.T) {
	_, err := Open(t.Context(), Config{LagEpochsMax: -1, FeedBytes: 10, LagBytesMax: 5, CacheBytes: -3}, backend.Options{KeyGroups: 40000})
	for _, want := range []string{
		"directory: empty", "lag epochs max: -1", "lag bytes max: 5, want at least feed bytes: 10", "cache bytes: -3",
		"application: empty", "key groups: 40000, want 1 to 32768",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v; want %q in it", err, want)
		}
	}
}

// The base is never further behind than was stated, and when it cannot follow, commits fail until it can.
func TestLag(t *testing.T) {
	const most = 8
	d := disktest.NewDisk()
	b := mustOpen(t, Config{FS: d.Process(), LagEpochsMax: most})
	furthest, epoch := uint64(0), statefun.Epoch(0)
	commit := func() error {
		err := storetest.CommitPuts(t, b.Store, epoch+1, int(epoch), 3, 10)
		if err == nil {
			epoch++
		}
		furthest = max(furthest, b.Stats().Behind.Records)
		return err
	}
	for range 100 {
		if err := commit(); err != nil {
			t.Fatal(err)
		}
	}
	if s := b.Stats(); furthest > most/4 || s.Folds < 40 || s.Sublevels > sublevelsMax || s.Tables == 0 {
		t.Errorf("was up to %d epochs behind, %+v", furthest, s)
	}
	d.Inject(func(op disktest.Op) error {
		if op.Name == feedName {
			return syscall.ENOSPC
		}
		return nil
	})
	var err error
	for err == nil {
		err = commit()
	}
	if !errors.Is(err, syscall.ENOSPC) || errors.Is(err, backend.ErrSync) || furthest != most {
		t.Errorf("%d epochs behind: %v", furthest, err)
	}
	d.Inject(nil)
	if err := commit(); err != nil || b.Stats().Behind.Records > most/4 {
		t.Errorf("with room again: %v, %+v", err, b.Stats())
	}
}

// A state that changes all the time, deletes included, takes as much room as lives, and not as much as was committed.
func TestBounded(t *testing.T) {
	const keys = 4000
	d := disktest.NewDisk()
	config := Config{FS: d.Process(), SegmentBytes: 64 << 10, FeedBytes: 128 << 10, LagBytesMax: 256 << 10, MemoryBytes: 64 << 10}
	b := mustOpen(t, config)
	for epoch := statefun.Epoch(1); epoch <= 400; epoch++ {
		if err := storetest.CommitPuts(t, b.Store, epoch, int(epoch)*311%keys, 150, 30); err != nil {
			t.Fatal(err)
		}
	}
	s := b.Stats()
	if live := int64(keys * 60); s.TableBytes > 4*live || s.Sublevels > sublevelsMax {
		t.Errorf("%+v for %d bytes of entries", s, live)
	}
	var onDisk int64
	for _, data := range d.Files() {
		onDisk += int64(len(data))
	}
	if most := s.TableBytes + config.LagBytesMax + 2*config.SegmentBytes + 64<<10; onDisk > most {
		t.Errorf("%d bytes on disk; want at most %d", onDisk, most)
	}
	state, err := storetest.Read(t, b.Store)
	if err != nil {
		t.Fatal(err)
	}
	var p backend.Part
	for name := range state {
		group, key, _ := strings.Cut(name, " ")
		p.Changes = backend.AppendDelete(p.Changes, statefun.KeyGroup(group[0]-'0'), []byte(key))
	}
	cp := backend.Checkpoint{Application: "shop", Generation: b.Generation(), Epoch: 1000, KeyGroups: 8}
	if err := errors.Join(b.Commit(t.Context(), cp, []backend.Part{p}), b.Fold(t.Context())); err != nil {
		t.Fatal(err)
	}
	if state, err := storetest.Read(t, b.Store); err != nil || len(state) > 0 {
		t.Errorf("%d entries are left, %v", len(state), err)
	}
}

// withBase returns the files of one store with the base of another.
func withBase(files, other map[string][]byte) map[string][]byte {
	own := func(name string) bool { return left(name) || path.Ext(name) == ".sst" }
	mixed := maps.Clone(files)
	maps.DeleteFunc(mixed, func(name string, _ []byte) bool { return own(name) })
	for name, data := range other {
		if own(name) {
			mixed[name] = data
		}
	}
	return mixed
}

// A base that is good, but another store's, or from another time, is refused, and left as it is.
func TestOtherBase(t *testing.T) {
	fill := func() (early, late map[string][]byte) {
		d := disktest.NewDisk()
		b := mustOpen(t, Config{FS: d.Process()})
		for epoch := statefun.Epoch(1); epoch <= 6; epoch++ {
			if err := storetest.CommitPuts(t, b.Store, epoch, int(epoch), 3, 10); err != nil {
				t.Fatal(err)
			}
			if epoch%3 == 0 {
				if err := b.Fold(t.Context()); err != nil {
					t.Fatal(err)
				}
				early, late = late, d.Files()
			}
		}
		d.Kill()
		return early, late
	}
	early, late := fill()
	_, other := fill()
	for name, tt := range map[string]struct {
		files map[string][]byte
		want  string
	}{
		"another store's":   {withBase(late, other), "belongs to store"},
		"an earlier one":    {withBase(late, early), "has the log up to record 4, and record 7 is known to have been in it"},
		"a later one":       {withBase(early, late), "but record 7 is known to have been committed"},
		"none":              {withBase(late, nil), "marker.manifest at offset 0: missing"},
		"nothing but bases": {map[string][]byte{"000004.sst": nil}, "manifest at offset 0: missing, and there is 000004.sst"},
	} {
		d := disktest.DiskOf(tt.files)
		b, err := Open(t.Context(), Config{FS: d.Process()}, storetest.Options)
		if err == nil {
			_ = b.Close()
		}
		if !errors.Is(err, backend.ErrCorrupt) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v; want ErrCorrupt and %q", name, err, tt.want)
		}
		for file, data := range d.Files() {
			if before, ok := tt.files[file]; file != "lock" && (!ok || string(before) != string(data)) {
				t.Errorf("%s: refused, and %s has changed", name, file)
			}
		}
	}
}

// Opening a store writes its generation, and nothing to the base.
func TestRecoveryWritesTheGeneration(t *testing.T) {
	d := disktest.NewDisk()
	b := mustOpen(t, Config{FS: d.Process()})
	if err := errors.Join(storetest.CommitPuts(t, b.Store, 1, 0, 100, 10), b.Fold(t.Context()), b.Close()); err != nil {
		t.Fatal(err)
	}
	changed := map[string]bool{}
	d.Inject(func(op disktest.Op) error {
		changed[fmt.Sprint(op.Kind, " ", op.Name)] = true
		return nil
	})
	b = mustOpen(t, Config{FS: d.Process()})
	if state, err := storetest.Read(t, b.Store); err != nil || len(state) != 100 {
		t.Errorf("%d entries, %v", len(state), err)
	}
	want := map[string]bool{
		"lock lock": true, "truncate lock": true, "write lock": true, "sync directory ": true,
		"write log-000000000001": true, "sync log-000000000001": true, "write witness": true,
	}
	if !maps.Equal(changed, want) {
		t.Errorf("opening does %v; want %v", changed, want)
	}
}

// A scan that has begun before the first fold reads tables that compactions have replaced meanwhile.
func TestScanSinceRecovery(t *testing.T) {
	d := disktest.NewDisk()
	b := mustOpen(t, Config{FS: d.Process()})
	const keys = 5000
	for epoch := statefun.Epoch(1); epoch <= 10; epoch++ { // Compactions make many tables of them.
		if err := errors.Join(storetest.CommitPuts(t, b.Store, epoch, 0, keys, 30), b.Fold(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	want, err := storetest.Read(t, b.Store)
	if err = errors.Join(err, b.Close()); err != nil {
		t.Fatal(err)
	}
	tables := func() (n int) {
		for name := range d.Files() {
			if path.Ext(name) == ".sst" {
				n++
			}
		}
		return n
	}
	b = mustOpen(t, Config{FS: d.Process()})
	before := tables()
	got := storetest.Contents{}
	for e, err := range b.Scan(t.Context(), backend.KeyGroupRange{End: 8}) {
		if err != nil {
			t.Fatal(err)
		}
		got[fmt.Sprint(e.Group, " ", string(e.Key))] = string(e.Value)
		for epoch := statefun.Epoch(11); len(got) == 1 && epoch < 30; epoch++ {
			if err := errors.Join(storetest.CommitPuts(t, b.Store, epoch, 0, keys, 30), b.Fold(t.Context())); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("yields %d entries, want the %d of when it began", len(got), len(want))
	}
	if kept := tables(); kept <= before {
		t.Errorf("%d tables, %d before: nothing was kept, and so nothing was shown", kept, before)
	}
	// The next process finds that nobody needs them.
	for epoch := statefun.Epoch(30); epoch < 33; epoch++ {
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		b = mustOpen(t, Config{FS: d.Process()})
		if err := errors.Join(storetest.CommitPuts(t, b.Store, epoch, 0, 1, 30), b.Fold(t.Context())); err != nil {
			t.Fatal(err)
		}
		if n := int(b.Stats().Tables); tables() != n {
			t.Errorf("%d tables on disk, %d in use", tables(), n)
		}
	}
}

// Pebble gives up when it cannot write to its MANIFEST. The store does not: it opens the database anew.
func TestManifestFull(t *testing.T) {
	d := disktest.NewDisk()
	b := mustOpen(t, Config{FS: d.Process()})
	for epoch := statefun.Epoch(1); epoch <= 20; epoch++ {
		if err := storetest.CommitPuts(t, b.Store, epoch, int(epoch), 3, 10); err != nil {
			t.Fatal(err)
		}
		d.Inject(func(op disktest.Op) error {
			if op.Kind == disktest.OpWrite && strings.HasPrefix(op.Name, "MANIFEST-") {
				return disktest.Short{Bytes: int(epoch) * 10, Err: syscall.ENOSPC} // More than half, or all of it, is there.
			}
			return nil
		})
		if err := b.Fold(t.Context()); !errors.Is(err, syscall.ENOSPC) || errors.Is(err, backend.ErrSync) || errors.Is(err, backend.ErrCorrupt) {
			t.Fatalf("epoch %d: error %v; want that there is no space", epoch, err)
		}
		d.Inject(nil)
		if epoch%2 == 0 {
			if err := b.Fold(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if state, err := storetest.Read(t, b.Store); err != nil || len(state) != int(epoch)+2 {
			t.Fatalf("epoch %d: %d entries, %v", epoch, len(state), err)
		}
	}
	if s := b.Stats(); s.Folds != 10 || s.Failed != nil || s.Behind.Records != 0 {
		t.Errorf("%+v", s)
	}
}

// With Inline the same commits do the same to the disk, in the same order, but for the removal of what is obsolete.
func TestInlineRepeats(t *testing.T) {
	run := func() (log []string) {
		d := disktest.NewDisk()
		d.Inject(func(op disktest.Op) error {
			if op.Kind != disktest.OpRemove {
				log = append(log, op.String())
			}
			return nil
		})
		config := Config{FS: d.Process(), SegmentBytes: 12 << 10, FeedBytes: 20 << 10, Inline: true}
		b, err := open(t.Context(), config, storetest.Options, func() format.StoreID { return format.StoreID{1} })
		if err != nil {
			t.Fatal(err)
		}
		for epoch := statefun.Epoch(1); epoch <= 200; epoch++ {
			if err := storetest.CommitPuts(t, b.Store, epoch, int(epoch)*7, 60, 10); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		return log
	}
	first, second := run(), run()
	for i := range min(len(first), len(second)) {
		if first[i] != second[i] {
			t.Fatalf("operation %d is %s, was %s", i, second[i], first[i])
		}
	}
	if len(first) != len(second) || len(first) < 1000 {
		t.Errorf("%d operations, %d before", len(second), len(first))
	}
}
