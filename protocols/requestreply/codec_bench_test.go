// SPDX-License-Identifier: Apache-2.0

package requestreply

import (
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/millrace-io/millrace/engine/remote"
	"github.com/millrace-io/millrace/protocols/internal/protocol"
)

// One request with two state values and so many messages of 50 bytes, half of them from functions.
func BenchmarkAppendRequest(b *testing.B) {
	for _, messages := range []int{1, 10, 100, 1000} {
		r := bigRequest(2, messages, 50)
		dst := make([]byte, 0, RequestBytes(r))
		b.Run(fmt.Sprintf("messages=%d", messages), func(b *testing.B) {
			b.SetBytes(int64(RequestBytes(r)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := AppendRequest(dst, r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// One reply with two mutations and, for each of so many messages, a send and a delayed send, a
// cancellation or an egress. The generated code is measured beside it, without the rules.
func BenchmarkDecodeReply(b *testing.B) {
	for _, messages := range []int{1, 10, 100, 1000} {
		body := bigReply(messages)
		b.Run(fmt.Sprintf("messages=%d", messages), func(b *testing.B) {
			var reply remote.Reply
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if err := DecodeReply(body, &reply); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("messages=%d/generated", messages), func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				var from protocol.FromFunction
				if err := proto.Unmarshal(body, &from); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
