// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
	"unsafe"
)

// A key is refused with ErrEntry, or names a function and an id that make it again. A function's number
// may be written longer than it needs to be; then the key that is made is shorter.
func FuzzStateKey(f *testing.F) {
	f.Fuzz(func(t *testing.T, key []byte) {
		fn, id, err := ParseStateKey(key)
		if err != nil {
			if !errors.Is(err, ErrEntry) || id != nil || fn != 0 {
				t.Fatalf("%d, %q, %v", fn, id, err)
			}
			return
		}
		again := AppendStateKey(nil, fn, id)
		if len(id) == 0 || !bytes.HasSuffix(key, id) || len(again) != StateKeyBytes(fn, len(id)) {
			t.Fatalf("%x is the key of %d, %x, which make %x", key, fn, id, again)
		}
		if len(again) > len(key) || (len(again) == len(key)) != bytes.Equal(again, key) {
			t.Fatalf("%x becomes %x", key, again)
		}
	})
}

// Validate says whether Values reads a value to its end. What was read is written again: never longer, the
// same bytes exactly when as long, and read as the same values.
func FuzzEntryValues(f *testing.F) {
	f.Fuzz(func(t *testing.T, in []byte) {
		values := decodeValues(in)
		again := encodeValues(values)
		read := 0
		for _, v := range values {
			if v.number < 0 || v.number >= NumbersMax {
				t.Fatalf("number %d", v.number)
			}
			read += 2 + len(v.encoding) // At least.
		}
		if read > len(in) {
			t.Fatalf("%d bytes of values in %d", read, len(in))
		}
		if back := decodeValues(again); !reflect.DeepEqual(back, values) || Validate(again) != nil {
			t.Fatalf("%+v is written as %x and read as %+v, %v", values, again, back, Validate(again))
		}
		if err := Validate(in); err != nil {
			if !errors.Is(err, ErrEntry) || len(again) >= len(in) { // At least one byte belongs to what is damaged.
				t.Fatalf("%x of %x: %v", again, in, err)
			}
			return
		}
		if len(again) > len(in) || (len(again) == len(in)) != bytes.Equal(again, in) {
			t.Fatalf("%x becomes %x", in, again)
		}
	})
}

// Names are refused with ErrEntry, or written again as FuzzEntryValues says. A count is a claim: memory is
// taken for what is there, in proportion to the bytes.
func FuzzNames(f *testing.F) {
	f.Fuzz(func(t *testing.T, in []byte) {
		names, err := ParseNames(in)
		if err != nil {
			if !errors.Is(err, ErrEntry) || names != nil {
				t.Fatalf("%+v, %v", names, err)
			}
			return
		}
		memory := cap(names) * int(unsafe.Sizeof(FunctionNames{}))
		for _, n := range names {
			memory += len(n.Function) + cap(n.Values)*int(unsafe.Sizeof(ValueName{}))
			for _, v := range n.Values {
				memory += len(v.Name) + len(v.Typename)
			}
		}
		if memory > 100*len(in) {
			t.Fatalf("%d bytes of memory for %d", memory, len(in))
		}
		again := AppendNames(nil, names)
		if back, err := ParseNames(again); err != nil || !reflect.DeepEqual(back, names) {
			t.Fatalf("%+v is written as %x and read as %+v, %v", names, again, back, err)
		}
		if len(again) > len(in) || (len(again) == len(in)) != bytes.Equal(again, in) {
			t.Fatalf("%x becomes %x", in, again)
		}
	})
}
