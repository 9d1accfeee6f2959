// SPDX-License-Identifier: Apache-2.0

package format

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"slices"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/statefun"
)

// ErrFields is returned for fields that are cut off or out of range. Who knows where they were read says so.
var ErrFields = errors.New("fields do not decode")

// Fields reads fields one behind the other. After the first that is not there, all are zero and Err says so.
// Nothing is allocated for a length before the bytes are there.
type Fields struct {
	rest []byte
	bad  bool
}

// NewFields reads b.
func NewFields(b []byte) *Fields { return &Fields{rest: b} }

// Uint reads a number up to most.
func (f *Fields) Uint(most uint64) uint64 {
	v, n := binary.Uvarint(f.rest)
	if n <= 0 || v > most {
		f.bad, f.rest = true, nil
		return 0
	}
	f.rest = f.rest[n:]
	return v
}

// Bytes reads a length and as many bytes, which alias the input.
func (f *Fields) Bytes() []byte {
	n := f.Uint(uint64(len(f.rest)))
	if n > uint64(len(f.rest)) { // Its own bytes do not count.
		f.bad, f.rest = true, nil
		return nil
	}
	b := f.rest[:n:n]
	f.rest = f.rest[n:]
	return b
}

// More reports whether there is another field.
func (f *Fields) More() bool { return len(f.rest) > 0 }

// Err fails when a field was not there or when something follows the last.
func (f *Fields) Err() error {
	if f.bad || len(f.rest) > 0 {
		return ErrFields
	}
	return nil
}

// AppendBytes appends a length and as many bytes.
func AppendBytes[B []byte | string](dst []byte, b B) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

// AppendCheckpoint appends the description of a checkpoint.
func AppendCheckpoint(dst []byte, cp backend.Checkpoint) []byte {
	dst = AppendBytes(dst, cp.Application)
	dst = binary.AppendUvarint(dst, uint64(cp.Generation))
	dst = binary.AppendUvarint(dst, uint64(cp.Epoch))
	dst = binary.AppendUvarint(dst, uint64(cp.KeyGroups))
	dst = binary.AppendUvarint(dst, uint64(cp.CreatedAt))
	dst = binary.AppendUvarint(dst, cp.Numbers)
	dst = AppendBytes(dst, cp.Names)
	dst = binary.AppendUvarint(dst, uint64(len(cp.Sources)))
	for _, s := range cp.Sources {
		dst = AppendBytes(dst, s.Source)
		dst = AppendBytes(dst, s.Position)
	}
	return dst
}

// ParseCheckpoint reads the description of a checkpoint. The result owns its bytes.
func ParseCheckpoint(b []byte) (cp backend.Checkpoint, err error) {
	f := NewFields(b)
	cp.Application = string(f.Bytes())
	cp.Generation = statefun.Generation(f.Uint(math.MaxUint64))
	cp.Epoch = statefun.Epoch(f.Uint(math.MaxUint64))
	cp.KeyGroups = int(f.Uint(math.MaxUint64))
	cp.CreatedAt = int64(f.Uint(math.MaxUint64))
	cp.Numbers = f.Uint(math.MaxUint64)
	cp.Names = slices.Clone(f.Bytes())
	for range f.Uint(uint64(len(b))) {
		s := backend.SourcePosition{Source: string(f.Bytes()), Position: slices.Clone(f.Bytes())}
		if f.bad { // A count is a claim.
			break
		}
		cp.Sources = append(cp.Sources, s)
	}
	return cp, f.Err()
}

// NextChange reads the first change of b, in the format of a part, into c and returns how many bytes it takes: 0
// when it is cut off, which a reader who has not seen all of it answers with more.
func NextChange(b []byte, c *backend.Change) (n int, err error) {
	// Nearly all are puts whose lengths take a byte each: they need no call.
	if len(b) > 4 && b[0] == opPut && b[3] < oneByte {
		key := b[4:]
		if l := int(b[3]); l < len(key) && key[l] < oneByte {
			value := key[l+1:]
			if v := int(key[l]); v <= len(value) {
				c.Group, c.Delete = statefun.KeyGroup(binary.LittleEndian.Uint16(b[1:])), false
				c.Key, c.Value = key[:l:l], value[:v:v]
				return 4 + l + 1 + v, nil
			}
		}
	}
	*c = backend.Change{}
	if len(b) < 3 {
		return 0, nil
	}
	if b[0] != opPut && b[0] != opDelete {
		return 0, ErrFields
	}
	c.Delete = b[0] == opDelete
	c.Group = statefun.KeyGroup(binary.LittleEndian.Uint16(b[1:]))
	if c.Key, n, err = nextBytes(b, 3); n == 0 || err != nil || c.Delete {
		return n, err
	}
	c.Value, n, err = nextBytes(b, n)
	return n, err
}

const (
	opPut    = 1
	opDelete = 2

	oneByte = 0x80 // Lengths below it are.
)

func nextBytes(b []byte, at int) (field []byte, next int, err error) {
	l, n := binary.Uvarint(b[at:])
	switch {
	case n < 0 || l > FieldBytesMax:
		return nil, 0, ErrFields
	case n == 0 || l > uint64(len(b)-at-n):
		return nil, 0, nil
	}
	at += n
	return b[at : at+int(l) : at+int(l)], at + int(l), nil
}

// AppendChange appends a change in the format of a part.
func AppendChange(dst []byte, c *backend.Change) []byte {
	if c.Delete {
		return backend.AppendDelete(dst, c.Group, c.Key)
	}
	return backend.AppendPut(dst, c.Group, c.Key, c.Value)
}

// Compare orders entries by key group, then by key.
func Compare(a, b *backend.Entry) int {
	if a.Group != b.Group {
		return int(a.Group) - int(b.Group)
	}
	return bytes.Compare(a.Key, b.Key)
}
