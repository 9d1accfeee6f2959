// SPDX-License-Identifier: Apache-2.0

package requestreply

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/remote"
	"github.com/millrace-io/millrace/engine/statefun"
)

var updateWire = flag.Bool("update", false, "rewrite the requests and the readable replies of testdata/wire")

var (
	golden  = statefun.FunctionType{Namespace: "example", Name: "golden"}
	another = statefun.FunctionType{Namespace: "example", Name: "another"}
)

// The requests of testdata/wire. What the function in there does about each message is said in its README.
var wireRequests = map[string]*remote.Request{
	"first-contact":  {Messages: says("count")},
	"no-state-yet":   {State: stored(nil, nil, nil), Messages: says("show", "count", "show")},
	"state":          {State: stored(int32Wire(41), boolWire, textWire("so far")), Messages: says("show", "count", "show")},
	"zero-state":     {State: stored([]byte{}, []byte{}, []byte{}), Messages: says("show")},
	"zero-values":    {State: stored(int32Wire(41), boolWire, nil), Messages: says("zero", "show")},
	"new-state":      {State: stored(int32Wire(41), boolWire, nil)[:1], Messages: says("count")},
	"state-too-many": {State: append(stored(nil, nil, nil), remote.State{Name: "older", Typename: "a/b", Present: true, Value: []byte("x")}), Messages: says("show")},
	"delete":         {State: stored(int32Wire(41), boolWire, textWire("so far")), Messages: says("clear", "show")},
	"delete-absent":  {State: stored(nil, nil, nil), Messages: says("clear")},
	"nothing":        {State: stored(nil, nil, nil), Messages: says("nothing")},
	"sends":          {State: stored(nil, nil, nil), Messages: says("send", "later", "cancel", "egress")},
	"negative-delay": {State: stored(nil, nil, nil), Messages: says("past")},
	"callers": {State: stored(nil, nil, nil), Messages: []remote.Message{
		{Caller: another, CallerID: []byte("Zoë"), Typename: []byte("io.statefun.types/string"), Value: textWire("who")},
		says("who")[0],
		{Caller: golden, CallerID: []byte("Bob"), Typename: []byte("io.statefun.types/string"), Value: textWire("who")},
	}},
	"arguments": {State: stored(nil, nil, nil), Messages: []remote.Message{
		{Typename: []byte("io.statefun.types/string")},
		{Typename: []byte("io.statefun.types/int")},
		{Typename: []byte("io.statefun.types/int"), Value: int32Wire(7)},
		{Typename: []byte("example/own"), Value: []byte("\x00\xff")},
		{Typename: []byte("io.statefun.types/string"), Value: textWire(strings.Repeat("long ", 30))},
	}},
}

// says is messages from an ingress.
func says(texts ...string) (messages []remote.Message) {
	for _, s := range texts {
		messages = append(messages, remote.Message{Typename: []byte("io.statefun.types/string"), Value: textWire(s)})
	}
	return messages
}

// stored is the state of the function; nil is no value.
func stored(count, flag, note []byte) []remote.State {
	return []remote.State{
		{Name: "count", Typename: "io.statefun.types/int", Present: count != nil, Value: count},
		{Name: "flag", Typename: "io.statefun.types/bool", Present: flag != nil, Value: flag},
		{Name: "note", Typename: "io.statefun.types/string", Present: note != nil, Value: note},
	}
}

var boolWire = []byte{0x08, 1}

func int32Wire(v byte) []byte { return []byte{0x0d, v, 0, 0, 0} }

func textWire(s string) []byte { return []byte(str(1, s)) }

// The requests are those bytes, and the SDKs understand them: their replies say so.
func TestWireRequests(t *testing.T) {
	for name, r := range wireRequests {
		r.Target, r.ID = golden, []byte("Bob")
		got, err := AppendRequest(nil, r)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join("testdata", "wire", name+".request.hex")
		if *updateWire {
			writeHex(t, file, got)
		}
		if want := readHex(t, file); !bytes.Equal(got, want) {
			t.Errorf("%s\n%swant\n%s", file, hex.Dump(got), hex.Dump(want))
		}
	}
}

// What both SDKs reply is read as the one text beside them says, or refused with that error. The order of
// state values has no meaning, and the Go SDK has none.
func TestWireReplies(t *testing.T) {
	for name := range wireRequests {
		file := filepath.Join("testdata", "wire", name)
		for _, sdk := range []string{"go", "js"} {
			body := readHex(t, file+"."+sdk+".reply.hex")
			agree(t, body)
			var reply remote.Reply
			err := DecodeReply(body, &reply)
			slices.SortFunc(reply.Missing, func(a, b remote.Spec) int { return strings.Compare(a.Name, b.Name) })
			slices.SortFunc(reply.Mutations, func(a, b remote.Mutation) int { return bytes.Compare(a.Name, b.Name) })
			got := describe(&reply)
			var refused *remote.Error
			if errors.As(err, &refused) {
				got = "refused: " + refused.Err.Error() + "\n"
			}
			if *updateWire && sdk == "go" {
				if err := os.WriteFile(file+".txt", []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if want, err := os.ReadFile(file + ".txt"); err != nil || got != string(want) {
				t.Errorf("%s, %s: %v\n%swant\n%s", name, sdk, err, got, want)
			}
		}
	}
}

func goldenReplies(t testing.TB) (bodies [][]byte) {
	files, err := filepath.Glob("testdata/wire/*.reply.hex")
	if err != nil || len(files) != 2*len(wireRequests) {
		t.Fatalf("%d replies for %d requests: %v", len(files), len(wireRequests), err)
	}
	for _, file := range files {
		bodies = append(bodies, readHex(t, file))
	}
	return bodies
}

func readHex(t testing.TB, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	b, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return b
}

// writeHex writes 32 bytes a line, for diffs.
func writeHex(t testing.TB, file string, b []byte) {
	t.Helper()
	var text strings.Builder
	for len(b) > 0 {
		n := min(32, len(b))
		text.WriteString(hex.EncodeToString(b[:n]) + "\n")
		b = b[n:]
	}
	if err := os.WriteFile(file, []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
