// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
	"encoding/binary"

	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/statefun"
)

// Record is an egress record that has not been delivered. Its slices alias the entry.
type Record struct {
	Egress   []byte // "<namespace>/<name>"
	Sender   envelope.Function
	SenderID []byte
	Typename []byte
	Absent   bool
	Value    []byte
}

// AppendRecordKey appends the key of an egress record: the order of keys is the order in which records leave
// (P35).
func AppendRecordKey(dst []byte, epoch statefun.Epoch, index uint64) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, KindRecord), uint64(epoch))
	return binary.BigEndian.AppendUint64(dst, index)
}

// ParseRecordKey takes a key apart.
func ParseRecordKey(key []byte) (epoch statefun.Epoch, index uint64, err error) {
	r := reader{rest: key}
	r.kind(KindRecord)
	epoch, index = statefun.Epoch(r.uint64BE()), r.uint64BE()
	return epoch, index, r.err("record key", key)
}

// Flags of an egress record.
const (
	isRecordAbsent = 1 << iota
	recordFlags
)

// AppendRecord appends an egress record.
func AppendRecord(dst []byte, rec *Record) []byte {
	var flags byte
	if rec.Absent {
		flags = isRecordAbsent
	}
	dst = append(dst, flags)
	dst = appendBytes(dst, rec.Egress)
	dst = binary.AppendUvarint(dst, uint64(rec.Sender))
	dst = appendBytes(dst, rec.SenderID)
	dst = appendBytes(dst, rec.Typename)
	return append(dst, rec.Value...)
}

// ParseRecord reads an egress record, which takes all of b.
func ParseRecord(b []byte) (rec Record, err error) {
	r := reader{rest: b}
	rec.Absent = r.flags(recordFlags) != 0
	rec.Egress = r.bytes(fieldMax)
	rec.Sender, rec.SenderID = r.function(), r.id()
	rec.Typename = r.bytes(statefun.TypenameBytesMax)
	rec.Value = r.value(rec.Absent)
	return rec, r.err("egress record", b)
}
