// SPDX-License-Identifier: Apache-2.0

package logstore

import "github.com/millrace-io/millrace/engine/statefun"

// Stats are a store's figures at one moment.
type Stats struct {
	Epoch    statefun.Epoch // The newest commit.
	Behind   Length         // What a recovery reads of the log; bounded by [Config.Max] and one epoch.
	Segments int            // Files of the log.

	Folds      uint64
	Folded     uint64 // Bytes written into the base.
	Forgotten  uint64 // Bytes of the log that nobody had to read, as all that they said had been said again.
	FoldFailed error  // Why the last one has not succeeded, nil if it has.
	Failed     error  // Why no commit can succeed any more, nil as long as one can.
}

// Stats returns the store's figures, and lets see look at the newest view, as long as the store is open.
func (s *Store) Stats(see func(View)) Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	if see != nil && !s.closed {
		see(s.view.View)
	}
	return Stats{
		Epoch:      s.latest.Epoch,
		Behind:     s.behindLocked(),
		Segments:   len(s.segments),
		Folds:      s.folds.count,
		Folded:     s.folds.bytes,
		Forgotten:  s.forgotten,
		FoldFailed: s.folds.failed,
		Failed:     s.failed,
	}
}
