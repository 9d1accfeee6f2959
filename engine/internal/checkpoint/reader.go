// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
	"encoding/binary"
	"fmt"

	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/statefun"
)

// appendBytes appends a string behind its length.
func appendBytes[T string | []byte](dst []byte, b T) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

// fieldMax bounds strings that have no bound of their own, besides what is there.
const fieldMax = 1 << 20

// reader reads until something is wrong, and then nothing more: what is left begins where it went wrong.
type reader struct {
	rest   []byte
	failed bool
}

// count reads what each of takes a byte at least.
func (r *reader) count() uint64 {
	v, n := binary.Uvarint(r.rest)
	if r.failed || n <= 0 || v > uint64(len(r.rest)-n) {
		r.failed = true
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if r.failed || n <= 0 {
		r.failed = true
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) take(n int) []byte {
	if r.failed || n > len(r.rest) {
		r.failed = true
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

// bytes reads a string of so many bytes at most behind its length.
func (r *reader) bytes(most int) []byte {
	before := r.rest
	n := r.count()
	if n > uint64(most) {
		r.rest, r.failed = before, true
	}
	return r.take(int(n))
}

// all takes what is left.
func (r *reader) all() []byte { return r.take(len(r.rest)) }

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

// flags reads a byte of flags, of which those from end on are unknown.
func (r *reader) flags(end byte) byte {
	if len(r.rest) > 0 && r.rest[0] >= end {
		r.failed = true
	}
	return r.byte()
}

func (r *reader) kind(k byte) {
	if len(r.rest) > 0 && r.rest[0] != k {
		r.failed = true
	}
	r.byte()
}

func (r *reader) uint64BE() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *reader) uint64LE() uint64 {
	if b := r.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (r *reader) function() envelope.Function {
	n, size := binary.Uvarint(r.rest)
	if r.failed || size <= 0 || n >= envelope.FunctionsMax {
		r.failed = true
		return 0
	}
	r.rest = r.rest[size:]
	return envelope.Function(n)
}

func (r *reader) id() []byte { return r.checkID(r.bytes(statefun.IDBytesMax)) }

func (r *reader) checkID(id []byte) []byte {
	if len(id) == 0 || len(id) > statefun.IDBytesMax {
		r.failed = true
	}
	return id
}

// value takes what is left as a value, of which there is none if it is absent.
func (r *reader) value(absent bool) []byte {
	if absent && len(r.rest) > 0 {
		r.failed = true
	}
	return r.all()
}

// err says where reading what has failed; all of it must have been read.
func (r *reader) err(what string, all []byte) error {
	if !r.failed && len(r.rest) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s: at offset %d of %d", ErrEntry, what, len(all)-len(r.rest), len(all))
}
