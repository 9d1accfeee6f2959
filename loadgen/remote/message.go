// SPDX-License-Identifier: Apache-2.0

package remote

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// Requests and replies of the bare client are written and read here by hand, so that the baseline shares
// nothing with what it is compared to.

// field appends a field of bytes.
func field[T string | []byte](b []byte, number protowire.Number, value T) []byte {
	b = protowire.AppendTag(b, number, protowire.BytesType)
	return append(protowire.AppendVarint(b, uint64(len(value))), value...)
}

// long is a number as a typed value: TypedValue{typename, has_value, LongWrapper{value}}.
func long(n int64) []byte {
	wrapper := protowire.AppendTag(nil, 1, protowire.Fixed64Type)
	wrapper = protowire.AppendFixed64(wrapper, uint64(n))
	b := field(nil, 1, longTypename)
	b = protowire.AppendVarint(protowire.AppendTag(b, 2, protowire.VarintType), 1)
	return field(b, 3, wrapper)
}

// request is ToFunction with an invocation batch request: so many ones for a counter that is at count.
func request(id string, count int64, invocations int) []byte {
	target := field(field(field(nil, 1, namespace), 2, functionName), 3, id)
	state := field(field(nil, 1, stateName), 2, long(count))
	invocation := field(nil, 2, long(1)) // Without a caller, as from an ingress.
	batch := field(field(nil, 1, target), 2, state)
	for range invocations {
		batch = field(batch, 3, invocation)
	}
	return field(nil, 100, batch)
}

// countOf is what a reply, FromFunction with an invocation result, sets the counter to. It is not zero, which
// would not be written.
func countOf(reply []byte) (int64, error) {
	b := reply
	// Result, state mutation, its value, the value's bytes.
	for _, number := range []protowire.Number{100, 1, 3, 3} {
		var err error
		if b, err = find(b, number); err != nil {
			return 0, fmt.Errorf("reply %x: %w", reply, err)
		}
	}
	_, _, skip := protowire.ConsumeTag(b)
	if skip < 0 {
		return 0, protowire.ParseError(skip)
	}
	n, size := protowire.ConsumeFixed64(b[skip:])
	if size < 0 {
		return 0, protowire.ParseError(size)
	}
	return int64(n), nil
}

var errNoField = errors.New("no such field")

// find returns the first field of bytes with a number.
func find(b []byte, number protowire.Number) ([]byte, error) {
	for len(b) > 0 {
		n, typ, skip := protowire.ConsumeTag(b)
		if skip < 0 {
			return nil, protowire.ParseError(skip)
		}
		size := protowire.ConsumeFieldValue(n, typ, b[skip:])
		if size < 0 {
			return nil, protowire.ParseError(size)
		}
		if n == number && typ == protowire.BytesType {
			value, _ := protowire.ConsumeBytes(b[skip:])
			return value, nil
		}
		b = b[skip+size:]
	}
	return nil, fmt.Errorf("field %d: %w", number, errNoField)
}
