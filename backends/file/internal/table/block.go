// SPDX-License-Identifier: Apache-2.0

// Package table has the tables of a store: files of changes in the order of their key groups and keys, with at most
// one change of a key.
package table

import (
	"encoding/binary"

	"github.com/millrace-io/millrace/engine/backend"

	"github.com/millrace-io/millrace/backends/logstore/format"
)

// A table is a header, blocks and a footer. A block is a frame and changes in the format of a part. The
// changes of a data block are the table's entries. Those of an index block are puts: the first key of each
// data block since the last index block, and where it is. Those of the root, the last block, say the same of
// the index blocks. So three reads find any key, and the first of them is done when the table is opened.
const (
	kindData  = 1
	kindIndex = 2
	kindRoot  = 3

	frameBytes  = 12
	footerBytes = 48
	footerMagic = "mtab"

	// blockBytes is where a data or index block ends: small enough for Get, which reads a whole one, and
	// large enough that checksum and index cost nothing beside the entries.
	blockBytes = 16 << 10
)

// appendFrame appends what precedes the payload of a block: its length, its kind and a checksum, which also
// covers the place where the block is: a block that has strayed is damage.
func appendFrame(dst []byte, table uint64, at int64, kind uint32, payload []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(payload)))
	dst = binary.LittleEndian.AppendUint32(dst, kind)
	return binary.LittleEndian.AppendUint32(dst, blockChecksum(table, at, dst[len(dst)-8:], payload))
}

func blockChecksum(table uint64, at int64, lengthAndKind, payload []byte) uint32 {
	var place [16]byte
	binary.LittleEndian.PutUint64(place[:], table)
	binary.LittleEndian.PutUint64(place[8:], uint64(at))
	sum := format.Extend(format.Checksum(place[:]), lengthAndKind)
	return format.Extend(sum, payload)
}

// frame is the beginning of a block. Its length is a claim until the checksum has been compared.
type frame struct {
	payload  int64
	kind     uint32
	checksum uint32
	raw      [frameBytes]byte
}

func parseFrame(b []byte) (f frame) {
	copy(f.raw[:], b)
	f.payload = int64(binary.LittleEndian.Uint32(b))
	f.kind = binary.LittleEndian.Uint32(b[4:])
	f.checksum = binary.LittleEndian.Uint32(b[8:])
	return f
}

func (f *frame) holds(table uint64, at int64, payload []byte) bool {
	return f.checksum == blockChecksum(table, at, f.raw[:8], payload)
}

// place is where a block is, its frame included.
type place struct {
	at    int64
	bytes int64
}

func appendPlace(dst []byte, p place) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(dst, uint64(p.at)), uint64(p.bytes))
}

func parsePlace(b []byte, end int64) (p place, err error) {
	f := format.NewFields(b)
	p.at = int64(f.Uint(uint64(end)))
	p.bytes = int64(f.Uint(uint64(end - p.at)))
	if p.bytes < frameBytes {
		return place{}, format.ErrFields
	}
	return p, f.Err()
}

// decode appends the changes of a block to dst. They alias the payload.
func decode(dst []backend.Change, payload []byte) ([]backend.Change, error) {
	for len(payload) > 0 {
		dst = append(dst, backend.Change{})
		n, err := format.NextChange(payload, &dst[len(dst)-1])
		if err == nil && n == 0 {
			err = format.ErrFields
		}
		if err != nil {
			return dst[:len(dst)-1], err
		}
		payload = payload[n:]
	}
	return dst, nil
}
