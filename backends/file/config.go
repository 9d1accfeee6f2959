// SPDX-License-Identifier: Apache-2.0

package file

import (
	"cmp"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"

	"github.com/millrace-io/millrace/backends/logstore"
	"github.com/millrace-io/millrace/backends/logstore/disk"
)

// Config says where a store is and when it tidies up. Zero values stand for the defaults.
type Config struct {
	// Dir is the directory of the store. It is made if there is none.
	Dir string
	// FS is used instead of Dir, if it is not nil. The store closes it.
	FS disk.FS

	// EpochMin is an epoch of which the caller knows that it was committed to this store, such as one whose
	// records have left. A store that is older, or new, is refused: it is a copy, or another directory.
	EpochMin statefun.Epoch

	// SegmentBytes is the length at which the log begins another segment. Default 64 MiB.
	SegmentBytes int64
	// CompactBytes is the length of the log from which on its older part is forgotten, or folded into tables: about
	// how much of it is read at recovery, and what a compaction's cost is spread over. It can be forgotten when
	// the engine has put everything again meanwhile, which it does for a state of up to an eighth of this. Default
	// 512 MiB.
	CompactBytes int64
	// LogBytesMax is the length of the log from which on Commit waits for the compaction: the most that
	// recovery reads, but for one epoch. Default four times as much.
	LogBytesMax int64
	// MemoryBytes bounds the memory in which a compaction gathers changes. It takes less while fewer keys
	// change. Default 256 MiB.
	MemoryBytes int64

	// Inline compacts within Commit and not beside it, so that everything happens on the goroutine of the
	// caller and in the same order every time: for simulations.
	Inline bool
}

func (c Config) withDefaults() Config {
	c.SegmentBytes = cmp.Or(c.SegmentBytes, 64<<20)
	c.CompactBytes = cmp.Or(c.CompactBytes, 512<<20)
	c.LogBytesMax = cmp.Or(c.LogBytesMax, 4*c.CompactBytes)
	c.MemoryBytes = cmp.Or(c.MemoryBytes, 256<<20)
	return c
}

func (c Config) validate(opts backend.Options) error {
	return logstore.Check(opts, c.Dir, c.FS,
		logstore.Limit{Name: "segment bytes", Value: c.SegmentBytes},
		logstore.Limit{Name: "compact bytes", Value: c.CompactBytes},
		logstore.Limit{Name: "log bytes max", Value: c.LogBytesMax, AtLeastPrevious: true},
		logstore.Limit{Name: "memory bytes", Value: c.MemoryBytes},
	)
}
