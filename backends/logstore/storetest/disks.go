// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"sync"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/backendtest"

	"github.com/millrace-io/millrace/backends/logstore"
	"github.com/millrace-io/millrace/backends/logstore/disktest"
)

// disks are the directories of a test, by location. A location that is opened again has first crashed, unless
// its store is still open.
type disks struct {
	survives disktest.Survives
	mu       sync.Mutex
	disks    map[string]*disktest.Disk
	open     map[string]int
}

func (d *disks) factory(s suite, config Config) backendtest.Factory {
	return backendtest.Factory{
		Open: func(ctx context.Context, location string, opts backend.Options) (backend.Backend, error) {
			d.mu.Lock()
			defer d.mu.Unlock()
			disk := d.disks[location]
			if disk == nil {
				disk = disktest.NewDisk()
				d.disks[location] = disk
			} else if d.open[location] == 0 {
				disk.Crash(d.survives)
			}
			config := config
			config.FS = disk.Process()
			b, err := s.Open(ctx, config, opts)
			if err != nil {
				return nil, err
			}
			d.open[location]++
			return &crashing{Store: b, closed: func() {
				d.mu.Lock()
				defer d.mu.Unlock()
				d.open[location]--
			}}, nil
		},
		Durable: true,
	}
}

// crashing is a backend whose disk crashes when it is closed and opened again.
type crashing struct {
	*logstore.Store
	closed func()
	once   sync.Once
}

func (c *crashing) Close() error {
	c.once.Do(c.closed)
	return c.Store.Close()
}
