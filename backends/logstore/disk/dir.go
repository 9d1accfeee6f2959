// SPDX-License-Identifier: Apache-2.0

package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Dir returns the FS of a directory, which it makes, durably, if there is none.
//
// All but Still go through a handle of the directory, so that everything happens in one and the same
// directory whatever becomes of its path, and no symbolic link leads out of it. What others may read is
// for the directory's mode to say; the files are the owner's.
func Dir(path string) (FS, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := makeDir(path); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	self, err := root.Open(".")
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return &dir{path: path, root: root, self: self}, nil
}

// makeDir makes a directory and those above it that are missing, each durable in the one above.
func makeDir(path string) error {
	if info, err := os.Stat(path); err == nil {
		if !info.IsDir() {
			return fmt.Errorf("%s is not a directory", path)
		}
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(path)
	if err := makeDir(parent); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	above, err := os.Open(parent)
	if err != nil {
		return err
	}
	return errors.Join(above.Sync(), above.Close())
}

type dir struct {
	path string
	root *os.Root
	self *os.File // The directory itself, to be synced.
}

func (d *dir) Lock(name string) (File, error) {
	f, err := d.open(name, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, err
	}
	if err := lock(f.File); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	// Between opening and locking, its owner may have gone and somebody else have replaced it.
	if err := d.Still(name, f); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", ErrLocked, err), f.Close())
	}
	f.locked = true
	return f, nil
}

func (d *dir) Create(name string) (File, error) {
	return d.open(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
}

func (d *dir) Open(name string) (File, error) { return d.open(name, os.O_RDWR) }

func (d *dir) open(name string, flag int) (*file, error) {
	f, err := d.root.OpenFile(name, flag, 0o600)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if !info.Mode().IsRegular() {
		return nil, errors.Join(fmt.Errorf("%s is not a regular file", name), f.Close())
	}
	return &file{File: f, identity: info}, nil
}

func (d *dir) Rename(from, to string) error { return d.root.Rename(from, to) }

func (d *dir) Remove(name string) error { return d.root.Remove(name) }

func (d *dir) List() (names []string, err error) {
	entries, err := fs.ReadDir(d.root.FS(), ".")
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

func (d *dir) SyncDir() error { return d.self.Sync() }

// Still goes by the path, not by the handle: a directory that was moved away or removed looks, through its
// handle, as ever.
func (d *dir) Still(name string, f File) error {
	now, err := os.Lstat(filepath.Join(d.path, name))
	if err != nil {
		return err
	}
	if !os.SameFile(now, f.(*file).identity) {
		return fmt.Errorf("%s: %w", filepath.Join(d.path, name), ErrReplaced)
	}
	return nil
}

func (d *dir) Close() error { return errors.Join(d.self.Close(), d.root.Close()) }

type file struct {
	*os.File
	identity os.FileInfo
	locked   bool
}

// pieceBytes is how much is written with one call. For more at once Linux looks for larger pieces of memory, which a virtual
// machine may first have to get from its host: beside the engine at work a byte took 1.8 to 2.5 ns of CPU in pieces
// of 1 MiB, and 0.4 in these. In shorter ones the calls begin to count.
const pieceBytes = 64 << 10

// WriteAt implements [io.WriterAt].
func (f *file) WriteAt(b []byte, at int64) (n int, err error) {
	for piece := range slices.Chunk(b, pieceBytes) {
		wrote, err := f.File.WriteAt(piece, at+int64(n))
		n += wrote
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// Close gives a lock back first: a process that is just being started by this one may still have a copy of the
// descriptor, and with it the lock.
func (f *file) Close() error {
	var err error
	if f.locked {
		err = unlock(f.File)
	}
	return errors.Join(err, f.File.Close())
}

func (f *file) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f *file) Sync() error { return syncData(f.File) }
