// SPDX-License-Identifier: Apache-2.0

package remote

import (
	"testing"

	"pgregory.net/rapid"
)

// The SDK understands what is written by hand, and what it answers is read right.
func TestRequestsAreThoseOfTheProtocol(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h, err := newHandler()
		if err != nil {
			t.Fatal(err)
		}
		id := rapid.StringN(0, 300, -1).Draw(t, "id")
		count := rapid.Int64Range(0, 1<<62).Draw(t, "count")
		invocations := rapid.IntRange(1, 300).Draw(t, "invocations")
		reply, err := h.Invoke(t.Context(), request(id, count, invocations))
		if err != nil {
			t.Fatal(err)
		}
		if n, err := countOf(reply); err != nil || n != count+int64(invocations) {
			t.Fatalf("a counter at %d is at %d after %d invocations (%v)", count, n, invocations, err)
		}
		if got, want := h.counts(), (counts{1, int64(invocations)}); got != want {
			t.Fatalf("the handler has counted %v, want %v", got, want)
		}
	})
}

// A reply that is none of a counter is an error, and never a count.
func FuzzCountOf(f *testing.F) {
	h, err := newHandler()
	if err != nil {
		f.Fatal(err)
	}
	reply, err := h.Invoke(f.Context(), request("a", 1, 2))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(reply)
	f.Add(reply[:len(reply)-1])
	f.Add([]byte{})
	f.Add([]byte{0xff})
	f.Fuzz(func(t *testing.T, reply []byte) {
		if n, err := countOf(reply); err != nil && n != 0 {
			t.Errorf("countOf(%x) = %d, %v", reply, n, err)
		}
	})
}

func TestCountOfRefuses(t *testing.T) {
	incomplete := field(nil, 101, field(nil, 1, field(nil, 1, stateName)))
	for name, reply := range map[string][]byte{
		"nothing":         nil,
		"a handshake":     incomplete,
		"no mutation":     field(nil, 100, ""),
		"half a value":    field(nil, 100, field(nil, 1, field(nil, 3, field(nil, 3, []byte{0x09, 1, 2, 3})))),
		"no protobuf":     {0xff, 0xff},
		"half a field":    {0xa2, 0x06, 0x7f},
		"a bad value tag": field(nil, 100, field(nil, 1, field(nil, 3, field(nil, 3, []byte{0xff})))),
	} {
		if n, err := countOf(reply); err == nil {
			t.Errorf("%s: %d, want an error", name, n)
		}
	}
}
