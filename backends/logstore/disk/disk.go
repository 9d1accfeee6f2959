// SPDX-License-Identifier: Apache-2.0

// Package disk is what the flat epoch log asks of a file system: one directory without subdirectories, and
// the operations on which its durability depends. [Dir] is a real directory. Package disktest has one in
// memory that loses power.
package disk

import (
	"errors"
	"io"
	"syscall"
)

// FS is one directory. Names are plain file names.
//
// What is written to a file is durable once [File.Sync] has returned, and not sooner. What Create, Rename
// and Remove do to names is durable once SyncDir has returned. Until then a crash may undo any of it, in
// any order, but undoes a rename as a whole. A file that does not exist is an error that matches
// [io/fs.ErrNotExist].
type FS interface {
	// Lock opens a file, made if there is none, and takes it for this process until the file is closed or
	// the process ends, however it ends. ErrLocked says that another has it.
	Lock(name string) (File, error)
	// Create opens a new file, or an old one that it empties.
	Create(name string) (File, error)
	// Open opens a file that exists.
	Open(name string) (File, error)
	// Rename gives a file another name, which is taken from the file that had it.
	Rename(from, to string) error
	// Remove removes a name. Files that are open can still be read.
	Remove(name string) error
	// List returns the names that there are.
	List() ([]string, error)
	// SyncDir makes durable what has happened to names.
	SyncDir() error
	// Still returns nil when whoever looks for the name now finds this file, and why not otherwise: because
	// the name, or the whole directory, has been removed, or replaced by another.
	Still(name string, f File) error
	// Close gives up what the directory itself holds, and no file.
	Close() error
}

// File is an open file. Reads may run beside each other and beside writes to other places.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Size() (int64, error)
	Truncate(size int64) error
	// Sync makes durable what has been written, and the size. When it fails, nobody knows what is durable,
	// and to call it again proves nothing: the system may have forgotten what it could not write.
	Sync() error
}

// ErrLocked is returned by Lock for a file that another process, or another FS of this one, has locked.
var ErrLocked = errors.New("disk: locked by another")

// ErrReplaced is returned by Still for a name that is now another file's.
var ErrReplaced = errors.New("disk: replaced by another file")

// Full reports whether an operation failed because there is no room, which may pass, and has not harmed
// anything.
func Full(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
