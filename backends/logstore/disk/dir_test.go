// SPDX-License-Identifier: Apache-2.0

package disk

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func openDir(t *testing.T, path string) FS {
	t.Helper()
	d, err := Dir(path)
	must(t, err)
	t.Cleanup(func() { must(t, d.Close()) })
	return d
}

func TestFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b")
	d := openDir(t, path)
	f, err := d.Create("f")
	must(t, err)
	_, err = f.WriteAt([]byte("hello"), 3)
	must(t, errors.Join(err, f.Truncate(6), f.Sync(), d.SyncDir()))
	if size, err := f.Size(); size != 6 || err != nil {
		t.Errorf("size %d, %v", size, err)
	}
	b := make([]byte, 10)
	if n, err := f.ReadAt(b, 2); string(b[:n]) != "\x00hel" || !errors.Is(err, io.EOF) {
		t.Errorf("read %q, %v", b[:n], err)
	}
	must(t, d.Rename("f", "g"))
	if _, err := d.Open("f"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("open of an old name: %v", err)
	}
	must(t, d.Still("g", f))
	g, err := d.Create("g") // The same file, emptied.
	must(t, err)
	must(t, d.Still("g", f))
	if size, err := f.Size(); size != 0 || err != nil {
		t.Errorf("size %d, %v", size, err)
	}
	must(t, errors.Join(f.Close(), g.Close(), os.Mkdir(filepath.Join(path, "sub"), 0o700)))
	if _, err := d.Open("sub"); err == nil {
		t.Error("a directory was opened as a file")
	}
	names, err := d.List()
	if slices.Sort(names); err != nil || !slices.Equal(names, []string{"g", "sub"}) {
		t.Errorf("list %q, %v", names, err)
	}
	info, err := os.Stat(filepath.Join(path, "g"))
	if err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("others may read it: %v, %v", info.Mode(), err)
	}
	must(t, d.Remove("g"))
	if err := d.Remove("g"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("removed twice: %v", err)
	}
}

// What is written in pieces is all there, wherever it begins, and an error says how much of it.
func TestWriteAtPieces(t *testing.T) {
	path := t.TempDir()
	d := openDir(t, path)
	f, err := d.Create("f")
	must(t, err)
	defer f.Close()
	const at = 5
	for _, n := range []int{0, 1, pieceBytes - 1, pieceBytes, pieceBytes + 1, 3*pieceBytes + 7} {
		want := make([]byte, n)
		for i := range want {
			want[i] = byte(n + i + i/pieceBytes)
		}
		must(t, f.Truncate(0))
		if wrote, err := f.WriteAt(want, at); wrote != n || err != nil {
			t.Errorf("wrote %d of %d, %v", wrote, n, err)
		}
		got, err := os.ReadFile(filepath.Join(path, "f"))
		if must(t, err); n > 0 && !bytes.Equal(got, append(make([]byte, at), want...)) {
			t.Errorf("%d bytes are not there as they were written", n)
		}
	}
	readOnly, err := os.Open(filepath.Join(path, "f"))
	must(t, err)
	defer readOnly.Close()
	if n, err := (&file{File: readOnly}).WriteAt(make([]byte, 2*pieceBytes), 0); n != 0 || err == nil {
		t.Errorf("wrote %d bytes to a file that is read only, %v", n, err)
	}
}

func TestLock(t *testing.T) {
	path := t.TempDir()
	d, e := openDir(t, path), openDir(t, path)
	f, err := d.Lock("lock")
	must(t, err)
	if _, err := e.Lock("lock"); !errors.Is(err, ErrLocked) {
		t.Errorf("locked twice: %v", err)
	}
	g, err := e.Open("lock") // Reading who has it is not taking it.
	must(t, err)
	must(t, errors.Join(g.Close(), f.Close()))
	f, err = e.Lock("lock")
	must(t, err)
	must(t, f.Close())
}

func TestStill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store")
	d := openDir(t, path)
	f, err := d.Create("f")
	must(t, err)
	defer f.Close()
	must(t, os.Rename(path, path+"-elsewhere"))
	if err := d.Still("f", f); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the directory is moved: %v", err)
	}
	must(t, os.Mkdir(path, 0o700))
	must(t, os.WriteFile(filepath.Join(path, "f"), nil, 0o600))
	if err := d.Still("f", f); !errors.Is(err, ErrReplaced) {
		t.Errorf("the directory is replaced: %v", err)
	}
	// What is done is done where the directory is now.
	_, err = d.Create("g")
	must(t, err)
	if _, err := os.Stat(filepath.Join(path+"-elsewhere", "g")); err != nil {
		t.Error(err)
	}
}

// A symbolic link does not lead out of the directory.
func TestSymlink(t *testing.T) {
	path, outside := t.TempDir(), filepath.Join(t.TempDir(), "f")
	must(t, os.Symlink(outside, filepath.Join(path, "f")))
	d := openDir(t, path)
	if _, err := d.Create("f"); err == nil {
		t.Error("a file was made behind a link")
	}
	if _, err := os.Stat(outside); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file outside: %v", err)
	}
}

func TestFull(t *testing.T) {
	for err, want := range map[error]bool{
		syscall.ENOSPC: true, syscall.EDQUOT: true, &os.PathError{Err: syscall.ENOSPC}: true, syscall.EIO: false, nil: false,
	} {
		if Full(err) != want {
			t.Errorf("full(%v) is %v", err, !want)
		}
	}
}
