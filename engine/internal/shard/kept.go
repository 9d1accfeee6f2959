// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"github.com/millrace-io/millrace/engine/internal/envelope"
)

// Kept appends to dst what an instance has kept, as a checkpoint that is taken at this batch boundary has it. It
// appends nothing if there is no such instance, or it has kept nothing.
func (s *Shard) Kept(number envelope.Function, hash uint64, id, dst []byte) []byte {
	fn := s.function(number)
	slot, ok := s.find(fn, hash, id)
	if !ok {
		return dst
	}
	if row := fn.table.Row(slot); row.Present != 0 {
		dst = s.appendEntry(dst, fn, row)
	}
	return dst
}
