// SPDX-License-Identifier: Apache-2.0

package values

import (
	"math"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/statefun"
)

// JSON is wrapped for the built-in types, and comes back as it was written.
func TestTypedValues(t *testing.T) {
	const types = "io.statefun.types/"
	for _, tt := range []struct{ typename, json, shown string }{
		{types + "bool", "true", "true\n"},
		{types + "bool", "false", "false\n"},
		{types + "int", "-2147483648", "-2147483648\n"},
		{types + "long", "9223372036854775807", "9223372036854775807\n"},
		{types + "float", "0.1", "0.1\n"},
		{types + "double", "1e300", "1e+300\n"},
		{types + "string", `"a\nb \u00e9 <&>"`, "a\nb é <&>\n"},
		{types + "string", `""`, "\n"},
		{"shop/Add", ` {"item": "tea"} `, ` {"item": "tea"} `},
		{"shop/Add", "null", "null"},
	} {
		v, err := OfJSON(tt.typename, tt.json)
		if got := string(Output(statefun.TypedValue{Typename: tt.typename, Value: v})); err != nil || got != tt.shown {
			t.Errorf("%s %s: %q, %v", tt.typename, tt.json, got, err)
		}
	}
	for _, tt := range []struct{ typename, json string }{
		{types + "bool", "1"},
		{types + "bool", "null"},
		{types + "int", "2147483648"},
		{types + "int", "1.5"},
		{types + "int", `"1"`},
		{types + "long", "1e400"},
		{types + "float", "1e39"},
		{types + "string", "1"},
		{types + "string", "unquoted"},
		{types + "string", "null"},
		{"shop/Add", ""},
		{"shop/Add", "{"},
		{"shop/Add", "{} {}"},
		{"shop/Add", strings.Repeat("x", 1000)},
	} {
		if v, err := OfJSON(tt.typename, tt.json); err == nil || len(err.Error()) > 300 {
			t.Errorf("%s %s: %q, %v", tt.typename, tt.json, v, err)
		}
	}
	if got := Output(statefun.TypedValue{Typename: types + "long", Value: []byte{0xff}}); string(got) != "\xff" {
		t.Errorf("what does not decode is shown as %q", got)
	}
	inf, err := statefun.Float64.Append(nil, math.Inf(1))
	if got := Output(statefun.TypedValue{Typename: types + "double", Value: inf}); err != nil || string(got) != "+Inf\n" {
		t.Errorf("infinity is shown as %q", got)
	}
}

// What is text is shown as text, and what is none is not.
func TestText(t *testing.T) {
	long, err := statefun.Int64.Append(nil, -7)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		typename, value, want string
		ok                    bool
	}{
		{"io.statefun.types/long", string(long), "-7", true},
		{"io.statefun.types/long", "", "0", true},
		{"io.statefun.types/long", "\x09", "\x09", true}, // It does not decode.
		{"shop/Add", "{\"a\":\n1}", "{\"a\":\n1}", true},
		{"shop/Add", "", "", true},
		{"shop/Add", "\xff", "", false},
	} {
		if got, ok := Text(statefun.TypedValue{Typename: tt.typename, Value: []byte(tt.value)}); got != tt.want || ok != tt.ok {
			t.Errorf("%s %q: %q, %t; want %q", tt.typename, tt.value, got, ok, tt.want)
		}
	}
}
