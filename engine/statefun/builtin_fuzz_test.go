// SPDX-License-Identifier: Apache-2.0

package statefun

import (
	"bytes"
	"errors"
	"testing"
)

// For any two messages, and each built-in type: decoding does not panic; what decodes can be encoded
// again and decodes to the same; and decoding two messages behind one another is decoding the second,
// with the first in place of what it does not say, which is how protobuf merges.
func FuzzTypedValues(f *testing.F) {
	f.Fuzz(func(t *testing.T, a, b []byte) {
		for _, c := range codecs {
			bitsA, textA, errA := c.decode(a)
			if errA != nil {
				if !errors.Is(errA, ErrUndecodable) || bitsA != 0 || textA != "" {
					t.Fatalf("%s: % x: %#x, %q, %v; want nothing and ErrUndecodable", c.name, a, bitsA, textA, errA)
				}
				continue
			}
			wire, err := c.encode(bitsA, textA)
			if err != nil || len(wire) > len(a) { // The encoder writes the shortest form.
				t.Fatalf("%s: % x decodes to %#x, %q, which encodes to % x, %v", c.name, a, bitsA, textA, wire, err)
			}
			if bits, text, err := c.decode(wire); bits != bitsA || text != textA || err != nil {
				t.Fatalf("%s: % x decodes to %#x, %q, %v; want %#x, %q", c.name, wire, bits, text, err, bitsA, textA)
			}

			bitsB, textB, errB := c.decode(b)
			bits, text, err := c.decode(bytes.Join([][]byte{a, b}, nil))
			if (err == nil) != (errB == nil) {
				t.Fatalf("%s: % x: %v; behind % x: %v", c.name, b, errB, a, err)
			}
			if err != nil {
				continue
			}
			if !c.says(b) {
				bitsB, textB = bitsA, textA
			}
			if bits != bitsB || text != textB {
				t.Fatalf("%s: % x behind % x: %#x, %q; want %#x, %q", c.name, b, a, bits, text, bitsB, textB)
			}
		}
	})
}

// says reports whether a message has a value: whether it hides the one before it.
func (c codec) says(message []byte) bool {
	var bits [2]uint64
	var text [2]string
	for i, before := range c.two {
		bits[i], text[i], _ = c.decode(append([]byte(before), message...))
	}
	return bits[0] == bits[1] && text[0] == text[1]
}
