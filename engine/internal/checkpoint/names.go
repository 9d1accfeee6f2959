// SPDX-License-Identifier: Apache-2.0

package checkpoint

import "encoding/binary"

// FunctionNames says what the numbers in the entries of one function type mean. They are in the order of
// the function numbers.
type FunctionNames struct {
	Function string // "<namespace>/<name>"
	Values   []ValueName
}

// ValueName is the name and the typename of a state value, in the order of the value numbers.
type ValueName struct {
	Name, Typename string
	// Expiry is 0 for a value that does not expire; else it says from when its time, TTL, in milliseconds, counts.
	// A function that runs elsewhere declares it while the engine runs, and its values expire before it does so
	// again after a restart.
	Expiry byte
	TTL    uint64
}

// AppendNames appends the encoding of names: counts and lengths as uvarints, strings as bytes.
func AppendNames(dst []byte, names []FunctionNames) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(names)))
	for _, n := range names {
		dst = appendBytes(dst, n.Function)
		dst = binary.AppendUvarint(dst, uint64(len(n.Values)))
		for _, v := range n.Values {
			dst = appendBytes(dst, v.Name)
			dst = append(appendBytes(dst, v.Typename), v.Expiry)
			if v.Expiry != 0 {
				dst = binary.AppendUvarint(dst, v.TTL)
			}
		}
	}
	return dst
}

// ParseNames reads what AppendNames wrote.
func ParseNames(b []byte) (names []FunctionNames, err error) {
	r := reader{rest: b}
	for left := r.count(); left > 0 && !r.failed; left-- {
		n := FunctionNames{Function: string(r.bytes(fieldMax))}
		for left := r.count(); left > 0 && !r.failed; left-- {
			v := ValueName{Name: string(r.bytes(fieldMax)), Typename: string(r.bytes(fieldMax)), Expiry: r.byte()}
			if v.Expiry != 0 {
				v.TTL = r.uvarint()
			}
			n.Values = append(n.Values, v)
		}
		names = append(names, n)
	}
	if err := r.err("names", b); err != nil {
		return nil, err
	}
	return names, nil
}
