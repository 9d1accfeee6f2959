// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
	"encoding/binary"
	"fmt"
)

// FunctionNames says what the numbers in the entries of one function type mean. They are in the order of
// the function numbers.
type FunctionNames struct {
	Function string // "<namespace>/<name>"
	Values   []ValueName
}

// ValueName is the name and the typename of a state value, in the order of the value numbers.
type ValueName struct{ Name, Typename string }

// AppendNames appends the encoding of names: counts and lengths as uvarints, strings as bytes.
func AppendNames(dst []byte, names []FunctionNames) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(names)))
	for _, n := range names {
		dst = appendString(dst, n.Function)
		dst = binary.AppendUvarint(dst, uint64(len(n.Values)))
		for _, v := range n.Values {
			dst = appendString(dst, v.Name)
			dst = appendString(dst, v.Typename)
		}
	}
	return dst
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// ParseNames reads what AppendNames wrote.
func ParseNames(b []byte) ([]FunctionNames, error) {
	r := reader{rest: b}
	var names []FunctionNames
	for range r.count() {
		n := FunctionNames{Function: r.string()}
		for range r.count() {
			n.Values = append(n.Values, ValueName{Name: r.string(), Typename: r.string()})
			if r.failed {
				break
			}
		}
		names = append(names, n)
		if r.failed {
			break
		}
	}
	if r.failed || len(r.rest) != 0 {
		return nil, fmt.Errorf("%w: names: at offset %d of %d", ErrEntry, len(b)-len(r.rest), len(b))
	}
	return names, nil
}

// reader reads until something is wrong, and then nothing more.
type reader struct {
	rest   []byte
	failed bool
}

func (r *reader) count() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 || v > uint64(len(r.rest)) { // Each of what is counted takes a byte at least.
		r.failed = true
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) string() string {
	n := r.count()
	if r.failed || n > uint64(len(r.rest)) {
		r.failed = true
		return ""
	}
	s := string(r.rest[:n])
	r.rest = r.rest[n:]
	return s
}
