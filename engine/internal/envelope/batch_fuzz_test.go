// SPDX-License-Identifier: Apache-2.0

package envelope

import (
	"encoding/binary"
	"testing"

	"github.com/millrace-io/millrace/engine/statefun"
)

// FuzzBatch reads messages from data and demands of them what TestBatchRoundTrip demands.
//
// A message is: what it is and whether it has a caller (1 byte), the lengths of id, value and typename
// (2 bytes each, little-endian), and the byte that all of them are filled with.
func FuzzBatch(f *testing.F) {
	message8 := func(kind byte, id, value, typename uint16, fill byte) []byte {
		b := []byte{kind}
		b = binary.LittleEndian.AppendUint16(b, id)
		b = binary.LittleEndian.AppendUint16(b, value)
		b = binary.LittleEndian.AppendUint16(b, typename)
		return append(b, fill)
	}
	f.Add([]byte{})
	f.Add(message8(byte(payloadWire), 16, 24, 0, 1))
	f.Add(message8(byte(payloadWire)|0x80, 17, 25, 0, 2))
	f.Add(message8(byte(payloadNamed), 1, 100, 200, 3))
	f.Add(append(message8(byte(payloadMemory)|0x80, 4096, 25, 0, 4), message8(byte(payloadMemory)|0x80, 3, 33, 0, 5)...))
	f.Add(append(message8(byte(payloadResume), 40, 0, 0, 6), message8(byte(payloadNone), 15, 0, 0, 0)...))

	f.Fuzz(func(t *testing.T, data []byte) {
		var messages []message
		var last *caller
		for ; len(data) >= 8 && len(messages) < 16; data = data[8:] {
			fill := func(n int) []byte {
				b := make([]byte, n)
				for i := range b {
					b[i] = data[7] + byte(i)
				}
				return b
			}
			length := func(at, most int) int { return int(binary.LittleEndian.Uint16(data[at:])) % (most + 1) }
			m := message{
				fn: Function(data[7]), input: Input(data[1]), hash: uint64(data[3]) << 33,
				id: string(fill(1 + length(1, statefun.IDBytesMax-1))), payload: payload(data[0]&0x7f) % payloads,
			}
			switch m.payload {
			case payloadNamed:
				m.input, m.typename, m.value = Untyped, string(fill(length(5, 511))), fill(length(3, 1<<12))
			case payloadWire, payloadMemory:
				m.value = fill(length(3, 1<<12))
			case payloadResume, payloadSkip:
				m.input = Untyped
			}
			if data[0]&0x80 != 0 && !m.control() {
				if last == nil || data[7]%2 == 0 {
					last = &caller{Function(data[3]) << 8, string(fill(length(5, statefun.IDBytesMax)))}
				}
				m.caller = last
			}
			messages = append(messages, m)
		}
		roundTrip(t, New(1), messages)
	})
}
