// SPDX-License-Identifier: Apache-2.0

package requestreply

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/remote"
	"github.com/millrace-io/millrace/engine/statefun"
)

var (
	cart    = statefun.FunctionType{Namespace: "shop", Name: "cart"}
	checker = statefun.FunctionType{Namespace: "shop", Name: "checker"}
)

// What matters to an SDK, spelled out: which submessages and fields are there. The bytes are those of the
// generated code, too.
func TestAppendRequest(t *testing.T) {
	tests := []struct {
		name string
		in   *remote.Request
		want string // In hexadecimal, without target.
	}{
		{
			name: "a batch may be empty",
			in:   &remote.Request{},
		},
		{
			name: "an ingress is no caller",
			in:   &remote.Request{Messages: []remote.Message{{CallerID: []byte("x"), Typename: []byte("t"), Value: []byte("v")}}},
			want: "1a0a 1208 0a0174 1001 1a0176",
		},
		{
			name: "a caller",
			in: &remote.Request{Messages: []remote.Message{
				{Caller: checker, CallerID: []byte("9"), Typename: []byte("t"), Value: []byte("v")},
			}},
			want: "1a1e 0a12 0a0473686f70 1207636865636b6572 1a0139 1208 0a0174 1001 1a0176",
		},
		{
			name: "a value of no bytes is a value",
			in:   &remote.Request{Messages: []remote.Message{{Typename: []byte("t")}}},
			want: "1a07 1205 0a0174 1001",
		},
		{
			name: "no value",
			in:   &remote.Request{Messages: []remote.Message{{Typename: []byte("t"), Absent: true}}},
			want: "1a05 1203 0a0174",
		},
		{
			name: "nothing at all is an argument still",
			in:   &remote.Request{Messages: []remote.Message{{Absent: true}}},
			want: "1a02 1200",
		},
		{
			name: "a state value",
			in:   &remote.Request{State: []remote.State{{Name: "n", Typename: "t", Present: true, Value: []byte("v")}}},
			want: "120d 0a016e 1208 0a0174 1001 1a0176",
		},
		{
			name: "a state value of no bytes is there",
			in:   &remote.Request{State: []remote.State{{Name: "n", Typename: "t", Present: true}}},
			want: "120a 0a016e 1205 0a0174 1001",
		},
		{
			name: "a state value that is not there has a name only",
			in:   &remote.Request{State: []remote.State{{Name: "n", Typename: "t", Value: []byte("v")}}},
			want: "1203 0a016e",
		},
		{
			name: "in order",
			in: &remote.Request{
				State:    []remote.State{{Name: "b"}, {Name: "a"}},
				Messages: []remote.Message{{Typename: []byte("t")}, {Typename: []byte("s")}},
			},
			want: "1203 0a0162 1203 0a0161 1a07 1205 0a0174 1001 1a07 1205 0a0173 1001",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.in.Target, tt.in.ID = cart, []byte("7")
			want, err := hex.DecodeString(strings.ReplaceAll("0a0f 0a0473686f70 120463617274 1a0137"+tt.want, " ", ""))
			if err != nil {
				t.Fatal(err)
			}
			want = append([]byte{0xa2, 0x06, byte(len(want))}, want...)
			got, err := AppendRequest([]byte("before "), tt.in)
			if err != nil || !bytes.Equal(got, append([]byte("before "), want...)) || RequestBytes(tt.in) != len(want) {
				t.Errorf("%v, %d bytes\n%swant\n%s", err, RequestBytes(tt.in), hex.Dump(got), hex.Dump(want))
			}
			if generated, err := marshal(requestOf(tt.in)); err != nil || !bytes.Equal(generated, want) {
				t.Errorf("%v, the generated code writes\n%swant\n%s", err, hex.Dump(generated), hex.Dump(want))
			}
		})
	}
}

// A length has as many bytes as it needs, on each side of every bound.
func TestAppendRequestLengths(t *testing.T) {
	for _, size := range []int{0, 1, 90, 100, 110, 127, 128, 1000, 16383, 16384, 16500, 1 << 21, 1<<21 + 100} {
		for around := range 40 {
			r := bigRequest(1, 1, max(0, size-around))
			got, err := AppendRequest(nil, r)
			want, wantErr := marshal(requestOf(r))
			if err != nil || wantErr != nil || !bytes.Equal(got, want) || RequestBytes(r) != len(want) {
				t.Fatalf("value of %d bytes: %v, %v, %d bytes, want %d", size-around, err, wantErr, len(got), len(want))
			}
		}
	}
}

// SDKs refuse a request with a string that is not UTF-8, for ever: it is not sent, and said where it is.
func TestAppendRequestNotUTF8(t *testing.T) {
	bad := statefun.FunctionType{Namespace: "a\xff", Name: "b"}
	tests := []struct {
		in   *remote.Request
		want string
	}{
		{&remote.Request{Target: bad}, "target: namespace:"},
		{&remote.Request{Target: statefun.FunctionType{Namespace: "a", Name: "b\xff"}}, "target: type:"},
		{&remote.Request{Target: cart, ID: []byte("\xff")}, "target: id:"},
		{&remote.Request{State: []remote.State{{Name: "a"}, {Name: "\xff"}}}, "state 1: name:"},
		{&remote.Request{State: []remote.State{{Name: "a", Typename: "\xff", Present: true}}}, "state 0: typename:"},
		{&remote.Request{State: []remote.State{{Name: "a", Typename: "\xff"}}}, ""},
		{&remote.Request{Messages: []remote.Message{{}, {Typename: []byte("\xff")}}}, "message 1: typename:"},
		{&remote.Request{Messages: []remote.Message{{Caller: bad}}}, "message 0: caller: namespace:"},
		{&remote.Request{Messages: []remote.Message{{Caller: cart, CallerID: []byte("\xff")}}}, "message 0: caller: id:"},
		{&remote.Request{Messages: []remote.Message{{CallerID: []byte("\xff"), Value: []byte("\xff")}}}, ""},
	}
	for _, tt := range tests {
		got, err := AppendRequest([]byte("before"), tt.in)
		if tt.want == "" {
			if err != nil {
				t.Errorf("%+v: %v", tt.in, err)
			}
			continue
		}
		var refused *remote.Error
		if !errors.As(err, &refused) || refused.Reason != remote.Broken || !strings.Contains(err.Error(), tt.want+" is not valid UTF-8") {
			t.Errorf("%v, want %s …", err, tt.want)
		}
		if string(got) != "before" {
			t.Errorf("%s: wrote %q", tt.want, got)
		}
	}
}

func TestAppendRequestAllocatesNothing(t *testing.T) {
	r := bigRequest(5, 100, 50)
	dst := make([]byte, 0, RequestBytes(r))
	allocs := testing.AllocsPerRun(100, func() {
		if _, err := AppendRequest(dst, r); err != nil {
			t.Fatal(err)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
	// Without room, that of the room; the race detector has slices.Grow allocate twice.
	if once := testing.AllocsPerRun(10, func() { _, _ = AppendRequest(nil, r) }); once > 2 {
		t.Errorf("%v allocations without room, want that of the room", once)
	}
}

// bigRequest has values of so many bytes, and messages by turns from an ingress and from a function.
func bigRequest(states, messages, valueBytes int) *remote.Request {
	r := &remote.Request{Target: cart, ID: []byte("customer-1")}
	value := bytes.Repeat([]byte("v"), valueBytes)
	for i := range states {
		r.State = append(r.State, remote.State{
			Name: "state" + string(rune('a'+i)), Typename: "io.statefun.types/long", Present: i%2 == 0, Value: value,
		})
	}
	for i := range messages {
		m := remote.Message{Typename: []byte("io.statefun.types/string"), Value: value}
		if i%2 == 1 {
			m.Caller, m.CallerID = checker, []byte("checker-17")
		}
		r.Messages = append(r.Messages, m)
	}
	return r
}
