// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
	"bytes"
	"encoding/hex"
	"errors"
	"slices"
	"testing"
)

// When an instance was last messaged stands behind its values, as documented, and is none of them.
func TestTouched(t *testing.T) {
	values := []value{{number: 0, encoding: "x"}, {number: NumbersMax - 1, stamped: true, stamp: 5}}
	entry := AppendTouched(encodeValues(values), 1_000)
	if tail := documented(t, "messaged"); !bytes.HasSuffix(entry, tail) || len(entry) != len(encodeValues(values))+len(tail) {
		t.Errorf("entry\n%sshould end in\n%s", hex.Dump(entry), hex.Dump(tail))
	}
	if got := decodeValues(entry); !slices.Equal(got, values) || Validate(entry) != nil {
		t.Errorf("the values are %+v, %v", got, Validate(entry))
	}
	rest, stamp, ok := CutTouched(entry)
	if !bytes.Equal(rest, encodeValues(values)) || cap(rest) != len(rest) || stamp != 1_000 || !ok {
		t.Errorf("%x, %d, %v", rest, stamp, ok)
	}
	if rest, stamp, ok := CutTouched(rest); !bytes.Equal(rest, encodeValues(values)) || stamp != 0 || ok {
		t.Errorf("without: %x, %d, %v", rest, stamp, ok)
	}
}

func TestTouchedMalformed(t *testing.T) {
	good := AppendTouched(nil, 1_000)
	for name, entry := range map[string][]byte{
		"not the last":    append(slices.Clone(good), encodeValues([]value{{number: 1}})...),
		"twice":           append(slices.Clone(good), good...),
		"with bytes":      append(slices.Clone(good[:len(good)-1]), 1, 'x'),
		"without a stamp": {0xfe, 0x0f, 0},
		"a number beyond": {0x80, 0x10, 0},
		"cut off":         good[:5],
	} {
		if err := Validate(entry); !errors.Is(err, ErrEntry) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := Validate(good); err != nil {
		t.Error(err)
	}
}
