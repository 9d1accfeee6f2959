// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
)

// Bytes are refused with ErrEntry, or read as something that is written again: never longer, the same bytes
// exactly when as long, and read as the same. What is read lies in the bytes, and appending to it leaves what is
// behind it alone.
func FuzzCodecs(f *testing.F) {
	f.Fuzz(func(t *testing.T, which byte, in []byte) {
		c := codecs[int(which)%len(codecs)]
		v, err := c.read(in)
		if bytes, room := slicesOf(reflect.ValueOf(v)); bytes > len(in) || room != bytes {
			t.Fatalf("%s of %d bytes has slices of %d, with room for %d", c.block, len(in), bytes, room)
		}
		if err != nil {
			if !errors.Is(err, ErrEntry) {
				t.Fatal(err)
			}
			return
		}
		again := c.write(nil, v)
		if back, err := c.read(again); err != nil || !same(back, v) {
			t.Fatalf("%+v is written as %x and read as %+v, %v", v, again, back, err)
		}
		if len(again) > len(in) || (len(again) == len(in)) != bytes.Equal(again, in) {
			t.Fatalf("%x becomes %x", in, again)
		}
	})
}

// slicesOf adds up the lengths of the byte slices in a struct, and the room that they have.
func slicesOf(v reflect.Value) (bytes, room int) {
	switch v.Kind() {
	case reflect.Slice:
		return v.Len(), v.Cap()
	case reflect.Struct:
		for i := range v.NumField() {
			b, r := slicesOf(v.Field(i))
			bytes, room = bytes+b, room+r
		}
	}
	return bytes, room
}
