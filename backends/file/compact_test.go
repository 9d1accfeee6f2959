// SPDX-License-Identifier: Apache-2.0

package file

import (
	"errors"
	"fmt"
	"testing"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"

	"github.com/millrace-io/millrace/backends/logstore/disktest"
	"github.com/millrace-io/millrace/backends/logstore/storetest"
)

// Whatever is committed for however long, what a recovery reads stays bounded: the log by its limit, the tables
// by what lives, and there are few of them.
func TestBounded(t *testing.T) {
	const keys = 4000
	d := disktest.NewDisk()
	config := Config{
		FS: d.Process(), Inline: true, SegmentBytes: 64 << 10, CompactBytes: 128 << 10, LogBytesMax: 256 << 10, MemoryBytes: 64 << 10,
	}
	b, err := Open(t.Context(), config, storetest.Options)
	if err != nil {
		t.Fatal(err)
	}
	tables, logBytes := 0, int64(0)
	for epoch := statefun.Epoch(1); epoch <= 400; epoch++ {
		from := int(epoch) * 311 % keys
		if err := storetest.CommitPuts(t, b.Store, epoch, from, 150, 30); err != nil {
			t.Fatal(err)
		}
		s := b.Stats()
		tables, logBytes = max(tables, s.Tables), max(logBytes, s.LogBytes)
	}
	s := b.Stats()
	if logBytes > config.LogBytesMax || tables > 6 || s.Segments > 5 {
		t.Errorf("up to %d bytes of log and %d tables, now %d segments", logBytes, tables, s.Segments)
	}
	if live := int64(keys * 60); s.TableBytes > 4*live {
		t.Errorf("%d bytes of tables for %d of entries", s.TableBytes, live)
	}
	if written, committed := s.CompactedBytes, uint64(400*150*50); written > 6*committed {
		t.Errorf("%d bytes written into tables for %d committed", written, committed)
	}
	var onDisk int64
	for _, data := range d.Files() {
		onDisk += int64(len(data))
	}
	if most := s.TableBytes + config.LogBytesMax + 2*config.SegmentBytes; onDisk > most {
		t.Errorf("%d bytes on disk; want at most %d", onDisk, most)
	}
}

func reopen(t *testing.T, d *disktest.Disk) *Backend {
	t.Helper()
	b, err := Open(t.Context(), Config{FS: d.Process(), Inline: true}, storetest.Options)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What is deleted is gone for good once all of it has been folded: no table keeps a delete that nothing needs.
func TestDeletesVanish(t *testing.T) {
	d := disktest.NewDisk()
	b, err := Open(t.Context(), Config{FS: d.Process(), Inline: true}, storetest.Options)
	if err != nil {
		t.Fatal(err)
	}
	compact := func() {
		if err := b.Compact(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := storetest.CommitPuts(t, b.Store, 1, 0, 300, 30); err != nil {
		t.Fatal(err)
	}
	compact()
	if s := b.Stats(); s.Tables != 1 || s.TableEntries != 300 {
		t.Errorf("%+v; want one table", s)
	}
	var p backend.Part
	for i := range 300 {
		p.Changes = backend.AppendDelete(p.Changes, statefun.KeyGroup(i%8), fmt.Appendf(nil, "key-%06d", i))
	}
	cp := backend.Checkpoint{Application: "shop", Generation: b.Generation(), Epoch: 2, KeyGroups: 8}
	if err := b.Commit(t.Context(), cp, []backend.Part{p}); err != nil {
		t.Fatal(err)
	}
	compact()
	if s := b.Stats(); s.Tables != 0 || s.TableBytes != 0 {
		t.Errorf("%+v; want no tables", s)
	}
	d.Crash(disktest.Lose)
	b = reopen(t, d)
	state, err := storetest.Read(t, b.Store)
	cp, ok, latestErr := b.Latest(t.Context())
	if err = errors.Join(err, latestErr); err != nil || len(state) != 0 || !ok || cp.Epoch != 2 {
		t.Errorf("holds %q, latest %+v, %v", state, cp, err)
	}
}

// One epoch that is far longer than the memory of a compaction.
func TestCompactLongEpoch(t *testing.T) {
	d := disktest.NewDisk()
	b, err := Open(t.Context(), Config{FS: d.Process(), Inline: true, CompactBytes: 1 << 10, MemoryBytes: 100 << 10}, storetest.Options)
	if err != nil {
		t.Fatal(err)
	}
	if err := storetest.CommitPuts(t, b.Store, 1, 0, 20_000, 30); err != nil {
		t.Fatal(err)
	}
	if err := storetest.CommitPuts(t, b.Store, 2, 10_000, 20_000, 30); err != nil {
		t.Fatal(err)
	}
	s := b.Stats()
	if s.LogBytes > 4<<10 || s.Compactions < 2 || s.Tables > 8 {
		t.Errorf("%+v", s)
	}
	d.Crash(disktest.Lose)
	b = reopen(t, d)
	state, err := storetest.Read(t, b.Store)
	if err != nil || len(state) != 30_000 {
		t.Fatalf("%d entries, %v", len(state), err)
	}
	for i := range 30_000 {
		epoch := 1 + i/10_000
		if want := fmt.Sprintf("%*d", 30, min(epoch, 2)); state[fmt.Sprintf("%d key-%06d", i%8, i)] != want {
			t.Fatalf("key %d is %q, want %q", i, state[fmt.Sprintf("%d key-%06d", i%8, i)], want)
		}
	}
}
