// SPDX-License-Identifier: Apache-2.0

package requestreply

import (
	"fmt"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// The wire types of the fields that the protocol has. A tag is number<<3 | wire type.
const (
	wireVarint = 0
	wireBytes  = 2
)

// fields walks the fields of a message, known and unknown. It reads each as its wire type says; who walks
// looks at those whose tag it knows, and passes over the others. That is what protobuf asks for: a known
// number with another wire type is an unknown field. A field that comes twice is read into the same place,
// so that the last one counts, or, if it is a message, both are merged.
//
// It is used as a bufio.Scanner is: next, until it reports false; then fault says why.
type fields struct {
	rest  []byte // What is left of the message.
	end   int    // Where the message ends, as an offset into the reply.
	fault *fault

	tag   uint64 // Of the field at hand.
	bits  uint64 // Its value if it is a varint.
	bytes []byte // Its value if it is a string, bytes, or a message.
}

// groupsMax bounds how deep groups may be nested. The protocol has none; those of unknown fields are
// walked through with one stack frame each. Protobuf's own limit is 10000.
const (
	groupsMax = 100
	tooDeep   = -100 // Beside protowire's negative lengths.
)

func (f *fields) next() bool {
	if len(f.rest) == 0 || f.fault != nil {
		return false
	}
	tag, n := varint(f.rest)
	number := tag >> 3
	if n < 0 || number < uint64(protowire.MinValidNumber) || number > uint64(protowire.MaxValidNumber) {
		f.fault = &fault{offset: f.offset(), what: "malformed tag"}
		return false
	}
	f.tag = tag
	rest := f.rest[n:]
	switch tag & 7 {
	case wireVarint:
		f.bits, n = varint(rest)
	case wireBytes:
		var size uint64
		size, n = varint(rest)
		if n >= 0 && size <= uint64(len(rest)-n) {
			end := n + int(size)
			f.bytes, n = rest[n:end:end], end // Whoever appends to it does not write into the reply.
		} else {
			n = -1
		}
	default:
		n = skip(protowire.Number(number), protowire.Type(tag&7), rest, groupsMax)
	}
	if n < 0 {
		what := fmt.Sprintf("field %d of wire type %d is malformed or cut off", number, tag&7)
		if n == tooDeep {
			what = fmt.Sprintf("field %d has groups in groups, more than %d", number, groupsMax)
		}
		f.fault = &fault{offset: f.offset(), what: what}
		return false
	}
	f.rest = rest[n:]
	return true
}

// offset is where the next field begins.
func (f *fields) offset() int { return f.end - len(f.rest) }

// inside walks the message that the field at hand is.
func (f *fields) inside() fields { return fields{rest: f.bytes, end: f.offset()} }

// text takes the field at hand as a string.
func (f *fields) text(dst *[]byte, name string) {
	if !utf8.Valid(f.bytes) {
		f.fault = &fault{offset: f.offset() - len(f.bytes), path: name, what: "is not valid UTF-8"}
		return
	}
	*dst = f.bytes
}

// fault is what is wrong with a reply, and where. It shows nothing of the contents, which may be secrets.
type fault struct {
	offset int
	path   string // Of the field, as in "outgoing_messages[3].target.id"; empty for the reply itself.
	what   string
}

func (e *fault) Error() string {
	path := e.path
	if path == "" {
		path = "reply"
	}
	return fmt.Sprintf("%s, at offset %d: %s", path, e.offset, e.what)
}

// in says which field the message is in that the fault is in.
func (e *fault) in(field string) *fault {
	if e != nil {
		e.under(field)
	}
	return e
}

// inElement is in for an element of a repeated field.
func (e *fault) inElement(field string, i int) *fault {
	if e != nil {
		e.under(fmt.Sprintf("%s[%d]", field, i))
	}
	return e
}

func (e *fault) under(field string) {
	if e.path != "" {
		field += "." + e.path
	}
	e.path = field
}

func varint(b []byte) (v uint64, n int) {
	if len(b) > 0 && b[0] < 0x80 {
		return uint64(b[0]), 1
	}
	return protowire.ConsumeVarint(b)
}

// skip returns the length of the value that b begins with, or a negative number. It is
// protowire.ConsumeFieldValue with a limit of our own.
func skip(number protowire.Number, wire protowire.Type, b []byte, depth int) int {
	if wire != protowire.StartGroupType {
		return protowire.ConsumeFieldValue(number, wire, b)
	}
	if depth == 0 {
		return tooDeep
	}
	rest := b
	for {
		inner, wire, n := protowire.ConsumeTag(rest)
		if n < 0 {
			return n
		}
		rest = rest[n:]
		if wire == protowire.EndGroupType {
			if inner != number {
				return -1
			}
			return len(b) - len(rest)
		}
		if n = skip(inner, wire, rest, depth-1); n < 0 {
			return n
		}
		rest = rest[n:]
	}
}
