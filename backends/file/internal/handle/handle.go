// SPDX-License-Identifier: Apache-2.0

// Package handle counts who uses an open file.
package handle

import (
	"fmt"
	"sync/atomic"

	"github.com/millrace-io/millrace/backends/file/disk"
)

// File is an open file that several hold: whoever opened it, and those who read it meanwhile. It may be
// removed while they do; the last of them closes it.
type File struct {
	disk.File
	Name string

	holders atomic.Int64
}

// New returns a file that its caller holds.
func New(f disk.File, name string) *File {
	h := &File{File: f, Name: name}
	h.holders.Store(1)
	return h
}

// Retain adds a holder. The caller knows that there is one: it is one, or has a lock that keeps one.
func (f *File) Retain() { f.holders.Add(1) }

// Release takes a holder away. What closing may report would be about bytes that were only read, or that a sync
// has already answered for.
func (f *File) Release() {
	switch n := f.holders.Add(-1); {
	case n == 0:
		_ = f.Close()
	case n < 0:
		panic(fmt.Sprintf("handle: %s released once too often", f.Name))
	}
}
