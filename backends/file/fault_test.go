// SPDX-License-Identifier: Apache-2.0

package file

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/millrace-io/millrace/engine/backend"

	"github.com/millrace-io/millrace/backends/file/filetest"
)

// endure does a history to a store as the engine does: what fails without harm is tried again, what halts is
// opened again. It returns the number of times that a process halted.
func (h *history) endure(t *testing.T, d *filetest.Disk) (halted int) {
	t.Helper()
	tries := 0
	again := func(err error) {
		if tries++; tries > 60 {
			t.Fatalf("still failing: %v", err)
		}
	}
	for {
		b, err := Open(t.Context(), tiny(Config{FS: d.Process(), Inline: true}), options)
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
func TestFaultAnywhere(t *testing.T) {
	h := newHistory(11, longerThanSegment)
	total := h.ops(t)
	faults := map[string]error{
		"no space":             syscall.ENOSPC,
		"no space, half of it": filetest.Short{Bytes: 1000, Err: syscall.ENOSPC},
		"quota":                syscall.EDQUOT,
		"I/O error":            syscall.EIO,
		"I/O error, half":      filetest.Short{Bytes: 5000, Err: syscall.EIO},
		"read-only":            syscall.EROFS,
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for at := range total {
				d := filetest.NewDisk()
				n, unsynced := 0, ""
				var failed filetest.Op
				d.Inject(func(op filetest.Op) error {
					n++
					switch {
					case n == at+1:
						if failed = op; op.Kind == filetest.OpSync {
							unsynced = op.Name
						}
						return fault
					case n > at+1 && op.Kind == filetest.OpLock:
						unsynced = "" // The next process knows of nothing.
					case op.Kind == filetest.OpSync && op.Name == unsynced:
						t.Fatalf("after %v had failed: %v", failed, op)
					}
					return nil
				})
				halted := h.endure(t, d)
				sync := failed.Kind == filetest.OpSync || failed.Kind == filetest.OpSyncDir
				full := errors.Is(fault, syscall.ENOSPC) || errors.Is(fault, syscall.EDQUOT)
				if full && !sync && halted > 0 {
					t.Fatalf("%v, which does no harm, has halted a process", failed)
				}
				d.Inject(nil)
				d.Crash(filetest.Lose)
				h.check(t, mustOpen(t, d.Process()), h.last())
			}
		})
	}
}

// A full disk stays full for a while. The epoch is tried again with the same bytes until there is room; what
// was committed can be read all the time, and after a crash.
func TestDiskFull(t *testing.T) {
	h := newHistory(11, longerThanSegment)
	total := h.ops(t)
	for at := range total {
		d := filetest.NewDisk()
		n := 0
		d.Inject(func(op filetest.Op) error {
			n++
			grows := op.Kind == filetest.OpWrite || op.Kind == filetest.OpCreate
			if n > at && n < at+40 && grows {
				return filetest.Short{Bytes: n % 3 * 700, Err: syscall.ENOSPC}
			}
			return nil
		})
		if halted := h.endure(t, d); halted > 0 {
			t.Fatalf("full from operation %d on: halted", at)
		}
		d.Inject(nil)
		d.Crash(coin(uint64(at)))
		h.check(t, mustOpen(t, d.Process()), h.last())
	}
}

// What cannot be read is refused: by Open, by Scan, by Get, and never read as less than what is there.
func TestReadFaults(t *testing.T) {
	h := newHistory(6, longerThanSegment)
	d := filetest.NewDisk()
	h.run(t, d)
	d.Kill()
	files := d.Files()
	failing := 0
	for at := 0; ; at++ {
		d := filetest.DiskOf(files)
		n, hit := 0, false
		d.InjectReads(func(op filetest.Op) error {
			if op.Kind != filetest.OpRead && op.Kind != filetest.OpOpen && op.Kind != filetest.OpList {
				return nil
			}
			if n++; n == at+1 {
				hit = true
				return syscall.EIO
			}
			return nil
		})
		b, err := Open(t.Context(), tiny(Config{FS: d.Process(), Inline: true}), options)
		if err == nil {
			_, err = read(t, b)
		}
		d.Inject(nil)
		if !hit {
			h.check(t, b, h.last())
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
	}
	if failing < 10 {
		t.Fatalf("only %d reads have failed", failing)
	}
}

// While a process halts on doubt, it refuses commits and still shows the last.
func TestPoisoned(t *testing.T) {
	h := newHistory(5, longerThanSegment)
	d := filetest.NewDisk()
	b := mustOpen(t, d.Process())
	for epoch := range b.manifest.from.Sequence + 2 {
		if err := h.commit(t, b, 1+h.check(t, b, 0, 1, 2)); err != nil {
			t.Fatalf("commit %d: %v", epoch, err)
		}
	}
	var after []string
	d.Inject(func(op filetest.Op) error {
		after = append(after, fmt.Sprint(op.Kind))
		if op.Kind == filetest.OpSync {
			return syscall.EIO
		}
		return nil
	})
	for range 3 {
		if err := h.commit(t, b, 3); !errors.Is(err, backend.ErrSync) || !errors.Is(err, syscall.EIO) {
			t.Fatalf("error %v; want ErrSync and its cause", err)
		}
		h.check(t, b, 2)
	}
	if b.Stats().Failed == nil {
		t.Error("stats do not say why")
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if n := len(slices.DeleteFunc(after, func(k string) bool { return k != string(filetest.OpSync) })); n != 1 {
		t.Errorf("synced %d times; want 1", n)
	}
	d.Inject(nil)
	d.Kill()
	h.check(t, mustOpen(t, d.Process()), 2, 3)
}

// A directory that cannot be written to is refused before anything has happened.
func TestReadOnly(t *testing.T) {
	h := newHistory(4, longerThanSegment)
	d := filetest.NewDisk()
	h.run(t, d)
	d.Kill()
	before := d.Files()
	d.Inject(func(op filetest.Op) error { return syscall.EROFS })
	_, err := Open(t.Context(), Config{FS: d.Process()}, options)
	if !errors.Is(err, syscall.EROFS) || !strings.Contains(err.Error(), lockName) {
		t.Errorf("error %v; want that of the lock", err)
	}
	d.Inject(nil)
	for name, data := range d.Files() {
		if string(before[name]) != string(data) {
			t.Errorf("%s has changed", name)
		}
	}
}
