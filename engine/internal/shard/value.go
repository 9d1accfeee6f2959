// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"unsafe"

	"github.com/millrace-io/millrace/engine/internal/checkpoint"
	"github.com/millrace-io/millrace/engine/internal/invariant"
	"github.com/millrace-io/millrace/engine/internal/table"
)

// encodeValue appends one state value of a row to an entry.
func (s *Shard) encodeValue(dst []byte, v *Value, row *table.Row) []byte {
	var start int
	if v.Expiry == Never {
		dst, start = checkpoint.BeginValue(dst, v.Number)
	} else {
		dst, start = checkpoint.BeginLength(checkpoint.AppendStampedNumber(dst, v.Number, *v.stamp(row.State())))
	}
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

// decodeValue puts a state value of an entry into a row.
func (s *Shard) decodeValue(v *Value, row *table.Row, value *checkpoint.Value) error {
	at := unsafe.Add(row.State(), v.Offset)
	if v.Expiry != Never {
		*v.stamp(row.State()) = unstamped
		if value.Stamped {
			*v.stamp(row.State()) = value.Stamp
		}
	}
	if v.Decode == nil {
		*(*Cell)(at) = Cell{ref: s.heap.Put(value.Bytes), len: uint32(len(value.Bytes))}
		return nil
	}
	return v.Decode(at, value.Bytes)
}

// appendValue appends a state value as it is.
func appendValue(dst []byte, v *checkpoint.Value) []byte {
	if v.Stamped {
		dst = checkpoint.AppendStampedNumber(dst, v.Number, v.Stamp)
	} else {
		dst = checkpoint.AppendValueNumber(dst, v.Number)
	}
	dst, start := checkpoint.BeginLength(dst)
	return checkpoint.EndLength(append(dst, v.Bytes...), start)
}
