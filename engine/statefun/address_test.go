// SPDX-License-Identifier: Apache-2.0

package statefun

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Users type function types by hand, so every malformed form is refused, never guessed at.
func TestParseFunctionType(t *testing.T) {
	longest := strings.Repeat("n", NameBytesMax)
	tests := []struct {
		in      string
		want    FunctionType
		wantErr error
	}{
		{in: "shop/cart", want: FunctionType{Namespace: "shop", Name: "cart"}},
		{in: "io.example.shop/cart-v2", want: FunctionType{Namespace: "io.example.shop", Name: "cart-v2"}},
		{in: "org/shop/cart", want: FunctionType{Namespace: "org/shop", Name: "cart"}},
		{in: "läden/wagen", want: FunctionType{Namespace: "läden", Name: "wagen"}},
		{in: longest + "/" + longest, want: FunctionType{Namespace: longest, Name: longest}},

		{in: "", wantErr: ErrMalformed},
		{in: "cart", wantErr: ErrMalformed},
		{in: "/", wantErr: ErrMalformed},
		{in: "/cart", wantErr: ErrMalformed},
		{in: "shop/", wantErr: ErrMalformed},
		{in: "org/shop/", wantErr: ErrMalformed},
		{in: "shop /cart", wantErr: ErrMalformed},
		{in: "shop/cart\n", wantErr: ErrMalformed},
		{in: "shop/ca\x00rt", wantErr: ErrMalformed},
		{in: "shop/ca\x7frt", wantErr: ErrMalformed},
		{in: "sh\xffop/cart", wantErr: ErrMalformed},
		{in: "shop/c\xc3", wantErr: ErrMalformed},
		{in: longest + "n/cart", wantErr: ErrMalformed},
		{in: "shop/" + longest + "n", wantErr: ErrMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			got, err := ParseFunctionType(tt.in)
			if got != tt.want || !errors.Is(err, tt.wantErr) {
				t.Errorf("ParseFunctionType(%q) = %v, %v; want %v, %v", tt.in, got, err, tt.want, tt.wantErr)
			}
			if err := ValidateTypename(tt.in); !errors.Is(err, tt.wantErr) {
				t.Errorf("ValidateTypename(%q) = %v; want %v", tt.in, err, tt.wantErr)
			}
		})
	}
}

func TestParseAddress(t *testing.T) {
	cart := FunctionType{Namespace: "shop", Name: "cart"}
	tests := []struct {
		in      string
		want    Address
		wantErr error
	}{
		{in: "shop/cart/alice", want: Address{Type: cart, ID: "alice"}},
		{in: "shop/cart/a/b", want: Address{Type: cart, ID: "a/b"}},
		{in: "shop/cart//", want: Address{Type: cart, ID: "/"}},
		{in: "shop/cart/ ", want: Address{Type: cart, ID: " "}},
		{in: "shop/cart/\xff\x00", want: Address{Type: cart, ID: "\xff\x00"}},
		{in: "shop/cart/" + strings.Repeat("i", IDBytesMax), want: Address{Type: cart, ID: strings.Repeat("i", IDBytesMax)}},

		{in: "", wantErr: ErrMalformed},
		{in: "shop", wantErr: ErrMalformed},
		{in: "shop/cart", wantErr: ErrMalformed},
		{in: "shop/cart/", wantErr: ErrMalformed},
		{in: "//", wantErr: ErrMalformed},
		{in: "/cart/alice", wantErr: ErrMalformed},
		{in: "shop//alice", wantErr: ErrMalformed},
		{in: "shop/ca rt/alice", wantErr: ErrMalformed},
		{in: "sh\xffop/cart/alice", wantErr: ErrMalformed},
		{in: "shop/cart/" + strings.Repeat("i", IDBytesMax+1), wantErr: ErrMalformed},
		{in: "shop/" + strings.Repeat("n", NameBytesMax+1) + "/alice", wantErr: ErrMalformed},
	}
	for _, tt := range tests {
		t.Run(clip(tt.in), func(t *testing.T) {
			got, err := ParseAddress(tt.in)
			if got != tt.want || !errors.Is(err, tt.wantErr) {
				t.Errorf("ParseAddress(%q) = %v, %v; want %v, %v", tt.in, got, err, tt.want, tt.wantErr)
			}
		})
	}
}

// An address that was put together, not parsed, is judged by its parts: joined and split again they
// might be those of another, valid one.
func TestAddressValidate(t *testing.T) {
	tests := []struct {
		in      Address
		wantErr error
	}{
		{in: Address{FunctionType{"shop", "cart"}, "alice"}},
		{in: Address{FunctionType{"org/shop", "cart"}, "alice"}},
		{in: Address{FunctionType{"shop", "org/cart"}, "alice"}, wantErr: ErrMalformed},
		{in: Address{FunctionType{"", "shop/cart"}, "alice"}, wantErr: ErrMalformed},
		{in: Address{FunctionType{"shop/cart", ""}, "alice"}, wantErr: ErrMalformed},
		{in: Address{FunctionType{"s", strings.Repeat("n", NameBytesMax) + "/n"}, "alice"}, wantErr: ErrMalformed},
		{in: Address{FunctionType{"shop", "cart"}, ""}, wantErr: ErrMalformed},
		{in: Address{}, wantErr: ErrMalformed},
	}
	for _, tt := range tests {
		t.Run(clip(tt.in.String()), func(t *testing.T) {
			if err := tt.in.Validate(); !errors.Is(err, tt.wantErr) {
				t.Errorf("%#v: %v; want %v", tt.in, err, tt.wantErr)
			}
		})
	}
}

// What is valid survives being written and read; an address whose namespace holds a slash is the one
// exception, since "a/b/c/d" does not tell where its name is.
func TestAddressRoundTrip(t *testing.T) {
	part := rapid.OneOf(rapid.StringMatching(`[a-z/]{1,4}`), rapid.String())
	rapid.Check(t, func(t *rapid.T) {
		a := Address{FunctionType{part.Draw(t, "namespace"), part.Draw(t, "name")}, part.Draw(t, "id")}
		parsed, err := ParseFunctionType(a.Type.String())
		got, gotErr := ParseAddress(a.String())
		if a.Validate() != nil {
			if err == nil && parsed == a.Type && ValidateID(a.ID) == nil {
				t.Fatalf("%#v is refused, its parts are not: %v", a, a.Validate())
			}
			return
		}
		if err != nil || parsed != a.Type {
			t.Fatalf("type of %#v: parsed %#v, %v", a, parsed, err)
		}
		if !strings.Contains(a.Type.Namespace, "/") && (gotErr != nil || got != a) {
			t.Fatalf("%#v: parsed %#v, %v", a, got, gotErr)
		}
	})
}

// What is refused may be a megabyte of somebody's mistake: errors quote the beginning of it.
func TestErrorsAreShort(t *testing.T) {
	huge := strings.Repeat("x", 1<<20)
	_, errType := ParseFunctionType(huge)
	_, errAddress := ParseAddress("a/b/" + huge)
	_, errParts := ParseAddress(huge)
	for _, err := range []error{errType, errAddress, errParts, ValidateTypename(huge), ValidateID(huge)} {
		if err == nil || len(err.Error()) > 300 {
			t.Errorf("error %.400v; want one of at most 300 bytes", err)
		}
	}
}
