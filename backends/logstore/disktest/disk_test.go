// SPDX-License-Identifier: Apache-2.0

package disktest

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/millrace-io/millrace/backends/logstore/disk"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// made returns a process with a file that is durable and holds "old".
func made(t *testing.T) (*Disk, disk.FS, disk.File) {
	t.Helper()
	d := NewDisk()
	p := d.Process()
	f, err := p.Create("f")
	must(t, err)
	_, err = f.WriteAt([]byte("old"), 0)
	must(t, errors.Join(err, f.Sync(), p.SyncDir()))
	return d, p, f
}

func (d *Disk) holds(t *testing.T, want map[string]string) {
	t.Helper()
	got := map[string]string{}
	for name, data := range d.Files() {
		got[name] = string(data)
	}
	if !maps.Equal(got, want) {
		t.Errorf("the disk holds %q; want %q", got, want)
	}
}

// What is synced survives, what is not may be lost or kept, and a process that dies takes nothing with it.
func TestCrash(t *testing.T) {
	changes := map[string]struct {
		do         func(t *testing.T, p disk.FS, f disk.File)
		lost, kept map[string]string
	}{
		"write": {
			func(t *testing.T, _ disk.FS, f disk.File) {
				_, err := f.WriteAt([]byte("NEW!"), 0)
				must(t, err)
			},
			map[string]string{"f": "old"},
			map[string]string{"f": "NEW!"},
		},
		"synced write": {
			func(t *testing.T, _ disk.FS, f disk.File) {
				_, err := f.WriteAt([]byte("NEW!"), 2)
				must(t, errors.Join(err, f.Sync()))
			},
			map[string]string{"f": "olNEW!"},
			map[string]string{"f": "olNEW!"},
		},
		"truncate": {
			func(t *testing.T, _ disk.FS, f disk.File) { must(t, f.Truncate(1)) },
			map[string]string{"f": "old"},
			map[string]string{"f": "o"},
		},
		"create": {
			func(t *testing.T, p disk.FS, _ disk.File) {
				g, err := p.Create("g")
				must(t, err)
				_, err = g.WriteAt([]byte("g"), 0)
				must(t, errors.Join(err, g.Sync()))
			},
			map[string]string{"f": "old"},
			map[string]string{"f": "old", "g": "g"},
		},
		"rename": {
			func(t *testing.T, p disk.FS, _ disk.File) { must(t, p.Rename("f", "g")) },
			map[string]string{"f": "old"},
			map[string]string{"g": "old"},
		},
		"synced rename": {
			func(t *testing.T, p disk.FS, _ disk.File) { must(t, errors.Join(p.Rename("f", "g"), p.SyncDir())) },
			map[string]string{"g": "old"},
			map[string]string{"g": "old"},
		},
		"remove": {
			func(t *testing.T, p disk.FS, _ disk.File) { must(t, p.Remove("f")) },
			map[string]string{"f": "old"},
			map[string]string{},
		},
	}
	for name, tt := range changes {
		for end, want := range map[string]map[string]string{"lose": tt.lost, "keep": tt.kept, "kill": tt.kept} {
			t.Run(name+", "+end, func(t *testing.T) {
				d, p, f := made(t)
				tt.do(t, p, f)
				d.holds(t, tt.kept)
				switch end {
				case "lose":
					d.Crash(Lose)
				case "keep":
					d.Crash(Keep)
				default:
					d.Kill()
				}
				d.holds(t, want)
				if _, err := f.WriteAt([]byte("x"), 0); !errors.Is(err, ErrDead) {
					t.Errorf("a dead process writes: %v", err)
				}
				if _, err := p.List(); !errors.Is(err, ErrDead) {
					t.Errorf("a dead process lists: %v", err)
				}
				d.holds(t, want)
			})
		}
	}
}

// A crash loses sectors, not bytes, and a lost sector of a longer file is zeros.
func TestTornWrite(t *testing.T) {
	seen := map[string]bool{}
	for seed := range 200 {
		d, _, f := made(t)
		_, err := f.WriteAt(bytes.Repeat([]byte("x"), 3*sectorBytes), sectorBytes)
		must(t, err)
		n := seed
		d.Crash(func() bool { n /= 2; return n%2 == 1 })
		data := d.Files()["f"]
		shape := ""
		for part := range slices.Chunk(data[min(sectorBytes, len(data)):], sectorBytes) {
			switch {
			case bytes.Count(part, []byte("x")) == len(part):
				shape += "x"
			case bytes.Count(part, []byte("\x00")) == len(part):
				shape += "0"
			default:
				t.Fatalf("a torn sector: %q", part)
			}
		}
		seen[shape] = true
	}
	for _, shape := range []string{"", "x", "0x", "00x", "x0x", "xx", "xxx", "000", "x00"} {
		if !seen[shape] {
			t.Errorf("no crash has left %q; seen %v", shape, slices.Sorted(maps.Keys(seen)))
		}
	}
}

// A failed sync is not made good by another: what it has lost is lost, though processes still see it.
func TestFailedSync(t *testing.T) {
	d, _, f := made(t)
	long := strings.Repeat("n", 4*sectorBytes)
	_, err := f.WriteAt([]byte(long), 0)
	must(t, err)
	d.Inject(func(op Op) error {
		if op.Kind == OpSync {
			return syscall.EIO
		}
		return nil
	})
	if err := f.Sync(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("sync: %v", err)
	}
	d.Inject(nil)
	must(t, f.Sync())
	d.holds(t, map[string]string{"f": long})
	d.Crash(Keep)
	if data := string(d.Files()["f"]); data == long || data == "old" {
		t.Errorf("after a failed sync the disk holds %.20q, %d bytes", data, len(data))
	}
}

// A short write has written something.
func TestShortWrite(t *testing.T) {
	d, _, f := made(t)
	d.Inject(func(op Op) error { return Short{Bytes: 2, Err: syscall.ENOSPC} })
	if n, err := f.WriteAt([]byte("NEW"), 0); n != 2 || !errors.Is(err, syscall.ENOSPC) || !disk.Full(err) {
		t.Errorf("wrote %d, %v", n, err)
	}
	d.holds(t, map[string]string{"f": "NEd"})
}

// A lock ends with its file or with its process, and a name can become another file's.
func TestLockAndStill(t *testing.T) {
	d := NewDisk()
	p, q := d.Process(), d.Process()
	f, err := p.Lock("lock")
	must(t, err)
	if _, err := q.Lock("lock"); !errors.Is(err, disk.ErrLocked) {
		t.Errorf("locked twice: %v", err)
	}
	must(t, p.Still("lock", f))
	must(t, q.Remove("lock"))
	if err := p.Still("lock", f); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("removed: %v", err)
	}
	g, err := q.Lock("lock")
	must(t, err)
	if err := p.Still("lock", f); !errors.Is(err, disk.ErrReplaced) {
		t.Errorf("replaced: %v", err)
	}
	must(t, g.Close())
	g, err = p.Lock("lock")
	must(t, err)
	d.Kill()
	if err := g.Close(); err != nil {
		t.Errorf("close by a dead process: %v", err)
	}
	_, err = d.Process().Lock("lock")
	must(t, err)
}
