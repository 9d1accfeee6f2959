// SPDX-License-Identifier: Apache-2.0

package command

import (
	"math"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/statefun"
)

func TestSize(t *testing.T) {
	for text, want := range map[string]string{
		"0": "", "1": "1", "1024": "1KiB", "1536KiB": "1536KiB", "64 MiB": "64MiB", "4GiB": "4GiB", "2048GiB": "2TiB", "8388607TiB": "8388607TiB",
	} {
		var b size
		if err := b.Set(text); err != nil || b.String() != want {
			t.Errorf("%q: %q, %v", text, b.String(), err)
		}
		if again := size(-1); want != "" && (again.Set(b.String()) != nil || again != b) {
			t.Errorf("%q: %q reads as %d", text, b.String(), again)
		}
	}
	for _, text := range []string{"", "x", "-1", "1.5GiB", "1GB", "GiB", "1gib", "8388608TiB", "9223372036854775808", "1 GiB x"} {
		if b := size(7); b.Set(text) == nil || b != 7 {
			t.Errorf("%q is read as %d", text, b)
		}
	}
}

// The queues get an eighth of the memory limit, within bounds; without a limit the engine decides.
func TestLimitMemory(t *testing.T) {
	t.Cleanup(func() { debug.SetMemoryLimit(math.MaxInt64) })
	debug.SetMemoryLimit(math.MaxInt64)
	for limit, want := range map[size]int64{0: 0, 64 << 20: 16 << 20, 128 << 20: 16 << 20, 4 << 30: 512 << 20, 1 << 40: 1 << 30} {
		debug.SetMemoryLimit(math.MaxInt64)
		o := options{memoryLimit: limit}
		if got := o.limitMemory(); got != want || limit > 0 && debug.SetMemoryLimit(-1) != int64(limit) {
			t.Errorf("%s: %d bytes may be queued, want %d", limit.String(), got, want)
		}
	}
	debug.SetMemoryLimit(1 << 30) // As GOMEMLIMIT does.
	if got := new(options).limitMemory(); got != 128<<20 {
		t.Errorf("GOMEMLIMIT=1GiB: %d bytes may be queued", got)
	}
}

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
		v, err := valueOfJSON(tt.typename, tt.json)
		if got := string(shown(statefun.TypedValue{Typename: tt.typename, Value: v})); err != nil || got != tt.shown {
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
		if v, err := valueOfJSON(tt.typename, tt.json); err == nil || len(err.Error()) > 300 {
			t.Errorf("%s %s: %q, %v", tt.typename, tt.json, v, err)
		}
	}
	if got := shown(statefun.TypedValue{Typename: types + "long", Value: []byte{0xff}}); string(got) != "\xff" {
		t.Errorf("what does not decode is shown as %q", got)
	}
	inf, err := statefun.Float64.Append(nil, math.Inf(1))
	if got := shown(statefun.TypedValue{Typename: types + "double", Value: inf}); err != nil || string(got) != "+Inf\n" {
		t.Errorf("infinity is shown as %q", got)
	}
}
