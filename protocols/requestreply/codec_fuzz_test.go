// SPDX-License-Identifier: Apache-2.0

package requestreply

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/millrace-io/millrace/engine/remote"
	"github.com/millrace-io/millrace/engine/statefun"
	"github.com/millrace-io/millrace/protocols/internal/protocol"
)

// Any bytes are read as the generated code reads them, under the same rules, or refused by both.
func FuzzDecodeReply(f *testing.F) {
	f.Add([]byte(result(send+send) + incomplete(message(1, str(1, "n")+message(2, integer(1, 2)+integer(2, 9))))))
	f.Add([]byte(result(message(1, integer(1, 1)+str(2, "n")+message(3, ten)) + group(9, group(1)))))
	f.Add(bigReply(3))
	for _, body := range goldenReplies(f) {
		f.Add(body)
	}
	f.Fuzz(agree)
}

// agree compares DecodeReply with the generated code. They differ where TestDecodeReplyDiffers says, and by
// EffectsMax, which no fuzz input reaches.
func agree(t *testing.T, body []byte) {
	t.Helper()
	before := bytes.Clone(body)
	var reply remote.Reply
	err := DecodeReply(body, &reply)

	// An element takes 5 bytes and up to 24 times its bytes; a list that grows has up to twice as much.
	if held := heldBytes(&reply); held > 50*len(body) {
		t.Fatalf("%d bytes of memory for %d", held, len(body))
	}
	if !bytes.Equal(body, before) || !borrowed(&reply, body) {
		t.Fatal("the reply is not borrowed from the body, or the body has changed")
	}

	var from protocol.FromFunction
	wantErr := proto.Unmarshal(body, &from)
	var want remote.Reply
	if wantErr == nil {
		want, wantErr = effectsOf(&from)
	}
	switch {
	case err != nil && wantErr == nil && (strings.Contains(err.Error(), "groups in groups") || hasBothResponses(body)):
	case (err == nil) != (wantErr == nil):
		t.Fatalf("%v; the generated code: %v\n%s", err, wantErr, hex.Dump(body))
	case err == nil && describe(&reply) != describe(&want):
		t.Fatalf("%s\nthe generated code:\n%s", describe(&reply), describe(&want))
	case err != nil && describe(&reply) != "":
		t.Fatalf("refused, and\n%s", describe(&reply))
	}
}

func hasBothResponses(body []byte) bool {
	var invocationResult, incompleteContext bool
	for len(body) > 0 {
		number, wire, n := protowire.ConsumeField(body)
		if n < 0 {
			return false
		}
		invocationResult = invocationResult || number == 100 && wire == protowire.BytesType
		incompleteContext = incompleteContext || number == 101 && wire == protowire.BytesType
		body = body[n:]
	}
	return invocationResult && incompleteContext
}

// Any request is written as the generated code writes it, and read back by it, or refused by both.
func FuzzAppendRequest(f *testing.F) {
	f.Add([]byte("\x04shop\x04cart\x017" +
		"\x02" + "\x05count\x01\x03int\x01\x09" + "\x04note\x00\x00\x00" +
		"\x02" + "\x00\x00\x06string\x02hi" + "\x03\x01\x04shop\x07checker\x01x\x03int\x00"))
	f.Add([]byte("\x00\x00\x00\x01\x02\xff\xfe"))
	f.Add(bytes.Repeat([]byte("\x20"), 500))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := requestFrom(in)
		got, err := AppendRequest([]byte("before"), r)
		want, wantErr := marshal(requestOf(r))
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%v; the generated code: %v", err, wantErr)
		}
		if err != nil {
			if string(got) != "before" {
				t.Fatalf("refused, and wrote %q", got)
			}
			return
		}
		got = bytes.TrimPrefix(got, []byte("before"))
		if !bytes.Equal(got, want) || RequestBytes(r) != len(want) {
			t.Fatalf("%d bytes\n%sthe generated code:\n%s", RequestBytes(r), hex.Dump(got), hex.Dump(want))
		}
		var back protocol.ToFunction
		if err := proto.Unmarshal(got, &back); err != nil || !proto.Equal(&back, requestOf(r)) {
			t.Fatalf("%v: read back as %v", err, &back)
		}
	})
}

// requestFrom makes a request of any bytes: strings behind their lengths, counts, flags.
func requestFrom(in []byte) *remote.Request {
	next := func() int {
		if len(in) == 0 {
			return 0
		}
		n := in[0]
		in = in[1:]
		return int(n)
	}
	text := func() []byte {
		n := min(next(), len(in))
		s := in[:n]
		in = in[n:]
		return s
	}
	functionType := func() statefun.FunctionType {
		return statefun.FunctionType{Namespace: string(text()), Name: string(text())}
	}
	r := &remote.Request{Target: functionType(), ID: text()}
	for range next() % 16 {
		r.State = append(r.State, remote.State{
			Name: string(text()), Present: next()%2 == 1, Typename: string(text()), Value: text(),
		})
	}
	for range next() {
		m := remote.Message{Absent: next()%4 == 3}
		if next()%2 == 1 {
			m.Caller, m.CallerID = functionType(), text()
		}
		m.Typename, m.Value = text(), text()
		r.Messages = append(r.Messages, m)
	}
	return r
}
