// SPDX-License-Identifier: Apache-2.0

package file

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/backendtest"

	"github.com/millrace-io/millrace/backends/file/filetest"
)

// tiny makes everything happen in small stores: segments of two records, compaction every few of them, and
// memory that is full at once.
func tiny(config Config) Config {
	config.SegmentBytes, config.CompactBytes, config.LogBytesMax, config.MemoryBytes = 12<<10, 20<<10, 80<<10, 1
	return config
}

func TestBackend(t *testing.T) {
	t.Parallel()
	backendtest.Run(t, backendtest.Factory{
		Open: func(ctx context.Context, location string, opts backend.Options) (backend.Backend, error) {
			return Open(ctx, tiny(Config{Dir: location}), opts)
		},
		Durable: true,
	})
}

// disks are the directories of a test, by location. A location that is opened again has first crashed, unless
// its store is still open.
type disks struct {
	survives filetest.Survives
	mu       sync.Mutex
	disks    map[string]*filetest.Disk
	open     map[string]int
}

func (d *disks) factory(config Config) backendtest.Factory {
	return backendtest.Factory{
		Open: func(ctx context.Context, location string, opts backend.Options) (backend.Backend, error) {
			d.mu.Lock()
			defer d.mu.Unlock()
			disk := d.disks[location]
			if disk == nil {
				disk = filetest.NewDisk()
				d.disks[location] = disk
			} else if d.open[location] == 0 {
				disk.Crash(d.survives)
			}
			config := config
			config.FS = disk.Process()
			b, err := Open(ctx, config, opts)
			if err != nil {
				return nil, err
			}
			d.open[location]++
			return &crashing{Backend: b, closed: func() {
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
	*Backend
	closed func()
	once   sync.Once
}

func (c *crashing) Close() error {
	c.once.Do(c.closed)
	return c.Backend.Close()
}

// Whatever a crash leaves of what was not synced, and however often the store tidies up, what was committed is
// there.
func TestBackendAfterCrashes(t *testing.T) {
	for name, tt := range map[string]struct {
		survives filetest.Survives
		config   Config
	}{
		"lose, defaults":      {filetest.Lose, Config{}},
		"lose, tiny":          {filetest.Lose, tiny(Config{})},
		"keep, tiny":          {filetest.Keep, tiny(Config{})},
		"lose, tiny, inline":  {filetest.Lose, tiny(Config{Inline: true})},
		"keep, tiny segments": {filetest.Keep, Config{SegmentBytes: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := &disks{survives: tt.survives, disks: map[string]*filetest.Disk{}, open: map[string]int{}}
			backendtest.Run(t, d.factory(tt.config))
		})
	}
}

// One error names everything that is wrong.
func TestOpenJoinsProblems(t *testing.T) {
	_, err := Open(t.Context(), Config{SegmentBytes: -1, CompactBytes: 10, LogBytesMax: 5}, backend.Options{KeyGroups: 40000})
	for _, want := range []string{
		"directory: empty", "segment bytes: -1", "log bytes max: 5, want at least compact bytes: 10",
		"application: empty", "key groups: 40000, want 1 to 32768",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v; want %q in it", err, want)
		}
	}
}
