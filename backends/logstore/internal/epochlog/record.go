// SPDX-License-Identifier: Apache-2.0

// Package epochlog is the log of a store: one record for each epoch and for each generation, one behind the
// other in segments. Appending a record and syncing it once is the commit.
//
// What a crash can leave behind is at most one record that was never committed, at the very end. Everything
// else that does not read as it was written is damage, and Recover says where. See [Recover] for how the two
// are told apart.
package epochlog

import (
	"encoding/binary"
	"fmt"

	"github.com/millrace-io/millrace/engine/statefun"

	"github.com/millrace-io/millrace/backends/logstore/format"
)

// Kind says what a record is about.
type Kind byte

// The kinds of records.
const (
	Generation Kind = 1 // A process has taken the store.
	Epoch      Kind = 2 // An epoch has been committed.
)

// Record is the header of a record. Behind it come the description of the checkpoint, the changes, and zeros
// up to a multiple of a page.
type Record struct {
	Kind        Kind
	Last        bool   // The log goes on in the next segment, which exists.
	Sequence    uint64 // One more than that of the record before.
	Generation  statefun.Generation
	Epoch       statefun.Epoch
	Description int64 // Bytes.
	Changes     int64 // Bytes.

	store    format.StoreID
	previous uint32 // Checksum of the record before: a chain, so that none can be left out or put in.
	body     uint32 // Checksum of all that is behind the header.
	checksum uint32 // Of the header, and so, by body, of the record.
}

const (
	recordBytes = 80
	recordMagic = "mrec"
	flagLast    = 1
	lengthMax   = 1 << 50 // So that sums of lengths do not overflow.
)

// bytes returns the length of the record with header and padding.
func (r *Record) bytes() int64 { return pages(r.filled()) }

// filled returns the length without padding.
func (r *Record) filled() int64 { return recordBytes + r.Description + r.Changes }

func pages(n int64) int64 { return (n + format.PageBytes - 1) &^ (format.PageBytes - 1) }

// appendRecord appends the header and notes its checksum.
func appendRecord(dst []byte, r *Record) []byte {
	start := len(dst)
	var flags byte
	if r.Last {
		flags = flagLast
	}
	dst = append(dst, recordMagic...)
	dst = append(dst, byte(r.Kind), flags, 0, 0)
	dst = append(dst, r.store[:]...)
	dst = binary.LittleEndian.AppendUint64(dst, r.Sequence)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(r.Generation))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(r.Epoch))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(r.Description))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(r.Changes))
	dst = binary.LittleEndian.AppendUint32(dst, r.previous)
	dst = binary.LittleEndian.AppendUint32(dst, r.body)
	dst = append(dst, 0, 0, 0, 0)
	r.checksum = format.Checksum(dst[start:])
	return binary.LittleEndian.AppendUint32(dst, r.checksum)
}

// parseRecord reads a header. It says why b is not one, if it is not.
func parseRecord(b []byte) (r Record, err error) {
	if len(b) < recordBytes {
		return Record{}, fmt.Errorf("record header: truncated")
	}
	b = b[:recordBytes]
	r.checksum = binary.LittleEndian.Uint32(b[76:])
	if string(b[:4]) != recordMagic || r.checksum != format.Checksum(b[:76]) {
		return Record{}, fmt.Errorf("record header: checksum")
	}
	r.Kind = Kind(b[4])
	r.Last = b[5]&flagLast != 0
	copy(r.store[:], b[8:])
	r.Sequence = binary.LittleEndian.Uint64(b[24:])
	r.Generation = statefun.Generation(binary.LittleEndian.Uint64(b[32:]))
	r.Epoch = statefun.Epoch(binary.LittleEndian.Uint64(b[40:]))
	r.Description = int64(binary.LittleEndian.Uint64(b[48:]))
	r.Changes = int64(binary.LittleEndian.Uint64(b[56:]))
	r.previous = binary.LittleEndian.Uint32(b[64:])
	r.body = binary.LittleEndian.Uint32(b[68:])
	if r.Description < 0 || r.Description > lengthMax || r.Changes < 0 || r.Changes > lengthMax {
		return Record{}, fmt.Errorf("record header: lengths %d and %d", r.Description, r.Changes)
	}
	if r.Kind != Generation && r.Kind != Epoch {
		return Record{}, fmt.Errorf("record header: unknown kind %d", r.Kind)
	}
	return r, nil
}

// follows returns why the record does not continue the log at a position, if it does not.
func (r *Record) follows(p Position, id format.StoreID) error {
	switch {
	case r.store != id:
		return fmt.Errorf("record of store %v, want %v", r.store, id)
	case r.Sequence != p.Sequence+1:
		return fmt.Errorf("record %d, want %d", r.Sequence, p.Sequence+1)
	case r.previous != p.Checksum:
		return fmt.Errorf("record %d does not follow the one before it", r.Sequence)
	}
	return nil
}
