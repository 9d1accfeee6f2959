// SPDX-License-Identifier: Apache-2.0

package file

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// position is what a [Source] is resumed by. As bytes it is its version, 1, and its fields, numbers with the
// lowest byte first.
type position struct {
	offset     int64
	head, tail sum // Of the file's first bytes, and of those before offset.
}

type sum [8]byte

const (
	positionVersion = 1
	positionBytes   = 1 + 8 + 2*len(sum{})
)

var errPosition = errors.New("the position is not one of this connector")

func (p position) append(dst []byte) []byte {
	dst = append(dst, positionVersion)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(p.offset))
	dst = append(dst, p.head[:]...)
	return append(dst, p.tail[:]...)
}

// parsePosition reads a position; none is the beginning of any file.
func parsePosition(b []byte) (p position, err error) {
	if len(b) == 0 {
		return (&identity{}).at(0), nil
	}
	if len(b) != positionBytes || b[0] != positionVersion {
		return p, fmt.Errorf("%w: %d bytes, version %d", errPosition, len(b), b[0])
	}
	offset := binary.LittleEndian.Uint64(b[1:])
	if offset > math.MaxInt64 {
		return p, fmt.Errorf("%w: offset %d", errPosition, offset)
	}
	p.offset = int64(offset)
	copy(p.head[:], b[9:])
	copy(p.tail[:], b[9+len(p.head):])
	return p, nil
}

// identity is what tells the part of a file that has been read from that of another file. The beginning alone
// would not do: many files begin alike.
type identity struct {
	head []byte // The first identityBytes.
	tail []byte // The last ones, and up to as many before them.
}

const identityBytes = 4 << 10

// identify reads what is before an offset.
func identify(f io.ReaderAt, offset int64) (id identity, err error) {
	n := min(offset, identityBytes)
	read := func(at int64) []byte {
		b := make([]byte, n)
		if _, bad := f.ReadAt(b, at); bad != nil && !errors.Is(bad, io.EOF) {
			err = bad
		}
		return b
	}
	return identity{head: read(0), tail: read(offset - n)}, err
}

// add notes the next bytes.
func (id *identity) add(b []byte) {
	id.head = append(id.head, b[:min(len(b), identityBytes-len(id.head))]...)
	b = b[max(0, len(b)-identityBytes):]
	if len(id.tail)+len(b) > 2*identityBytes { // Moved now and then only.
		id.tail = id.tail[:copy(id.tail, id.last())]
	}
	id.tail = append(id.tail, b...)
}

func (id *identity) last() []byte { return id.tail[max(0, len(id.tail)-identityBytes):] }

// at returns the position behind what has been added.
func (id *identity) at(offset int64) position {
	return position{offset, sumOf(id.head), sumOf(id.last())}
}

func sumOf(b []byte) (s sum) {
	all := sha256.Sum256(b)
	copy(s[:], all[:])
	return s
}
