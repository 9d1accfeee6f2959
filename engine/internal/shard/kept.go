// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"github.com/millrace-io/millrace/engine/internal/envelope"
)

// Kept returns what an instance has kept, as a checkpoint that is taken at this batch boundary has it: nothing, if there
// is no such instance or it has kept nothing. It is a copy.
func (s *Shard) Kept(number envelope.Function, hash uint64, id []byte) []byte {
	fn := s.function(number)
	slot, ok := s.find(fn, hash, id)
	if !ok {
		return nil
	}
	row := fn.table.Row(slot)
	if row.Present == 0 {
		return nil
	}
	return s.appendEntry(nil, fn, row)
}
