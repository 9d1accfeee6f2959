// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"

	"github.com/millrace-io/millrace/backends/logstore"
	"github.com/millrace-io/millrace/backends/logstore/disk"
	"github.com/millrace-io/millrace/backends/logstore/disktest"
)

// CommitPuts commits an epoch that puts so many keys from one on.
func CommitPuts(t *testing.T, b *logstore.Store, epoch statefun.Epoch, from, n, valueBytes int) error {
	t.Helper()
	var p backend.Part
	for i := range n {
		key := fmt.Appendf(nil, "key-%06d", from+i)
		p.Changes = backend.AppendPut(p.Changes, statefun.KeyGroup((from+i)%8), key, fmt.Appendf(nil, "%*d", valueBytes, epoch))
	}
	cp := backend.Checkpoint{Application: Options.Application, Generation: b.Generation(), Epoch: epoch, KeyGroups: Options.KeyGroups}
	return b.Commit(t.Context(), cp, []backend.Part{p})
}

// A fold that fails does no harm and is tried again; commits go on until the log has reached its limit,
// and then say why they do not.
func (s suite) foldFails(t *testing.T) {
	for _, inline := range []bool{true, false} {
		t.Run(fmt.Sprint("inline=", inline), func(t *testing.T) {
			d := disktest.NewDisk()
			config := tiny(Config{FS: d.Process(), Inline: inline})
			b, err := s.Open(t.Context(), config, Options)
			if err != nil {
				t.Fatal(err)
			}
			d.Inject(func(op disktest.Op) error {
				if strings.HasPrefix(op.Name, s.Base) && op.Kind == disktest.OpWrite {
					return syscall.ENOSPC
				}
				return nil
			})
			epoch := statefun.Epoch(1)
			for ; epoch < 100; epoch++ {
				if err = CommitPuts(t, b, epoch, int(epoch), 3, 10); err != nil {
					break
				}
			}
			if !errors.Is(err, syscall.ENOSPC) || halts(err) || !strings.Contains(err.Error(), "folding them fails") {
				t.Fatalf("epoch %d: error %v; want that of the fold", epoch, err)
			}
			if s := b.Stats(nil); s.Behind.Bytes < config.LogBytesMax || s.FoldFailed == nil || s.Failed != nil || s.Folds != 0 {
				t.Errorf("%+v", s)
			}
			d.Inject(nil)
			for range 1000 { // As the engine does. Each try wakes the folder.
				if err = CommitPuts(t, b, epoch, int(epoch), 3, 10); err == nil {
					break
				}
				if err := b.Fold(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if err != nil {
				t.Fatal(err)
			}
			if s := b.Stats(nil); s.Folds == 0 || s.Behind.Bytes >= config.LogBytesMax {
				t.Errorf("%+v", s)
			}
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// Damage that a fold finds, or a sync of its own that fails, ends commits: a recovery would fail.
func (s suite) foldFinds(t *testing.T) {
	for name, harm := range map[string]struct {
		do   func(d *disktest.Disk, b *logstore.Store)
		want error
	}{
		"damage": {func(d *disktest.Disk, b *logstore.Store) {
			f, err := d.Process().Open("log-000000000001")
			if err == nil {
				_, err = f.WriteAt([]byte("damage"), 5000)
			}
			if err != nil {
				t.Fatal(err)
			}
		}, backend.ErrCorrupt},
		"sync": {func(d *disktest.Disk, b *logstore.Store) {
			d.Inject(func(op disktest.Op) error {
				if op.Kind == disktest.OpSync && strings.HasPrefix(op.Name, s.Base) {
					return syscall.EIO
				}
				return nil
			})
		}, backend.ErrSync},
	} {
		t.Run(name, func(t *testing.T) {
			d := disktest.NewDisk()
			b, err := s.Open(t.Context(), Config{FS: d.Process(), Inline: true}, Options)
			if err != nil {
				t.Fatal(err)
			}
			if err := CommitPuts(t, b, 1, 0, 100, 10); err != nil {
				t.Fatal(err)
			}
			harm.do(d, b)
			if err := b.Fold(t.Context()); !errors.Is(err, harm.want) {
				t.Errorf("fold: %v", err)
			}
			if err := CommitPuts(t, b, 2, 0, 100, 10); !errors.Is(err, harm.want) || b.Stats(nil).Failed == nil {
				t.Errorf("commit: %v", err)
			}
			_ = b.Close()
		})
	}
}

// gate stops folds until it is opened.
type gate struct {
	disk.FS
	base    string
	reached chan struct{}
	open    chan struct{}
	once    sync.Once
}

func (g *gate) Create(name string) (disk.File, error) {
	if strings.HasPrefix(name, g.base) {
		g.once.Do(func() { close(g.reached) })
		<-g.open
	}
	return g.FS.Create(name)
}

// Commits and readers go on beside a fold, until the log has reached its limit: then commits wait for it,
// or for the end of their context, or for Close.
func (s suite) besideFold(t *testing.T) {
	d := disktest.NewDisk()
	g := &gate{FS: d.Process(), base: s.Base, reached: make(chan struct{}), open: make(chan struct{})}
	b, err := s.Open(t.Context(), tiny(Config{FS: g}), Options)
	if err != nil {
		t.Fatal(err)
	}
	epoch := statefun.Epoch(0)
	want := Contents{}
	for b.Stats(nil).Behind.Bytes < tiny(Config{}).LogBytesMax {
		epoch++
		if err := CommitPuts(t, b, epoch, int(epoch), 1, 10); err != nil {
			t.Fatal(err)
		}
		want[fmt.Sprintf("%d key-%06d", epoch%8, epoch)] = fmt.Sprintf("%10d", epoch)
	}
	<-g.reached
	if state, err := scan(t, b); err != nil || !maps.Equal(state, want) {
		t.Errorf("beside a fold: %q, %v", state, err)
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
		t.Errorf("commit after the fold: %v", err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = s.mustOpen(t, d.Process())
	if state, err := scan(t, b); err != nil || !maps.Equal(state, want) {
		t.Errorf("after it: %q, %v", state, err)
	}
	_ = b.Close()
}

// Close ends a fold, and a commit that waits for one.
func (s suite) closeBesideFold(t *testing.T) {
	d := disktest.NewDisk()
	g := &gate{FS: d.Process(), base: s.Base, reached: make(chan struct{}), open: make(chan struct{})}
	b, err := s.Open(t.Context(), tiny(Config{FS: g}), Options)
	if err != nil {
		t.Fatal(err)
	}
	epoch := statefun.Epoch(0)
	for b.Stats(nil).Behind.Bytes < tiny(Config{}).LogBytesMax {
		epoch++
		if err := CommitPuts(t, b, epoch, int(epoch), 1, 10); err != nil {
			t.Fatal(err)
		}
	}
	<-g.reached
	waited := make(chan error)
	go func() { waited <- b.Commit(context.Background(), backend.Checkpoint{Epoch: epoch + 1}, nil) }()
	go func() { waited <- b.Close() }()
	for { // Until Close has begun.
		if _, _, err := b.Latest(t.Context()); err != nil {
			break
		}
		runtime.Gosched()
	}
	close(g.open)
	for range 2 {
		if err := <-waited; err != nil && !errors.Is(err, os.ErrClosed) {
			t.Error(err)
		}
	}
	b = s.mustOpen(t, d.Process())
	if cp, _, err := b.Latest(t.Context()); cp.Epoch != epoch || err != nil {
		t.Errorf("latest is %+v, %v; want epoch %d", cp, err, epoch)
	}
	_ = b.Close()
}

// A fold that is told to end leaves everything as it is.
func (s suite) foldContext(t *testing.T) {
	h := newHistory(3, 0)
	d := disktest.NewDisk()
	b, err := s.Open(t.Context(), Config{FS: d.Process(), Inline: true}, Options)
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
	if err := b.Fold(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if after := d.Files(); len(after) != len(before) || b.Stats(nil).Behind.Bytes == 0 || b.Stats(nil).Failed != nil {
		t.Errorf("%d files after, %d before, %+v", len(after), len(before), b.Stats(nil))
	}
	h.check(t, b, h.last())
	_ = b.Close()
}

// A scan shows what was committed when it began, however much is folded meanwhile, and even if folds fail and the
// base is opened again.
func (s suite) scanBesideFolds(t *testing.T) {
	const keys = 2000
	d := disktest.NewDisk()
	b := s.mustOpen(t, d.Process())
	n, failed := 0, 0
	var room atomic.Bool // For a while.
	d.Inject(func(op disktest.Op) error {
		if n++; n%29 == 0 && op.Kind == disktest.OpWrite && !room.Load() {
			failed++
			return syscall.ENOSPC
		}
		return nil
	})
	epoch := statefun.Epoch(0)
	commit := func() {
		epoch++
		defer room.Store(false)
		for try := range 20 { // As the engine does.
			room.Store(try > 10) // A fold that needs more than 29 writes would never succeed.
			if err := CommitPuts(t, b, epoch, int(epoch)*100%keys, 200, 10); err == nil {
				return
			} else if halts(err) {
				t.Fatal(err)
			}
		}
		t.Fatalf("epoch %d is not committed", epoch)
	}
	for range 30 {
		commit()
	}
	for range 4 {
		want, err := scan(t, b)
		if err != nil {
			t.Fatal(err)
		}
		got := Contents{}
		for e, err := range b.Scan(t.Context(), everything) {
			if err != nil {
				t.Fatal(err)
			}
			got[fmt.Sprint(e.Group, " ", string(e.Key))] = string(e.Value)
			if len(got)%200 == 1 {
				commit()
			}
		}
		if !maps.Equal(got, want) {
			t.Fatalf("yields %d entries, want the %d of when it began", len(got), len(want))
		}
	}
	if failed < 10 || b.Stats(nil).Folds < 10 {
		t.Errorf("%d failures, %+v", failed, b.Stats(nil))
	}
	d.Inject(nil)
	_ = b.Close()
}
