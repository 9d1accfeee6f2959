// SPDX-License-Identifier: Apache-2.0

package file

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"

	"github.com/millrace-io/millrace/backends/file/disk"
	"github.com/millrace-io/millrace/backends/file/filetest"
)

// commitPuts commits an epoch that puts so many keys from one on.
func commitPuts(t *testing.T, b *Backend, epoch statefun.Epoch, from, n, valueBytes int) error {
	t.Helper()
	var p backend.Part
	for i := range n {
		key := fmt.Appendf(nil, "key-%06d", from+i)
		p.Changes = backend.AppendPut(p.Changes, statefun.KeyGroup((from+i)%8), key, fmt.Appendf(nil, "%*d", valueBytes, epoch))
	}
	cp := backend.Checkpoint{Application: options.Application, Generation: b.Generation(), Epoch: epoch, KeyGroups: options.KeyGroups}
	return b.Commit(t.Context(), cp, []backend.Part{p})
}

// Whatever is committed for however long, what a recovery reads stays bounded: the log by its limit, the tables
// by what lives, and there are few of them.
func TestBounded(t *testing.T) {
	const keys = 4000
	d := filetest.NewDisk()
	config := Config{
		FS: d.Process(), Inline: true, SegmentBytes: 64 << 10, CompactBytes: 128 << 10, LogBytesMax: 256 << 10, MemoryBytes: 64 << 10,
	}
	b, err := Open(t.Context(), config, options)
	if err != nil {
		t.Fatal(err)
	}
	tables, logBytes := 0, int64(0)
	for epoch := statefun.Epoch(1); epoch <= 400; epoch++ {
		from := int(epoch) * 311 % keys
		if err := commitPuts(t, b, epoch, from, 150, 30); err != nil {
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

// What is deleted is gone for good once all of it has been folded: no table keeps a delete that nothing needs.
func TestDeletesVanish(t *testing.T) {
	d := filetest.NewDisk()
	b, err := Open(t.Context(), Config{FS: d.Process(), Inline: true}, options)
	if err != nil {
		t.Fatal(err)
	}
	compact := func() {
		if err := b.Compact(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := commitPuts(t, b, 1, 0, 300, 30); err != nil {
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
	h := newHistory(2, 0)
	if err := b.Commit(t.Context(), h.checkpoint(b, 2), []backend.Part{p}); err != nil {
		t.Fatal(err)
	}
	compact()
	if s := b.Stats(); s.Tables != 0 || s.TableBytes != 0 {
		t.Errorf("%+v; want no tables", s)
	}
	d.Crash(filetest.Lose)
	b = mustOpen(t, d.Process())
	state, err := scan(t, b)
	cp, ok, latestErr := b.Latest(t.Context())
	if err = errors.Join(err, latestErr); err != nil || len(state) != 0 || !ok || cp.Epoch != 2 {
		t.Errorf("holds %q, latest %+v, %v", state, cp, err)
	}
}

// One epoch that is far longer than the memory of a compaction.
func TestCompactLongEpoch(t *testing.T) {
	d := filetest.NewDisk()
	b, err := Open(t.Context(), Config{FS: d.Process(), Inline: true, CompactBytes: 1 << 10, MemoryBytes: 100 << 10}, options)
	if err != nil {
		t.Fatal(err)
	}
	if err := commitPuts(t, b, 1, 0, 20_000, 30); err != nil {
		t.Fatal(err)
	}
	if err := commitPuts(t, b, 2, 10_000, 20_000, 30); err != nil {
		t.Fatal(err)
	}
	s := b.Stats()
	if s.LogBytes > 4<<10 || s.Compactions < 2 || s.Tables > 8 {
		t.Errorf("%+v", s)
	}
	d.Crash(filetest.Lose)
	b = mustOpen(t, d.Process())
	state, err := scan(t, b)
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

// A compaction that fails does no harm and is tried again; commits go on until the log has reached its limit,
// and then say why they do not.
func TestCompactionFails(t *testing.T) {
	for _, inline := range []bool{true, false} {
		t.Run(fmt.Sprint("inline=", inline), func(t *testing.T) {
			d := filetest.NewDisk()
			config := tiny(Config{FS: d.Process(), Inline: inline})
			b, err := Open(t.Context(), config, options)
			if err != nil {
				t.Fatal(err)
			}
			d.Inject(func(op filetest.Op) error {
				if strings.HasPrefix(op.Name, "table-") && op.Kind == filetest.OpWrite {
					return syscall.ENOSPC
				}
				return nil
			})
			epoch := statefun.Epoch(1)
			for ; epoch < 100; epoch++ {
				if err = commitPuts(t, b, epoch, int(epoch), 3, 10); err != nil {
					break
				}
			}
			if !errors.Is(err, syscall.ENOSPC) || halts(err) || !strings.Contains(err.Error(), "compacting it fails") {
				t.Fatalf("epoch %d: error %v; want that of the compaction", epoch, err)
			}
			if s := b.Stats(); s.LogBytes < config.LogBytesMax || s.CompactionFailed == nil || s.Failed != nil || s.Tables != 0 {
				t.Errorf("%+v", s)
			}
			d.Inject(nil)
			for range 1000 { // As the engine does. Each try wakes the compactor.
				if err = commitPuts(t, b, epoch, int(epoch), 3, 10); err == nil {
					break
				}
				if err := b.Compact(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if err != nil {
				t.Fatal(err)
			}
			if s := b.Stats(); s.Tables == 0 || s.LogBytes >= config.LogBytesMax {
				t.Errorf("%+v", s)
			}
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
			for name := range d.Files() {
				if b.stray(name) {
					t.Errorf("%s is left", name)
				}
			}
		})
	}
}

// Damage that a compaction finds, or a sync of its own that fails, ends commits: a recovery would fail.
func TestCompactionFinds(t *testing.T) {
	for name, harm := range map[string]struct {
		do   func(d *filetest.Disk, b *Backend)
		want error
	}{
		"damage": {func(d *filetest.Disk, b *Backend) {
			_, _ = b.log.Active().WriteAt([]byte("damage"), 5000)
		}, backend.ErrCorrupt},
		"sync": {func(d *filetest.Disk, b *Backend) {
			d.Inject(func(op filetest.Op) error {
				if op.Kind == filetest.OpSync && strings.HasPrefix(op.Name, "table-") {
					return syscall.EIO
				}
				return nil
			})
		}, backend.ErrSync},
	} {
		t.Run(name, func(t *testing.T) {
			d := filetest.NewDisk()
			b, err := Open(t.Context(), Config{FS: d.Process(), Inline: true}, options)
			if err != nil {
				t.Fatal(err)
			}
			if err := commitPuts(t, b, 1, 0, 100, 10); err != nil {
				t.Fatal(err)
			}
			harm.do(d, b)
			if err := b.Compact(t.Context()); !errors.Is(err, harm.want) {
				t.Errorf("compact: %v", err)
			}
			if err := commitPuts(t, b, 2, 0, 100, 10); !errors.Is(err, harm.want) || b.Stats().Failed == nil {
				t.Errorf("commit: %v", err)
			}
		})
	}
}

// gate stops the writing of tables until it is opened.
type gate struct {
	disk.FS
	reached chan struct{}
	open    chan struct{}
	once    sync.Once
}

func (g *gate) Create(name string) (disk.File, error) {
	if strings.HasPrefix(name, "table-") {
		g.once.Do(func() { close(g.reached) })
		<-g.open
	}
	return g.FS.Create(name)
}

// Commits and readers go on beside a compaction, until the log has reached its limit: then commits wait for it,
// or for the end of their context, or for Close.
func TestBesideCompaction(t *testing.T) {
	d := filetest.NewDisk()
	g := &gate{FS: d.Process(), reached: make(chan struct{}), open: make(chan struct{})}
	b, err := Open(t.Context(), tiny(Config{FS: g}), options)
	if err != nil {
		t.Fatal(err)
	}
	epoch := statefun.Epoch(0)
	want := contents{}
	for b.Stats().LogBytes < b.config.LogBytesMax {
		epoch++
		if err := commitPuts(t, b, epoch, int(epoch), 1, 10); err != nil {
			t.Fatal(err)
		}
		want[fmt.Sprintf("%d key-%06d", epoch%8, epoch)] = fmt.Sprintf("%10d", epoch)
	}
	<-g.reached
	if state, err := scan(t, b); err != nil || !maps.Equal(state, want) {
		t.Errorf("beside a compaction: %q, %v", state, err)
	}
	waiting := func(ctx context.Context, epoch statefun.Epoch) error {
		return b.Commit(ctx, backend.Checkpoint{Epoch: epoch}, nil)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- waiting(ctx, epoch+1) }()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("commit whose context has ended: %v", err)
	}
	go func() { ended <- waiting(context.Background(), epoch+1) }()
	close(g.open)
	if err := <-ended; err != nil {
		t.Errorf("commit after the compaction: %v", err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if state, err := scan(t, mustOpen(t, d.Process())); err != nil || !maps.Equal(state, want) {
		t.Errorf("after it: %q, %v", state, err)
	}
}

// Close ends a compaction, and a commit that waits for one.
func TestCloseBesideCompaction(t *testing.T) {
	d := filetest.NewDisk()
	g := &gate{FS: d.Process(), reached: make(chan struct{}), open: make(chan struct{})}
	b, err := Open(t.Context(), tiny(Config{FS: g}), options)
	if err != nil {
		t.Fatal(err)
	}
	epoch := statefun.Epoch(0)
	for b.Stats().LogBytes < b.config.LogBytesMax {
		epoch++
		if err := commitPuts(t, b, epoch, int(epoch), 1, 10); err != nil {
			t.Fatal(err)
		}
	}
	<-g.reached
	waited := make(chan error)
	go func() { waited <- b.Commit(context.Background(), backend.Checkpoint{Epoch: epoch + 1}, nil) }()
	go func() { waited <- b.Close() }()
	<-b.stopped.Done()
	close(g.open)
	for range 2 {
		if err := <-waited; err != nil && !errors.Is(err, errClosed) {
			t.Error(err)
		}
	}
	if cp, _, err := mustOpen(t, d.Process()).Latest(t.Context()); cp.Epoch != epoch || err != nil {
		t.Errorf("latest is %+v, %v; want epoch %d", cp, err, epoch)
	}
}

// A compaction that is told to end leaves everything as it is.
func TestCompactContext(t *testing.T) {
	h := newHistory(3, 0)
	d := filetest.NewDisk()
	b, err := Open(t.Context(), Config{FS: d.Process(), Inline: true}, options)
	if err != nil {
		t.Fatal(err)
	}
	for epoch := range h.last() {
		if err := h.commit(t, b, epoch+1); err != nil {
			t.Fatal(err)
		}
	}
	before := d.Files()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Compact(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if after := d.Files(); len(after) != len(before) || b.Stats().LogBytes == 0 || b.Stats().Failed != nil {
		t.Errorf("%d files after, %d before, %+v", len(after), len(before), b.Stats())
	}
	h.check(t, b, h.last())
}
