// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"unsafe"

	"github.com/millrace-io/millrace/engine/internal/checkpoint"
	"github.com/millrace-io/millrace/engine/internal/invariant"
	"github.com/millrace-io/millrace/engine/internal/table"
)

// encodeValue appends one state value of a row to an entry.
func (s *Shard) encodeValue(dst []byte, number int, v *Value, row *table.Row) []byte {
	dst, start := checkpoint.BeginLength(checkpoint.AppendValueNumber(dst, number))
	at := unsafe.Add(row.State(), v.Offset)
	if v.Encode == nil {
		c := (*Cell)(at)
		dst = append(dst, s.heap.Get(c.ref, int(c.len))...)
	} else {
		var err error
		if dst, err = v.Encode(dst, at); err != nil {
			// The engine keeps in memory form only what its codec has encoded once, when it was set.
			invariant.Failf("shard %d: state %s cannot be encoded: %v", s.id, v.Name, err)
		}
	}
	return checkpoint.EndLength(dst, start)
}
