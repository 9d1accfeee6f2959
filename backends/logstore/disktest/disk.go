// SPDX-License-Identifier: Apache-2.0

// Package disktest has a disk in memory for tests of stores: it loses power, fills up and fails.
//
// A [Disk] knows what is durable and what is only in the system's cache. [Disk.Kill] ends the processes that
// use it, and the cache stays; [Disk.Crash] is a loss of power: of what was not synced any part may be lost,
// sector by sector, name by name, file by file. After either, [Disk.Process] is the next process.
//
//	d := disktest.NewDisk()
//	b, err := file.Open(ctx, file.Config{FS: d.Process(), Inline: true}, opts)
//	…
//	d.Crash(disktest.Lose)
//	b, err = file.Open(ctx, file.Config{FS: d.Process(), Inline: true}, opts)
package disktest

import (
	"bytes"
	"maps"
	"slices"
	"sync"
)

// Disk is one directory. Its methods may be called by several goroutines.
type Disk struct {
	mu      sync.Mutex
	now     map[string]*node // What processes see.
	durable map[string]*node // What a crash leaves at the least.
	names   []nameChange     // What leads from one to the other.
	epoch   int              // How many times all processes have died.
	inject  func(Op) error
	reads   bool // Whether inject is asked about reads.
}

// node is a file, whatever its names are.
type node struct {
	data    []byte // What processes read.
	durable []byte
	writes  []write // What leads from one to the other.
	shared  bool    // Both are somebody else's, until they are written to.
	owner   *process
}

// own copies what is not the disk's before it is written to.
func (n *node) own() {
	if n.shared {
		n.data, n.durable, n.shared = bytes.Clone(n.data), bytes.Clone(n.durable), false
	}
}

// write is a write that has not been synced, or a truncation when it has no data.
type write struct {
	at   int64
	data []byte
}

// nameChange says which file a name stood for from then on, and which name lost its own by that.
type nameChange struct {
	name  string
	node  *node // Nil when the name was removed.
	taken string
}

// NewDisk returns an empty directory.
func NewDisk() *Disk {
	return &Disk{now: map[string]*node{}, durable: map[string]*node{}}
}

// Survives decides whether a part of what was not synced survives a crash. It is asked for each part.
type Survives func() bool

// Lose loses all that was not synced.
func Lose() bool { return false }

// Keep loses nothing: the system had just written it.
func Keep() bool { return true }

const sectorBytes = 512

// Crash ends all processes and loses of what was not synced what does not survive.
func (d *Disk) Crash(survives Survives) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.epoch++
	for _, c := range d.names {
		if survives() {
			c.apply(d.durable)
		}
	}
	d.names = nil
	d.now = maps.Clone(d.durable)
	for _, name := range slices.Sorted(maps.Keys(d.now)) {
		n := d.now[name]
		n.owner = nil
		if !n.shared {
			n.settle(survives)
			n.data = bytes.Clone(n.durable)
		}
	}
}

// Kill ends all processes. What they have written is there.
func (d *Disk) Kill() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.epoch++
	for _, n := range d.now {
		n.owner = nil
	}
}

func (c nameChange) apply(names map[string]*node) {
	if c.taken != "" {
		delete(names, c.taken)
	}
	if c.node == nil {
		delete(names, c.name)
		return
	}
	names[c.name] = c.node
}

// settle makes durable what survives of the writes.
func (n *node) settle(survives Survives) {
	for _, w := range n.writes {
		if w.data == nil {
			if survives() {
				n.durable = resize(n.durable, w.at)
			}
			continue
		}
		// The size may survive without the bytes, which are zeros then.
		if end := w.at + int64(len(w.data)); end > int64(len(n.durable)) && survives() {
			n.durable = resize(n.durable, end)
		}
		for at, data := w.at, w.data; len(data) > 0; {
			part := min(len(data), int(sectorBytes-at%sectorBytes))
			if survives() {
				n.durable = put(n.durable, at, data[:part])
			}
			at, data = at+int64(part), data[part:]
		}
	}
	n.writes = nil
}

func put(dst []byte, at int64, data []byte) []byte {
	if end := at + int64(len(data)); end > int64(len(dst)) {
		dst = resize(dst, end)
	}
	copy(dst[at:], data)
	return dst
}

func resize(b []byte, size int64) []byte {
	if size <= int64(len(b)) {
		return b[:size:size] // What is behind it must not come back.
	}
	return append(b, make([]byte, size-int64(len(b)))...)
}

// Files returns what is in the directory, as processes see it.
func (d *Disk) Files() map[string][]byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	files := map[string][]byte{}
	for name, n := range d.now {
		files[name] = bytes.Clone(n.data)
	}
	return files
}

// DiskOf returns a directory with these files, durable. It shares their bytes until it writes to them.
func DiskOf(files map[string][]byte) *Disk {
	d := NewDisk()
	for name, data := range files {
		n := &node{data: data, durable: data, shared: true}
		d.now[name], d.durable[name] = n, n
	}
	return d
}

// Inject sets what is asked before each operation that changes something, or is nil. When it returns an error,
// the operation fails with it. A [Short] write has written something; a failed sync leaves nobody knowing
// what is durable, and what it has lost no later sync makes durable. After [ErrDead] the processes are dead.
func (d *Disk) Inject(f func(Op) error) { d.set(f, false) }

// InjectReads is like Inject, and asks about reads too.
func (d *Disk) InjectReads(f func(Op) error) { d.set(f, true) }

func (d *Disk) set(f func(Op) error, reads bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.inject, d.reads = f, reads
}
