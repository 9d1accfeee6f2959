// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"

	"github.com/millrace-io/millrace/backends/logstore/disk"
	"github.com/millrace-io/millrace/backends/logstore/disktest"
)

// endure does a history to a store as the engine does: what fails without harm is tried again, what halts is
// opened again. It returns the number of times that a process halted.
func (s suite) endure(t *testing.T, h *history, d *disktest.Disk) (halted int) {
	t.Helper()
	tries := 0
	again := func(err error) {
		if tries++; tries > 60 {
			t.Fatalf("still failing: %v", err)
		}
	}
	for {
		b, err := s.Open(t.Context(), tiny(Config{FS: d.Process(), Inline: true}), Options)
		if err != nil {
			again(err)
			d.Kill()
			continue
		}
		cp, _, err := b.Latest(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for epoch := cp.Epoch; epoch < h.last(); {
			err := h.commit(t, b, epoch+1)
			if err == nil {
				epoch++
				continue
			}
			again(err)
			if halts(err) {
				halted++
				break
			}
			h.check(t, b, epoch)
		}
		cp, _, _ = b.Latest(t.Context())
		_ = b.Close() // It may tell of the fault again.
		d.Kill()
		if cp.Epoch == h.last() {
			return halted
		}
	}
}

// One fault at any operation: nothing that was committed is lost, nothing is there that was not, and everything
// is committed in the end. After a sync has failed nobody syncs that file again.
func (s suite) faultAnywhere(t *testing.T) {
	h := newHistory(11, longerThanSegment)
	total := s.ops(t, h)
	faults := []struct {
		name string
		err  error
	}{
		{"no space", syscall.ENOSPC},
		{"no space, half of it", disktest.Short{Bytes: 1000, Err: syscall.ENOSPC}},
		{"quota", syscall.EDQUOT},
		{"I/O error", syscall.EIO},
		{"I/O error, half", disktest.Short{Bytes: 5000, Err: syscall.EIO}},
		{"read-only", syscall.EROFS},
	}
	for _, fault := range faults {
		t.Run(fault.name, func(t *testing.T) {
			t.Parallel()
			for at := range total {
				d := disktest.NewDisk()
				n, unsynced := 0, ""
				var failed disktest.Op
				d.Inject(func(op disktest.Op) error {
					n++
					switch {
					case n == at+1:
						if failed = op; op.Kind == disktest.OpSync {
							unsynced = op.Name
						}
						return fault.err
					case n > at+1 && op.Kind == disktest.OpLock:
						unsynced = "" // The next process knows of nothing.
					case op.Kind == disktest.OpSync && op.Name == unsynced:
						t.Fatalf("after %v had failed: %v", failed, op)
					}
					return nil
				})
				halted := s.endure(t, h, d)
				sync := failed.Kind == disktest.OpSync || failed.Kind == disktest.OpSyncDir
				full := disk.Full(fault.err)
				if full && !sync && halted > 0 {
					t.Fatalf("%v, which does no harm, has halted a process", failed)
				}
				d.Inject(nil)
				d.Crash(disktest.Lose)
				b := s.mustOpen(t, d.Process())
				h.check(t, b, h.last())
				_ = b.Close()
			}
		})
	}
}

// A full disk stays full for a while. The epoch is tried again with the same bytes until there is room; what
// was committed can be read all the time, and after a crash.
func (s suite) diskFull(t *testing.T) {
	h := newHistory(11, longerThanSegment)
	total := s.ops(t, h)
	for at := range total {
		d := disktest.NewDisk()
		n := 0
		d.Inject(func(op disktest.Op) error {
			n++
			grows := op.Kind == disktest.OpWrite || op.Kind == disktest.OpCreate
			if n > at && n < at+40 && grows {
				return disktest.Short{Bytes: n % 3 * 700, Err: syscall.ENOSPC}
			}
			return nil
		})
		if halted := s.endure(t, h, d); halted > 0 {
			t.Fatalf("full from operation %d on: halted", at)
		}
		d.Inject(nil)
		d.Crash(coin(uint64(at)))
		b := s.mustOpen(t, d.Process())
		h.check(t, b, h.last())
		_ = b.Close()
	}
}

// What cannot be read is refused: by Open, by Scan, by Get, and never read as less than what is there.
func (s suite) readFaults(t *testing.T) {
	h := newHistory(6, longerThanSegment)
	d := disktest.NewDisk()
	s.run(t, h, d)
	d.Kill()
	files := d.Files()
	failing := 0
	for at := 0; ; at++ {
		d := disktest.DiskOf(files)
		n, hit := 0, false
		d.InjectReads(func(op disktest.Op) error {
			if op.Kind != disktest.OpRead && op.Kind != disktest.OpOpen && op.Kind != disktest.OpList {
				return nil
			}
			if n++; n == at+1 {
				hit = true
				return syscall.EIO
			}
			return nil
		})
		b, err := s.Open(t.Context(), tiny(Config{FS: d.Process(), Inline: true}), Options)
		if err == nil {
			_, err = Read(t, b)
		}
		d.Inject(nil)
		if !hit {
			h.check(t, b, h.last())
			_ = b.Close()
			break
		}
		// One of two slots of the witness may be unreadable.
		if err != nil {
			failing++
			if !errors.Is(err, syscall.EIO) || errors.Is(err, backend.ErrCorrupt) {
				t.Fatalf("read %d: %v; want the I/O error itself", at, err)
			}
		} else {
			h.check(t, b, h.last())
		}
		if b != nil {
			_ = b.Close()
		}
	}
	if failing < 10 {
		t.Fatalf("only %d reads have failed", failing)
	}
}

// After a write or a sync that has failed, nobody knows what is on the disk: the process refuses all commits, writes
// and syncs nothing any more, and still shows the last commit.
func (s suite) doubtHalts(t *testing.T) {
	h := newHistory(5, longerThanSegment)
	for _, kind := range []disktest.OpKind{disktest.OpWrite, disktest.OpSync} {
		t.Run(string(kind), func(t *testing.T) {
			d := disktest.NewDisk()
			b := s.mustOpen(t, d.Process())
			for epoch := range statefun.Epoch(2) {
				if err := h.commit(t, b, epoch+1); err != nil {
					t.Fatal(err)
				}
			}
			var log []disktest.Op // What is done from the failure on.
			d.Inject(func(op disktest.Op) error {
				failed := len(log) > 0
				if failed || op.Kind == kind {
					log = append(log, op)
				}
				if op.Kind == kind && !failed {
					return syscall.EIO
				}
				return nil
			})
			for range 3 {
				if err := h.commit(t, b, 3); !errors.Is(err, backend.ErrSync) || !errors.Is(err, syscall.EIO) {
					t.Fatalf("error %v; want ErrSync and its cause", err)
				}
				h.check(t, b, 2)
				if err := b.Fold(t.Context()); !errors.Is(err, backend.ErrSync) {
					t.Errorf("fold: error %v; want ErrSync", err)
				}
			}
			if b.Stats(nil).Failed == nil {
				t.Error("stats do not say why")
			}
			if err := b.Close(); err != nil {
				t.Error(err)
			}
			if len(log) != 1 {
				t.Errorf("after the failure: %v; want nothing", log[1:])
			}
			d.Inject(nil)
			d.Kill()
			b = s.mustOpen(t, d.Process())
			h.check(t, b, 2, 3)
			_ = b.Close()
		})
	}
}

// A directory that cannot be written to is refused before anything has happened.
func (s suite) readOnly(t *testing.T) {
	h := newHistory(4, longerThanSegment)
	d := disktest.NewDisk()
	s.run(t, h, d)
	d.Kill()
	before := d.Files()
	d.Inject(func(op disktest.Op) error { return syscall.EROFS })
	_, err := s.Open(t.Context(), Config{FS: d.Process()}, Options)
	if !errors.Is(err, syscall.EROFS) || !strings.Contains(err.Error(), "lock") {
		t.Errorf("error %v; want that of the lock", err)
	}
	d.Inject(nil)
	for name, data := range d.Files() {
		if string(before[name]) != string(data) {
			t.Errorf("%s has changed", name)
		}
	}
}
