// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"

	"github.com/millrace-io/millrace/engine/statefun"
)

// Path returns the path of a request target, as the client wrote it and without its leading slash, and
// whether a query stood behind it.
//
// A library's idea of a path will not do: they resolve dots, fold slashes and decode before they split,
// and each of these sends a message to another address than was written.
func Path(target []byte) (path []byte, query bool, p *Problem) {
	for _, c := range target {
		switch {
		case c < ' ' || c == 0x7f:
			return nil, false, BadPath("a control character must be percent-encoded", "")
		case c == '#' && !query:
			return nil, false, BadPath("a fragment is not taken", "a # inside a segment is written %23")
		case c == '?':
			query = true
		}
	}
	path, _, _ = bytes.Cut(target, []byte("?"))
	path, ok := bytes.CutPrefix(withoutOrigin(path), []byte("/"))
	if !ok {
		return nil, false, BadPath("a path begins with /", "")
	}
	return path, query, nil
}

// ParseAddress reads <namespace>/<type>/<id>, each percent-encoded, so that a slash inside a namespace or
// an id is %2F and an id may hold any bytes. The address is a copy, so that the engine may keep it.
func ParseAddress(path []byte) (a statefun.Address, p *Problem) {
	if bytes.Count(path, []byte("/")) != 2 {
		return a, BadPath("the path has not exactly three segments", "")
	}
	buf := make([]byte, 0, len(path))
	var ends [3]int
	for i := range ends {
		segment, rest, _ := bytes.Cut(path, []byte("/"))
		path = rest
		if len(segment) == 0 {
			return a, BadPath("a segment of the path is empty", "")
		}
		if buf, p = Unescape(buf, segment); p != nil {
			return a, p
		}
		ends[i] = len(buf)
	}
	if bytes.IndexByte(buf[ends[0]:ends[1]], '/') >= 0 {
		// Otherwise a%2Fb/c and a/b%2Fc would be the same function type: its last slash separates.
		return a, BadPath("the name of a function type holds a slash",
			"slashes of a function type belong to its namespace")
	}
	decoded := string(buf) // The three parts share the one copy.
	a.Type.Namespace = decoded[:ends[0]]
	a.Type.Name = decoded[ends[0]:ends[1]]
	a.ID = decoded[ends[1]:]
	return a, nil
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

// Unescape appends src to dst with its percent escapes decoded, once.
func Unescape(dst, src []byte) ([]byte, *Problem) {
	for i := 0; i < len(src); i++ {
		c := src[i]
		if c == '%' {
			var high, low byte
			ok, ok2 := false, false
			if len(src)-i >= 3 {
				high, ok = unhex(src[i+1])
				low, ok2 = unhex(src[i+2])
			}
			if !ok || !ok2 {
				return dst, BadPath("a percent sign is not followed by two hexadecimal digits",
					"a percent sign itself is written %25")
			}
			c = high<<4 | low
			i += 2
		}
		dst = append(dst, c)
	}
	return dst, nil
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
