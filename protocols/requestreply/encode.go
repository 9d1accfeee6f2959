// SPDX-License-Identifier: Apache-2.0

package requestreply

import (
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/millrace-io/millrace/engine/remote"
	"github.com/millrace-io/millrace/engine/statefun"
)

// AppendRequest appends r as a ToFunction message to dst and returns the extended slice. It allocates
// only if dst lacks room for RequestBytes(r), and keeps nothing of r.
//
// Protobuf's strings are UTF-8, and an SDK refuses a request with one that is not: that is a
// *[remote.Error], [remote.Broken], with dst as it was.
func AppendRequest(dst []byte, r *remote.Request) ([]byte, error) {
	if err := checkText(r); err != nil {
		return dst, &remote.Error{Reason: remote.Broken, Err: fmt.Errorf("request not sent: %w", err)}
	}
	size := batchBytes(r)
	dst = slices.Grow(dst, embeddedBytes(2, size))

	// A message goes behind its length, so that the length of each is computed before it is written. That
	// is a sum of the lengths of its strings: cheaper than to write it first and move it.
	dst = protowire.AppendVarint(dst, tagInvocation)
	dst = protowire.AppendVarint(dst, uint64(size))
	dst = appendTag(dst, tagTarget, addressBytes(r.Target, r.ID))
	dst = appendAddress(dst, r.Target, r.ID)
	for i := range r.State {
		s := &r.State[i]
		dst = appendTag(dst, tagState, stateBytes(s))
		dst = appendText(dst, tagStateName, s.Name)
		if s.Present {
			dst = appendTag(dst, tagStateValue, valueBytes(s.Typename, false, s.Value))
			dst = appendValue(dst, s.Typename, false, s.Value)
		}
	}
	for i := range r.Messages {
		m := &r.Messages[i]
		dst = appendTag(dst, tagInvocations, messageBytes(m))
		if fromFunction(m) {
			dst = appendTag(dst, tagCaller, addressBytes(m.Caller, m.CallerID))
			dst = appendAddress(dst, m.Caller, m.CallerID)
		}
		dst = appendTag(dst, tagArgument, valueBytes(m.Typename, m.Absent, m.Value))
		dst = appendValue(dst, m.Typename, m.Absent, m.Value)
	}
	return dst, nil
}

// RequestBytes is how many bytes AppendRequest appends for r.
func RequestBytes(r *remote.Request) int { return embeddedBytes(2, batchBytes(r)) }

// Tags of ToFunction and what is in it: number<<3 | wire type. All but the first are one byte.
const (
	tagInvocation = 100<<3 | wireBytes

	tagTarget      = 1<<3 | wireBytes
	tagState       = 2<<3 | wireBytes
	tagInvocations = 3<<3 | wireBytes

	tagStateName  = 1<<3 | wireBytes
	tagStateValue = 2<<3 | wireBytes

	tagCaller   = 1<<3 | wireBytes
	tagArgument = 2<<3 | wireBytes

	tagNamespace = 1<<3 | wireBytes
	tagType      = 2<<3 | wireBytes
	tagID        = 3<<3 | wireBytes

	tagTypename = 1<<3 | wireBytes
	tagHasValue = 2<<3 | wireVarint
	tagValue    = 3<<3 | wireBytes
)

// fromFunction reports whether a message has a caller. That of an ingress has none, which SDKs see by the
// missing submessage, not by an empty one.
func fromFunction(m *remote.Message) bool { return m.Caller != statefun.FunctionType{} }

func batchBytes(r *remote.Request) int {
	size := embeddedBytes(1, addressBytes(r.Target, r.ID))
	for i := range r.State {
		size += embeddedBytes(1, stateBytes(&r.State[i]))
	}
	for i := range r.Messages {
		size += embeddedBytes(1, messageBytes(&r.Messages[i]))
	}
	return size
}

func stateBytes(s *remote.State) int {
	size := textBytes(s.Name)
	if s.Present {
		size += embeddedBytes(1, valueBytes(s.Typename, false, s.Value))
	}
	return size
}

func messageBytes(m *remote.Message) int {
	size := embeddedBytes(1, valueBytes(m.Typename, m.Absent, m.Value))
	if fromFunction(m) {
		size += embeddedBytes(1, addressBytes(m.Caller, m.CallerID))
	}
	return size
}

func addressBytes(t statefun.FunctionType, id []byte) int {
	return textBytes(t.Namespace) + textBytes(t.Name) + textBytes(id)
}

// valueBytes is the size of a TypedValue. has_value is not inferred from the length: a zero of a built-in
// type has no bytes.
func valueBytes[S text](typename S, absent bool, value []byte) int {
	size := textBytes(typename) + textBytes(value)
	if !absent {
		size += 2
	}
	return size
}

func appendAddress(dst []byte, t statefun.FunctionType, id []byte) []byte {
	dst = appendText(dst, tagNamespace, t.Namespace)
	dst = appendText(dst, tagType, t.Name)
	return appendText(dst, tagID, id)
}

func appendValue[S text](dst []byte, typename S, absent bool, value []byte) []byte {
	dst = appendText(dst, tagTypename, typename)
	if !absent {
		dst = append(dst, tagHasValue, 1)
	}
	return appendText(dst, tagValue, value)
}

type text interface{ string | []byte }

// embeddedBytes is the size of a field that holds size bytes behind a tag and their number.
func embeddedBytes(tag, size int) int { return tag + protowire.SizeVarint(uint64(size)) + size }

// textBytes is the size of a field with a string or bytes: none if empty, as for every default value.
func textBytes[S text](s S) int {
	if len(s) == 0 {
		return 0
	}
	return embeddedBytes(1, len(s))
}

func appendTag(dst []byte, tag byte, size int) []byte {
	return protowire.AppendVarint(append(dst, tag), uint64(size))
}

func appendText[S text](dst []byte, tag byte, s S) []byte {
	if len(s) == 0 {
		return dst
	}
	return append(appendTag(dst, tag, len(s)), s...)
}

// checkText reports the first string of r that is not UTF-8. What it is is not shown: ids may be secrets.
func checkText(r *remote.Request) error {
	if err := checkAddress(r.Target, r.ID); err != nil {
		return fmt.Errorf("target: %w", err)
	}
	for i := range r.State {
		s := &r.State[i]
		if !utf8.ValidString(s.Name) {
			return fmt.Errorf("state %d: name: %w", i, errNotUTF8)
		}
		if s.Present && !utf8.ValidString(s.Typename) {
			return fmt.Errorf("state %d: typename: %w", i, errNotUTF8)
		}
	}
	for i := range r.Messages {
		m := &r.Messages[i]
		if fromFunction(m) {
			if err := checkAddress(m.Caller, m.CallerID); err != nil {
				return fmt.Errorf("message %d: caller: %w", i, err)
			}
		}
		if !utf8.Valid(m.Typename) {
			return fmt.Errorf("message %d: typename: %w", i, errNotUTF8)
		}
	}
	return nil
}

func checkAddress(t statefun.FunctionType, id []byte) error {
	switch {
	case !utf8.ValidString(t.Namespace):
		return fmt.Errorf("namespace: %w", errNotUTF8)
	case !utf8.ValidString(t.Name):
		return fmt.Errorf("type: %w", errNotUTF8)
	case !utf8.Valid(id):
		return fmt.Errorf("id: %w", errNotUTF8)
	}
	return nil
}

var errNotUTF8 = errors.New("is not valid UTF-8, which strings of the protocol must be")
