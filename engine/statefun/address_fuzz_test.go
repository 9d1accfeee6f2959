// SPDX-License-Identifier: Apache-2.0

package statefun

import (
	"errors"
	"testing"
)

// What is parsed prints as it was typed and is valid; what is not parsed is ErrMalformed and yields the
// zero value.
func FuzzParseAddress(f *testing.F) {
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAddress(s)
		if err != nil {
			if !errors.Is(err, ErrMalformed) || a != (Address{}) {
				t.Fatalf("ParseAddress(%q) = %#v, %v; want nothing and ErrMalformed", s, a, err)
			}
			return
		}
		if a.String() != s || a.Validate() != nil {
			t.Fatalf("ParseAddress(%q) = %#v: prints as %q, %v", s, a, a, a.Validate())
		}
		if again, err := ParseFunctionType(a.Type.String()); again != a.Type || err != nil {
			t.Fatalf("type of %q: %#v, %v; want %#v", s, again, err, a.Type)
		}
	})
}

// As FuzzParseAddress; and a function type is a typename, no more and no less.
func FuzzParseFunctionType(f *testing.F) {
	f.Fuzz(func(t *testing.T, s string) {
		ft, err := ParseFunctionType(s)
		if (ValidateTypename(s) == nil) != (err == nil) {
			t.Fatalf("ParseFunctionType(%q): %v; ValidateTypename: %v", s, err, ValidateTypename(s))
		}
		if err != nil {
			if !errors.Is(err, ErrMalformed) || ft != (FunctionType{}) {
				t.Fatalf("ParseFunctionType(%q) = %#v, %v; want nothing and ErrMalformed", s, ft, err)
			}
			return
		}
		if ft.String() != s || (Address{ft, "id"}).Validate() != nil {
			t.Fatalf("ParseFunctionType(%q) = %#v: prints as %q", s, ft, ft)
		}
	})
}
