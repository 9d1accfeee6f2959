// SPDX-License-Identifier: Apache-2.0

package pebble

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"sync"
	"sync/atomic"

	pebbledb "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"

	"github.com/millrace-io/millrace/engine/backend"

	"github.com/millrace-io/millrace/backends/logstore/format"
)

// formatVersion is the version of Pebble's files: the first in which a table's footer has a checksum. It never changes
// by itself; a later one has to be shipped as a version of this store.
const formatVersion = pebbledb.FormatTableFormatV6

// tableBytes is how long tables of level 0 are that compactions make; those of a level are twice as long as those of
// the one above. Tests make them shorter, so that there are many.
var tableBytes int64 = 2 << 20

// instance is the open database. The base holds it, and each view of it.
//
//	read-only ── first fold ──► writable ── MANIFEST cannot be written ──► ended
//	                                ▲────────────── next fold ───────────────┘
//
// A recovery opens it read-only, and so changes nothing (P28). Pebble does not go on after it could not write to its
// MANIFEST, for whatever reason: what it has in memory is then not what is on disk. A full disk must not end the
// process (P24). So another instance takes its place, and those who read the old one go on.
type instance struct {
	base      *base
	db        *pebbledb.DB
	options   *pebbledb.Options
	files     *files
	scheduler *scheduler
	holders   atomic.Int64
	stop      chan struct{}  // Ends the compactor.
	compactor sync.WaitGroup // Runs compactions in the background.
}

// open opens the database. The base holds the instance, and retires it in the end.
func (b *base) open(readOnly, mustExist bool) (*instance, error) {
	i := &instance{
		base:      b,
		files:     &files{disk: b.env.FS, fail: b.env.Fail},
		scheduler: newScheduler(),
		stop:      make(chan struct{}),
	}
	// Its own tables the database may remove when it opens, but for those that an instance which has failed thinks
	// are there: nobody knows which of the two is right about the last change.
	afterFailure := b.now != nil && !b.now.options.ReadOnly
	if afterFailure {
		i.files.keepTables(b.readElsewhere)
	}
	if readOnly {
		i.files.end(errReadOnly)
	}
	i.options = &pebbledb.Options{
		FS: i.files, Logger: logger{i.files}, EventListener: b.listener(i.scheduler),
		FormatMajorVersion: formatVersion,
		ReadOnly:           readOnly,
		ErrorIfNotExists:   mustExist,
		DisableWAL:         true,
		CacheSize:          b.cacheBytes,
		MemTableSize:       64 << 10, // There is never anything in it.
		BytesPerSync:       4 << 20,  // So that a commit does not wait until a whole table is on the disk.
		DisableTableStats:  true,
	}
	for l := range i.options.Levels {
		// Most addresses that are asked for and not there are new ones: a filter says so without a read.
		i.options.Levels[l].FilterPolicy = bloom.FilterPolicy(10)
		i.options.TargetFileSizes[l] = tableBytes << l
	}
	i.options.Experimental.CompactionScheduler = i.scheduler
	i.options.Experimental.ReadSamplingMultiplier = -1 // Reading causes no compactions.
	i.options.EnsureDefaults()
	var err error
	i.db, err = pebbledb.Open(dirName, i.options)
	switch {
	case errors.Is(err, pebbledb.ErrDBDoesNotExist):
		return nil, format.Corrupt("marker.manifest", 0, "missing")
	case errors.Is(err, pebbledb.ErrDBNotPristine):
		return nil, format.Corrupt("marker.format-version", 0, "missing")
	case err != nil:
		return nil, fmt.Errorf("%s: %w", i.files.last, explain(err)) // It has said so itself, or has just read it.
	}
	if err := i.files.change(); err != nil && !readOnly {
		_ = i.db.Close()
		return nil, explain(err)
	}
	if !readOnly && !afterFailure {
		i.db.TestOnlyWaitForCleaning() // Not only in tests: until it has removed what a crash has left.
		i.files.keepTables(b.readElsewhere)
	}
	b.instances.Add(1)
	i.holders.Store(1)
	if !readOnly && !b.env.Inline {
		i.compactor.Go(i.compactWhenWoken)
	}
	return i, nil
}

var errReadOnly = errors.New("pebble: the database is open to be read")

// listener hears of what compactions meet with.
func (b *base) listener(s *scheduler) *pebbledb.EventListener {
	return &pebbledb.EventListener{
		DataCorruption: func(d pebbledb.DataCorruptionInfo) {
			b.env.Fail(fmt.Errorf("%w: %s: %w", backend.ErrCorrupt, path.Base(d.Path), d.Details))
		},
		BackgroundError: s.failed,
	}
}

func (i *instance) compactWhenWoken() {
	for {
		select {
		case <-i.scheduler.wanted:
			i.compact()
		case <-i.stop:
			return
		}
	}
}

// compact runs the compactions that there are to run. It waits while somebody reads another instance, whose tables
// would have to stay. One that fails is tried again after the next fold.
func (i *instance) compact() {
	_ = i.scheduler.run(func() bool {
		return i.base.readElsewhere() || i.files.hurry.Load() || i.files.change() != nil
	})
}

// retire ends what the base does with an instance. A compaction that is under way fails while it makes tables. Once
// they are made it comes to its end: Pebble does not survive that its MANIFEST cannot be written, and its goroutine
// would take the process along.
func (b *base) retire(i *instance) {
	i.files.hurry.Store(true)
	close(i.stop)
	i.compactor.Wait()
	i.files.end(fs.ErrClosed)
	i.release()
}

func (i *instance) retain() { i.holders.Add(1) }

// release takes a holder away. The last one closes the database. There is nothing that it would have to write, and
// what it says is of no use to anybody.
func (i *instance) release() {
	if i.holders.Add(-1) == 0 {
		_ = i.db.Close()
		i.base.instances.Add(-1)
	}
}

// explain says what an error of Pebble means. What is neither the disk's nor the caller's is damage.
func explain(err error) error {
	var f fault
	switch {
	case err == nil || errors.Is(err, backend.ErrCorrupt) || errors.Is(err, context.Canceled) || errors.Is(err, fs.ErrClosed):
		return err
	case errors.As(err, &f):
		return fmt.Errorf("pebble: %w", f.error)
	}
	text, _, _ := strings.Cut(err.Error(), "\n") // What follows is for Pebble's own people.
	return fmt.Errorf("%w: %s", backend.ErrCorrupt, text)
}

// logger is where Pebble says what happens. What is worth knowing it also returns, or tells the listener.
type logger struct{ files *files }

// Infof implements [pebbledb.Logger].
func (logger) Infof(string, ...any) {}

// Errorf implements [pebbledb.Logger].
func (logger) Errorf(string, ...any) {}

// Fatalf implements [pebbledb.Logger]. Pebble would have the process end; instead the instance changes nothing any
// more, neither what it has begun nor to tidy up: what the MANIFEST speaks of must stay.
func (l logger) Fatalf(format string, args ...any) {
	l.files.end(fmt.Errorf("pebble: "+format, args...))
}
