// SPDX-License-Identifier: Apache-2.0

package file

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/millrace-io/millrace/engine/statefun"
)

func wire[T any](t *testing.T, typ statefun.Type[T], v T) string {
	t.Helper()
	b, err := typ.Append(nil, v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Lines are text: built-in values are made of it, all others are taken as they are.
func TestValues(t *testing.T) {
	for _, tt := range []struct {
		typename, line, want string
		bad                  bool
	}{
		{typename: "io.statefun.types/string", line: "żółw ", want: wire(t, statefun.String, "żółw ")},
		{typename: "io.statefun.types/string", line: "", want: ""},
		{typename: "io.statefun.types/string", line: "\xff", bad: true},
		{typename: "io.statefun.types/long", line: " 9007199254740993 ", want: wire(t, statefun.Int64, 9007199254740993)},
		{typename: "io.statefun.types/long", line: "1.5", bad: true},
		{typename: "io.statefun.types/long", line: "", bad: true},
		{typename: "io.statefun.types/long", line: "null", bad: true},
		{typename: "io.statefun.types/int", line: "-7", want: wire(t, statefun.Int32, -7)},
		{typename: "io.statefun.types/int", line: "2147483648", bad: true},
		{typename: "io.statefun.types/bool", line: "true", want: wire(t, statefun.Bool, true)},
		{typename: "io.statefun.types/float", line: "0.5", want: wire(t, statefun.Float32, 0.5)},
		{typename: "io.statefun.types/double", line: "1e3", want: wire(t, statefun.Float64, 1000)},
		{typename: "shop/Order", line: "{\x00", want: "{\x00"},
	} {
		got, err := converterOf(tt.typename)([]byte(tt.line))
		if string(got) != tt.want || (err != nil) != tt.bad {
			t.Errorf("%s %q: %q, %v; want %q", tt.typename, tt.line, got, err, tt.want)
		}
	}
}

func TestKeys(t *testing.T) {
	for _, tt := range []struct {
		pointer, line, want string // "": refused.
	}{
		{"/id", `{"id":"Bob"}`, "Bob"},
		{"/id", ` {"id" : "\u00e9\n" } `, "é\n"},
		{"/id", `{"id":-1.50}`, "-1.50"},
		{"/id", `{"id":false}`, "false"},
		{"/user/id", `{"user":{"id":7}}`, "7"},
		{"/a/1", `{"a":[1,2]}`, "2"},
		{"/0", `["x"]`, "x"},
		{"/a~1b/c~0d/~01", `{"a/b":{"c~d":{"~1":"x"}}}`, "x"},
		{"/", `{"":"x"}`, "x"},
		{"/id", `{"id":""}`, ""},
		{"/id", `{"id":null}`, ""},
		{"/id", `{"id":{}}`, ""},
		{"/id", `{"id":[1]}`, ""},
		{"/id", `{"Id":1}`, ""},
		{"/id", `{"id":1} x`, ""},
		{"/id", `{"id":1`, ""},
		{"/id", "", ""},
		{"/id", "null", ""},
		{"/id", "5", ""},
		{"/a/2", `{"a":[1,2]}`, ""},
		{"/a/01", `{"a":[1,2]}`, ""},
		{"/a/-", `{"a":[1,2]}`, ""},
		{"/a/b", `{"a":"b"}`, ""},
	} {
		p, err := parsePointer(tt.pointer)
		if err != nil || p.String() != tt.pointer {
			t.Fatalf("%s: %q, %v", tt.pointer, p, err)
		}
		got, err := p.find([]byte(tt.line))
		if string(got) != tt.want || (err != nil) != (tt.want == "") {
			t.Errorf("%s in %s: %q, %v; want %q", tt.pointer, tt.line, got, err, tt.want)
		}
	}
}

// A key is in the line, whatever the line; and only valid JSON has keys.
func FuzzKey(f *testing.F) {
	for _, seed := range []string{"", "{}", `{"a":{"b":[1,"x"]}}`, `{"a":1}{`, "[[[[", `{"a":"\ud800"}`, "{\"a\":0}\v"} {
		f.Add("/a/b/1", []byte(seed))
		f.Add("/a", []byte(seed))
	}
	f.Fuzz(func(t *testing.T, pointer string, line []byte) {
		p, err := parsePointer(pointer)
		if err != nil || p == nil {
			return
		}
		if p.String() != pointer {
			t.Errorf("%q reads back as %q", pointer, p)
		}
		before := bytes.Clone(line)
		key, err := p.find(line)
		if !bytes.Equal(line, before) || err == nil && (len(key) == 0 || !json.Valid(line)) {
			t.Errorf("%q in %q: %q, %v", pointer, line, key, err)
		}
	})
}
