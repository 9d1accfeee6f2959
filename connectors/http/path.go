// SPDX-License-Identifier: Apache-2.0

package http

import (
	"bytes"

	"github.com/millrace-io/millrace/engine/statefun"
)

// verb is what a request asks for.
type verb uint8

const (
	send verb = iota
	call
	route
)

// Methods allowed, for the header Allow.
func (v verb) methods() string {
	if v == call {
		return "POST"
	}
	return "PUT, POST"
}

// target is a request's path, understood.
type target struct {
	verb verb
	to   statefun.Address // Empty for route. Copied, so that the engine may keep it.
}

// parseTarget reads the request target of the request line, as the client wrote it. A library's idea of
// a path will not do: they resolve dots, fold slashes and decode before they split, and each of these
// sends a message to another address than was written.
func parseTarget(uri []byte) (target, *problem) {
	for _, c := range uri {
		switch {
		case c < ' ' || c == 0x7f:
			return target{}, badPath("a control character must be percent-encoded", "")
		case c == '?':
			return target{}, badPath("a query is not taken", "a ? inside an id is written %3F")
		case c == '#':
			return target{}, badPath("a fragment is not taken", "a # inside an id is written %23")
		}
	}
	path, ok := bytes.CutPrefix(withoutOrigin(uri), []byte("/"))
	if !ok {
		return target{}, badPath("a path begins with /", pathHint)
	}
	if string(path) == "ingress" {
		return target{verb: route}, nil
	}
	t := target{verb: send}
	if rest, ok := bytes.CutPrefix(path, []byte("call/")); ok {
		t.verb, path = call, rest
	}
	if bytes.Count(path, []byte("/")) != 2 {
		return target{}, badPath("the path has not exactly three segments", pathHint)
	}
	buf := make([]byte, 0, len(path))
	var ends [3]int
	for i := range ends {
		segment, rest, _ := bytes.Cut(path, []byte("/"))
		path = rest
		if len(segment) == 0 {
			return target{}, badPath("a segment of the path is empty", pathHint)
		}
		if buf, ok = appendDecoded(buf, segment); !ok {
			return target{}, badPath("a percent sign is not followed by two hexadecimal digits",
				"a percent sign itself is written %25")
		}
		ends[i] = len(buf)
	}
	decoded := string(buf) // The three parts share the one copy.
	t.to.Type.Namespace = decoded[:ends[0]]
	t.to.Type.Name = decoded[ends[0]:ends[1]]
	t.to.ID = decoded[ends[1]:]
	if bytes.IndexByte(buf[ends[0]:ends[1]], '/') >= 0 {
		// Otherwise a%2Fb/c and a/b%2Fc would be the same function type: its last slash separates.
		return target{}, badPath("the name of a function type holds a slash",
			"slashes of a function type belong to its namespace")
	}
	return t, nil
}

// withoutOrigin cuts scheme and authority off the absolute form, which every server has to accept
// (RFC 9112, 3.2.2).
func withoutOrigin(uri []byte) []byte {
	for _, scheme := range []string{"http://", "https://"} {
		if len(uri) > len(scheme) && bytes.EqualFold(uri[:len(scheme)], []byte(scheme)) {
			rest := uri[len(scheme):]
			return rest[max(0, bytes.IndexByte(rest, '/')):]
		}
	}
	return uri
}

// appendDecoded appends src with its percent escapes decoded; false when one is malformed.
func appendDecoded(dst, src []byte) ([]byte, bool) {
	for i := 0; i < len(src); i++ {
		c := src[i]
		if c == '%' {
			if len(src)-i < 3 {
				return dst, false
			}
			high, ok := unhex(src[i+1])
			low, ok2 := unhex(src[i+2])
			if !ok || !ok2 {
				return dst, false
			}
			c = high<<4 | low
			i += 2
		}
		dst = append(dst, c)
	}
	return dst, true
}

func unhex(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}
