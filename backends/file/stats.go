// SPDX-License-Identifier: Apache-2.0

package file

import "github.com/millrace-io/millrace/engine/statefun"

// Stats are a store's figures at one moment.
type Stats struct {
	Epoch        statefun.Epoch // The newest commit.
	LogBytes     int64          // What a recovery reads of the log; bounded by [Config.LogBytesMax] and one epoch.
	LogRecords   uint64         // Epochs and generations in it.
	Segments     int            // Files of the log.
	Tables       int
	TableBytes   int64
	TableEntries uint64 // Keys, counted in each table that they are in, and deletes that are still needed.

	Compactions      uint64
	CompactedBytes   uint64 // Written into tables.
	CompactionFailed error  // Why the last one has not succeeded, nil if it has.
	Failed           error  // Why no commit can succeed any more, nil as long as one can.
}

// Stats returns the store's figures.
func (b *Backend) Stats() Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := Stats{
		Epoch:            b.latest.Epoch,
		LogBytes:         int64(b.end.Bytes - b.from.Bytes),
		LogRecords:       b.end.Sequence - b.from.Sequence,
		Segments:         len(b.segments),
		Tables:           len(b.tables),
		Compactions:      b.compaction.count,
		CompactedBytes:   b.compaction.bytes,
		CompactionFailed: b.compaction.failed,
		Failed:           b.failed,
	}
	for _, t := range b.tables {
		s.TableBytes += t.Bytes
		s.TableEntries += t.Entries
	}
	return s
}
