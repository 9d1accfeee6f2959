// SPDX-License-Identifier: Apache-2.0

// Package format holds what the files of a store have in common: how they begin, how they are checked, and
// how checkpoints and changes are written in them. docs/formats/file.md describes every byte.
package format

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"

	"github.com/millrace-io/millrace/engine/backend"
)

// Version is the version of all formats. Files of another version are refused.
const Version = 1

const (
	// SectorBytes is the most that a disk writes whole or not at all.
	SectorBytes = 512
	// PageBytes is what file systems write in one piece. Records begin at a multiple of it, so that none is
	// written again, and perhaps torn, together with the next.
	PageBytes = 4096
	// HeaderBytes is the length of a file's header.
	HeaderBytes = 64
	// FieldBytesMax bounds a key and a value, so that their lengths fit 32 bits.
	FieldBytesMax = 1<<31 - 1
)

const magic = "millrace"

// Kind says what a file is.
type Kind uint16

// The kinds of files.
const (
	KindManifest Kind = 1
	KindLog      Kind = 2
	KindTable    Kind = 3
	KindWitness  Kind = 4
)

// StoreID names a store. It is made with it, at random, and is in all its files: they cannot be mixed up
// with another's.
type StoreID [16]byte

func (id StoreID) String() string { return hex.EncodeToString(id[:]) }

// Header is the beginning of a file.
type Header struct {
	Kind   Kind
	Store  StoreID
	Number uint64 // Which of its kind the file is.
}

// AppendHeader appends a header.
func AppendHeader(dst []byte, h Header) []byte {
	start := len(dst)
	dst = append(dst, magic...)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(h.Kind))
	dst = binary.LittleEndian.AppendUint16(dst, Version)
	dst = append(dst, 0, 0, 0, 0)
	dst = append(dst, h.Store[:]...)
	dst = binary.LittleEndian.AppendUint64(dst, h.Number)
	dst = append(dst, make([]byte, HeaderBytes-4-(len(dst)-start))...)
	return binary.LittleEndian.AppendUint32(dst, Checksum(dst[start:]))
}

// ParseHeader reads the header at the beginning of a file of one kind.
func ParseHeader(name string, b []byte, kind Kind) (Header, error) {
	if len(b) < HeaderBytes {
		return Header{}, Corrupt(name, int64(len(b)), "truncated within its header")
	}
	b = b[:HeaderBytes]
	switch {
	case string(b[:8]) != magic:
		return Header{}, Corrupt(name, 0, "not a file of a store")
	case binary.LittleEndian.Uint32(b[HeaderBytes-4:]) != Checksum(b[:HeaderBytes-4]):
		return Header{}, Corrupt(name, 0, "header checksum")
	}
	if v := binary.LittleEndian.Uint16(b[10:]); v != Version {
		return Header{}, fmt.Errorf("%s has format version %d, and this program reads version %d", name, v, Version)
	}
	h := Header{Kind: Kind(binary.LittleEndian.Uint16(b[8:])), Number: binary.LittleEndian.Uint64(b[32:])}
	copy(h.Store[:], b[16:])
	if h.Kind != kind {
		return Header{}, Corrupt(name, 8, "a file of kind %d, want %d", h.Kind, kind)
	}
	return h, nil
}

// Want fails unless the header is that of the store's file of this number.
func (h Header) Want(name string, id StoreID, number uint64) error {
	switch {
	case h.Store != id:
		return Corrupt(name, 16, "belongs to store %v, want %v", h.Store, id)
	case h.Number != number:
		return Corrupt(name, 32, "has number %d, want %d", h.Number, number)
	}
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Checksum returns the checksum of b: CRC-32C, which processors compute faster than memory is read.
func Checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// Extend returns the checksum of what sum is the checksum of, followed by b.
func Extend(sum uint32, b []byte) uint32 { return crc32.Update(sum, castagnoli, b) }

// Corrupt returns an error that names the file and the offset at which it is damaged.
func Corrupt(name string, at int64, text string, args ...any) error {
	return fmt.Errorf("%w: %s at offset %d: %s", backend.ErrCorrupt, name, at, fmt.Sprintf(text, args...))
}

// Zero reports whether all bytes are zero.
func Zero(b []byte) bool {
	for len(b) >= 8 {
		if binary.LittleEndian.Uint64(b) != 0 {
			return false
		}
		b = b[8:]
	}
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
