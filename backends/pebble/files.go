// SPDX-License-Identifier: Apache-2.0

package pebble

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace-io/millrace/engine/backend"

	"github.com/millrace-io/millrace/backends/logstore/disk"
)

// dirName is what Pebble takes for its directory: there is only one, the store's.
const dirName = "store"

// files is the port of the store as Pebble wants it. It knows what Pebble does not: that nobody may go on after a
// sync has failed.
type files struct {
	vfs.FS // Nil: what Pebble does not call is not there.
	disk   disk.FS
	fail   func(error)           // Told of a sync that has failed.
	ended  atomic.Pointer[error] // Why nothing may be changed any more.
	hurry  atomic.Bool           // No more tables: a compaction that is under way fails.
	keep   atomic.Pointer[func() bool]

	mu       sync.Mutex
	last     string // The file that was opened last, for errors that do not say where. Guarded by mu.
	manifest string // The MANIFEST. Guarded by mu.
}

// fault is an error of the disk, as opposed to damage that Pebble finds.
type fault struct{ error }

func (f fault) Unwrap() error { return f.error }

// faulty marks what the disk says. That there is no such file it says of damage, too.
func faulty(err error) error {
	if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, io.EOF) {
		return err
	}
	return fault{err}
}

// end lets nothing be changed any more. The first reason counts.
func (f *files) end(why error) { f.ended.CompareAndSwap(nil, &why) }

// keepTables lets tables stay while keep says so, because somebody else reads them.
func (f *files) keepTables(keep func() bool) { f.keep.Store(&keep) }

// change fails once nothing may be changed.
func (f *files) change() error {
	if why := f.ended.Load(); why != nil {
		return *why
	}
	return nil
}

// table fails for a table that is not to be made any more.
func (f *files) table(name string) error {
	if f.hurry.Load() && path.Ext(name) == ".sst" {
		return fs.ErrClosed
	}
	return f.change()
}

// doubt ends changes after a failed sync.
func (f *files) doubt(name string, err error) error {
	if err == nil {
		return nil
	}
	err = fault{fmt.Errorf("%s: %w: %w", name, backend.ErrSync, err)}
	f.end(err)
	f.fail(err)
	return err
}

func (f *files) open(name string, open func(string) (disk.File, error)) (vfs.File, error) {
	of, err := open(path.Base(name))
	if err != nil {
		return nil, faulty(err)
	}
	return &file{files: f, File: of, name: path.Base(name)}, nil
}

// Create implements [vfs.FS]. Pebble's log there is not: nothing would ever be in it, and to find one, even an empty
// one, makes Pebble write to the MANIFEST when it opens, again and again while that fails.
func (f *files) Create(name string, _ vfs.DiskWriteCategory) (vfs.File, error) {
	if path.Ext(name) == ".log" {
		return nowhere{}, nil
	}
	if err := f.table(name); err != nil {
		return nil, err
	}
	return f.open(name, f.disk.Create)
}

// Open implements [vfs.FS].
func (f *files) Open(name string, _ ...vfs.OpenOption) (vfs.File, error) {
	f.mu.Lock()
	if f.last = path.Base(name); strings.HasPrefix(f.last, "MANIFEST-") {
		f.manifest = f.last
	}
	f.mu.Unlock()
	return f.open(name, f.disk.Open)
}

// OpenDir implements [vfs.FS].
func (f *files) OpenDir(string) (vfs.File, error) { return directory{files: f}, nil }

// Link implements [vfs.FS] for tables that are taken in: Pebble removes the old name when it has the new one. A
// rename is both, and every file system has it.
func (f *files) Link(from, to string) error { return f.Rename(from, to) }

// Rename implements [vfs.FS].
func (f *files) Rename(from, to string) error {
	if err := f.change(); err != nil {
		return err
	}
	return faulty(f.disk.Rename(path.Base(from), path.Base(to)))
}

// Remove implements [vfs.FS]. A marker, which names the MANIFEST or the version, is made anew before the old one is
// removed; were both changes lost in the other order, there would be no database.
func (f *files) Remove(name string) error {
	if strings.HasPrefix(path.Base(name), "marker.") {
		_ = directory{files: f}.Sync()
	}
	if err := f.change(); err != nil {
		return err
	}
	if keep := f.keep.Load(); keep != nil && path.Ext(name) == ".sst" && (*keep)() {
		return nil // The next process finds that nobody needs it.
	}
	return faulty(f.disk.Remove(path.Base(name)))
}

// MkdirAll implements [vfs.FS].
func (f *files) MkdirAll(string, os.FileMode) error { return nil }

// Lock implements [vfs.FS]. The store has a lock.
func (f *files) Lock(string) (io.Closer, error) { return io.NopCloser(nil), nil }

// List implements [vfs.FS].
func (f *files) List(string) ([]string, error) {
	names, err := f.disk.List()
	return names, faulty(err)
}

// Stat implements [vfs.FS].
func (f *files) Stat(name string) (vfs.FileInfo, error) {
	if path.Base(name) == dirName {
		return info{name: dirName, dir: true}, nil
	}
	of, err := f.Open(name)
	if err != nil {
		return nil, err
	}
	i, err := of.Stat()
	return i, errors.Join(err, of.Close())
}

// GetDiskUsage implements [vfs.FS].
func (f *files) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{}, vfs.ErrUnsupported
}

// PathBase implements [vfs.FS].
func (f *files) PathBase(name string) string { return path.Base(name) }

// PathJoin implements [vfs.FS].
func (f *files) PathJoin(elem ...string) string { return path.Join(elem...) }

// PathDir implements [vfs.FS].
func (f *files) PathDir(name string) string { return path.Dir(name) }

// Unwrap implements [vfs.FS].
func (f *files) Unwrap() vfs.FS { return nil }

// file is an open file. Reading and writing from one end to the other is done by one goroutine.
type file struct {
	disk.File
	files *files
	name  string
	at    int64
}

func (f *file) Read(b []byte) (int, error) {
	n, err := f.ReadAt(b, f.at)
	f.at += int64(n)
	if n > 0 && errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

func (f *file) ReadAt(b []byte, at int64) (int, error) {
	n, err := f.File.ReadAt(b, at)
	return n, faulty(err)
}

func (f *file) Write(b []byte) (int, error) {
	n, err := f.WriteAt(b, f.at)
	f.at += int64(n)
	return n, err
}

func (f *file) WriteAt(b []byte, at int64) (int, error) {
	if err := f.files.table(f.name); err != nil {
		return 0, err
	}
	n, err := f.File.WriteAt(b, at)
	return n, faulty(err)
}

func (f *file) Sync() error {
	if err := f.files.change(); err != nil {
		return err
	}
	return f.files.doubt(f.name, f.File.Sync())
}

func (f *file) SyncData() error { return f.Sync() }

func (f *file) SyncTo(int64) (bool, error) { return false, nil }

func (f *file) Stat() (vfs.FileInfo, error) {
	size, err := f.Size()
	return info{name: f.name, size: size}, faulty(err)
}

func (f *file) Preallocate(int64, int64) error { return nil }

func (f *file) Prefetch(int64, int64) error { return nil }

func (f *file) Fd() uintptr { return vfs.InvalidFd }

// nowhere is the file of Pebble's log.
type nowhere struct{ vfs.File }

func (nowhere) Write(b []byte) (int, error)    { return len(b), nil }
func (nowhere) Sync() error                    { return nil }
func (nowhere) SyncData() error                { return nil }
func (nowhere) SyncTo(int64) (bool, error)     { return true, nil }
func (nowhere) Preallocate(int64, int64) error { return nil }
func (nowhere) Fd() uintptr                    { return vfs.InvalidFd }
func (nowhere) Close() error                   { return nil }

// directory is the open directory.
type directory struct {
	vfs.File // Nil: it is synced, and nothing else.
	files    *files
}

// Sync has no error for Pebble, which would panic, and perhaps on a goroutine of its own. Nothing can be changed
// any more then, and whoever has had something done looks for that.
func (d directory) Sync() error {
	if d.files.change() == nil {
		_ = d.files.doubt(dirName, d.files.disk.SyncDir())
	}
	return nil
}

func (d directory) Close() error { return nil }

// info is what Pebble wants to know of a file.
type info struct {
	name string
	size int64
	dir  bool
}

func (i info) Name() string               { return i.name }
func (i info) Size() int64                { return i.size }
func (i info) IsDir() bool                { return i.dir }
func (i info) ModTime() time.Time         { return time.Time{} }
func (i info) Sys() any                   { return nil }
func (i info) DeviceID() (d vfs.DeviceID) { return d }

func (i info) Mode() fs.FileMode {
	if i.dir {
		return fs.ModeDir
	}
	return 0
}
