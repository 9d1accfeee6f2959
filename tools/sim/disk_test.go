// SPDX-License-Identifier: Apache-2.0

package sim_test

import (
	"context"
	"syscall"

	"github.com/millrace-io/millrace/backends/file"
	"github.com/millrace-io/millrace/backends/logstore/disktest"
	"github.com/millrace-io/millrace/backends/memory"
	"github.com/millrace-io/millrace/backends/pebble"
	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/enginetest/sim"
)

// newDisk returns what a seed runs on. Stores are small, so that they tidy up all the time.
func newDisk(seed uint64) sim.Disk {
	switch seed % 8 {
	case 0:
		return nil
	case 1:
		return volatile{}
	case 2, 3:
		return sim.NewModelDisk()
	case 4, 5:
		return &disk{Disk: disktest.NewDisk(), open: func(d *disktest.Disk, o backend.Options) (backend.Backend, error) {
			return file.Open(context.Background(), file.Config{
				FS: d.Process(), Inline: true, SegmentBytes: 16 << 10, CompactBytes: 64 << 10, LogBytesMax: 256 << 10, MemoryBytes: 8 << 10,
			}, o)
		}}
	default:
		return &disk{Disk: disktest.NewDisk(), open: func(d *disktest.Disk, o backend.Options) (backend.Backend, error) {
			return pebble.Open(context.Background(), pebble.Config{
				FS: d.Process(), Inline: true, SegmentBytes: 16 << 10, FeedBytes: 64 << 10, LagBytesMax: 256 << 10, LagEpochsMax: 40,
				MemoryBytes: 8 << 10, CacheBytes: 1 << 20,
			}, o)
		}}
	}
}

// volatile is no disk: its store is gone with the process.
type volatile struct{}

func (volatile) Open(o backend.Options) (backend.Backend, error) {
	return memory.Open(context.Background(), o)
}
func (volatile) Trouble(sim.Trouble, int) {}
func (volatile) Dead() bool               { return false }
func (volatile) Crash(func() bool)        {}

// disk is one in memory, with a store that a process has open.
type disk struct {
	*disktest.Disk
	open  func(*disktest.Disk, backend.Options) (backend.Backend, error)
	store backend.Backend
	dead  bool
}

func (d *disk) Open(o backend.Options) (backend.Backend, error) {
	b, err := d.open(d.Disk, o)
	if err != nil {
		return nil, err
	}
	d.store = b
	return b, nil
}

func (d *disk) Dead() bool { return d.dead }

// Trouble implements sim.Disk. Reads fail only when the process ends with them: a store may have read an entry long
// before it is asked for it.
func (d *disk) Trouble(t sim.Trouble, after int) {
	if t == sim.Peace {
		d.Inject(nil)
		return
	}
	d.InjectReads(func(op disktest.Op) error {
		err := errorOf(t, op)
		if err == nil {
			return nil
		}
		if after--; after >= 0 {
			return nil
		}
		after, t = 0, sim.Peace
		d.dead = err == disktest.ErrDead
		return err
	})
}

// errorOf is what an operation fails with.
func errorOf(t sim.Trouble, op disktest.Op) error {
	switch {
	case t == sim.Death:
		return disktest.ErrDead
	case t == sim.Full && op.Kind == disktest.OpWrite:
		return syscall.ENOSPC
	case t == sim.Doubt && op.Kind == disktest.OpSync:
		return syscall.EIO
	}
	return nil
}

// Crash implements sim.Disk. A process that is dead has nothing more to say, but lets go of its memory.
func (d *disk) Crash(survives func() bool) {
	d.Inject(nil)
	if survives == nil {
		d.Kill()
	} else {
		d.Disk.Crash(survives)
	}
	if d.store != nil {
		_ = d.store.Close()
	}
	d.store, d.dead = nil, false
}
