// SPDX-License-Identifier: Apache-2.0

package backend_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/millrace-io/millrace/engine/backend"
)

// Whatever the bytes are, reading them does not panic, allocates no more than in proportion to them,
// and ends in success or in ErrCorrupt.
//
// What was read is encoded again. The fields of a change other than its two lengths have one form, and
// AppendPut and AppendDelete write lengths in the shortest one. So the new bytes are never longer; they
// are the old bytes exactly when they are as long, that is, when every length was minimal; and they
// decode to the same changes.
func FuzzPart(f *testing.F) {
	f.Fuzz(func(t *testing.T, in []byte) {
		var again []byte
		var err error
		fields := 0
		for c, e := range (backend.Part{Changes: in}).All() {
			if err = e; e != nil {
				break
			}
			fields += len(c.Key) + len(c.Value)
			if c.Delete {
				again = backend.AppendDelete(again, c.Group, c.Key)
			} else {
				again = backend.AppendPut(again, c.Group, c.Key, c.Value)
			}
		}
		if fields > len(in) {
			t.Fatalf("%d bytes of keys and values in a part of %d", fields, len(in))
		}
		if err != nil && !errors.Is(err, backend.ErrCorrupt) {
			t.Fatalf("error %v; want ErrCorrupt", err)
		}

		changes, _ := decode(in)
		if !bytes.Equal(again, encode(changes)) {
			t.Fatalf("two readings of one part differ: %q, %q", again, encode(changes))
		}
		if back, err := decode(again); err != nil || len(back) != len(changes) || !bytes.Equal(encode(back), again) {
			t.Fatalf("encoded again: decodes to %+v, %v; want %+v", back, err, changes)
		}
		if err != nil {
			if len(again) >= len(in) { // At least one byte belongs to the damaged change.
				t.Fatalf("the good changes of a damaged part have grown: %q of %q", again, in)
			}
			return
		}
		if len(again) > len(in) || (len(again) == len(in)) != bytes.Equal(again, in) {
			t.Fatalf("encoded again: %q; was %q", again, in)
		}
	})
}
