// SPDX-License-Identifier: Apache-2.0

package checkpoint

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/millrace-io/millrace/engine/internal/clock"
	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/statefun"
)

// codec is a form of bytes: how it is written and read, the example of docs/formats/entries.md, and what else
// may be written in it.
type codec struct {
	block   string
	example any
	draw    func(t *rapid.T) any
	write   func(dst []byte, v any) []byte
	read    func(b []byte) (any, error)
}

// Keys, as one value each.
type (
	addressKey struct {
		fn envelope.Function
		id []byte
	}
	messageKey struct {
		addressKey
		number uint64
	}
	keyKey struct {
		addressKey
		key []byte
	}
	recordKey struct {
		epoch statefun.Epoch
		index uint64
	}
)

// codecs are listed for good: the seeds of FuzzCodecs name them by their place.
var codecs = []codec{
	{
		block:   "message-key",
		example: messageKey{addressKey{300, []byte("Bob")}, 5},
		draw:    func(t *rapid.T) any { return messageKey{drawAddress(t), rapid.Uint64().Draw(t, "number")} },
		write: func(dst []byte, v any) []byte {
			k := v.(messageKey)
			return AppendMessageKey(dst, k.fn, k.id, k.number)
		},
		read: func(b []byte) (any, error) {
			fn, id, number, err := ParseMessageKey(b)
			return messageKey{addressKey{fn, id}, number}, err
		},
	},
	{
		block: "message",
		example: Message{
			HasCaller: true, Caller: 1, CallerID: []byte("Al"), Typename: []byte("shop/Item"), Value: []byte("tea"),
		},
		draw:  func(t *rapid.T) any { return drawMessage(t) },
		write: func(dst []byte, v any) []byte { m := v.(Message); return append(AppendMessage(dst, &m), m.Value...) },
		read:  func(b []byte) (any, error) { return ParseMessage(b) },
	},
	{
		block:   "suspended-key",
		example: addressKey{300, []byte("Bob")},
		draw:    func(t *rapid.T) any { return drawAddress(t) },
		write:   func(dst []byte, v any) []byte { k := v.(addressKey); return AppendSuspendedKey(dst, k.fn, k.id) },
		read: func(b []byte) (any, error) {
			fn, id, err := ParseSuspendedKey(b)
			return addressKey{fn, id}, err
		},
	},
	{
		block:   "delayed-key",
		example: uint64(258),
		draw:    func(t *rapid.T) any { return rapid.Uint64().Draw(t, "token") },
		write:   func(dst []byte, v any) []byte { return AppendDelayedKey(dst, v.(uint64)) },
		read:    func(b []byte) (any, error) { return ParseDelayedKey(b) },
	},
	{
		block: "delayed",
		example: Delayed{
			Due: 1_000, Function: 2, ID: []byte("Bob"), Name: []byte("n1"),
			Message: Message{HasCaller: true, Caller: 1, CallerID: []byte("Al"), Typename: []byte("shop/Item"), Absent: true},
		},
		draw: func(t *rapid.T) any {
			to := drawAddress(t)
			return Delayed{
				Due: clock.Instant(rapid.Int64().Draw(t, "due")), Function: to.fn, ID: to.id,
				Name: text(0, 300).Draw(t, "name"), Message: drawMessage(t),
			}
		},
		write: func(dst []byte, v any) []byte { d := v.(Delayed); return append(AppendDelayed(dst, &d), d.Value...) },
		read:  func(b []byte) (any, error) { return ParseDelayed(b) },
	},
	{
		block:   "idempotency-key",
		example: keyKey{addressKey{300, []byte("Bob")}, []byte("k-1")},
		draw:    func(t *rapid.T) any { return keyKey{drawAddress(t), text(1, 255).Draw(t, "key")} },
		write:   func(dst []byte, v any) []byte { k := v.(keyKey); return AppendKeyKey(dst, k.fn, k.id, k.key) },
		read: func(b []byte) (any, error) {
			fn, id, key, err := ParseKeyKey(b)
			return keyKey{addressKey{fn, id}, key}, err
		},
	},
	{
		block: "idempotency",
		example: Key{
			Expires: 1_000, Body: [16]byte([]byte("a digest, of 128")), Caller: []byte("00f-3"),
			Answered: true, Typename: []byte("shop/Item"), Value: []byte("tea"),
		},
		draw: func(t *rapid.T) any {
			k := Key{
				Expires: clock.Instant(rapid.Int64().Draw(t, "expires")), Caller: text(0, 300).Draw(t, "caller"),
				Answered: rapid.Bool().Draw(t, "answered"),
			}
			copy(k.Body[:], text(16, 16).Draw(t, "body"))
			if k.Answered {
				k.Typename, k.Absent, k.Value = drawValue(t)
			}
			return k
		},
		write: func(dst []byte, v any) []byte { k := v.(Key); return AppendKey(dst, &k) },
		read:  func(b []byte) (any, error) { return ParseKey(b) },
	},
	{
		block:   "record-key",
		example: recordKey{41, 7},
		draw: func(t *rapid.T) any {
			return recordKey{statefun.Epoch(rapid.Uint64().Draw(t, "epoch")), rapid.Uint64().Draw(t, "index")}
		},
		write: func(dst []byte, v any) []byte { k := v.(recordKey); return AppendRecordKey(dst, k.epoch, k.index) },
		read: func(b []byte) (any, error) {
			epoch, index, err := ParseRecordKey(b)
			return recordKey{epoch, index}, err
		},
	},
	{
		block: "record",
		example: Record{
			Egress: []byte("shop/out"), Sender: 300, SenderID: []byte("Bob"), Typename: []byte("shop/Item"), Value: []byte("tea"),
		},
		draw: func(t *rapid.T) any {
			from := drawAddress(t)
			rec := Record{Egress: text(0, 300).Draw(t, "egress"), Sender: from.fn, SenderID: from.id}
			rec.Typename, rec.Absent, rec.Value = drawValue(t)
			return rec
		},
		write: func(dst []byte, v any) []byte { rec := v.(Record); return AppendRecord(dst, &rec) },
		read:  func(b []byte) (any, error) { return ParseRecord(b) },
	},
}

func text(least, most int) *rapid.Generator[[]byte] { return rapid.SliceOfN(rapid.Byte(), least, most) }

func drawAddress(t *rapid.T) addressKey {
	numbers := rapid.OneOf(rapid.Uint16(), rapid.SampledFrom([]uint16{0, 127, 128, 1<<14 - 1, 1 << 14, 1<<16 - 1}))
	ids := rapid.OneOf(text(1, 40), rapid.Just(bytes.Repeat([]byte("i"), statefun.IDBytesMax)))
	return addressKey{envelope.Function(numbers.Draw(t, "function")), ids.Draw(t, "id")}
}

func drawMessage(t *rapid.T) (m Message) {
	if m.HasCaller = rapid.Bool().Draw(t, "a caller"); m.HasCaller {
		from := drawAddress(t)
		m.Caller, m.CallerID = from.fn, from.id
	}
	m.Typename, m.Absent, m.Value = drawValue(t)
	return m
}

func drawValue(t *rapid.T) (typename []byte, absent bool, value []byte) {
	typename = rapid.OneOf(text(0, 30), text(statefun.TypenameBytesMax, statefun.TypenameBytesMax)).Draw(t, "typename")
	if absent = rapid.Bool().Draw(t, "absent"); !absent {
		value = rapid.OneOf(text(0, 20), rapid.Just(make([]byte, 70_000))).Draw(t, "value")
	}
	return typename, absent, value
}

// same compares what was read with what was written: no bytes are no bytes, in whatever slice.
func same(a, b any) bool { return fmt.Sprintf("%+v", a) == fmt.Sprintf("%+v", b) }

// The documented examples and the code agree, both ways; a format that has been released never changes.
func TestCodecsDocumented(t *testing.T) {
	for _, c := range codecs {
		t.Run(c.block, func(t *testing.T) {
			want := documented(t, c.block)
			if got := c.write(nil, c.example); !bytes.Equal(got, want) {
				t.Errorf("written\n%swant\n%s", hex.Dump(got), hex.Dump(want))
			}
			if got, err := c.read(want); !same(got, c.example) || err != nil {
				t.Errorf("read %+v, %v; want %+v", got, err, c.example)
			}
		})
	}
}

// What is written is read back, whatever it is written behind, and a piece of it never reads as the whole.
func TestCodecsRoundTrip(t *testing.T) {
	for _, c := range codecs {
		t.Run(c.block, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				v, head := c.draw(t), text(0, 5).Draw(t, "what is in front")
				b := c.write(slices.Clone(head), v)
				if !bytes.HasPrefix(b, head) {
					t.Fatalf("%x was changed to %x", head, b)
				}
				b = b[len(head):]
				if got, err := c.read(b); !same(got, v) || err != nil {
					t.Fatalf("read %+v, %v; want %+v", got, err, v)
				}
				cut := rapid.IntRange(0, len(b)-1).Draw(t, "cut")
				if got, err := c.read(b[:cut]); err == nil && same(got, v) {
					t.Fatalf("%d of %d bytes are read as the whole", cut, len(b))
				}
			})
		})
	}
}

// Messages at an address lie in the order of their arrival (P9), records in that in which they leave (P35): a
// backend that keeps keys in order keeps these orders.
func TestKeysInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		numbers := rapid.OneOf(rapid.Uint64(), rapid.Uint64Range(0, 300))
		a, b, to := numbers.Draw(t, "a"), numbers.Draw(t, "b"), drawAddress(t)
		first, second := AppendMessageKey(nil, to.fn, to.id, a), AppendMessageKey(nil, to.fn, to.id, b)
		if bytes.Compare(first, second) != cmp.Compare(a, b) {
			t.Errorf("messages %d and %d lie in another order", a, b)
		}
		c, d := numbers.Draw(t, "c"), numbers.Draw(t, "d")
		first, second = AppendRecordKey(nil, statefun.Epoch(a), c), AppendRecordKey(nil, statefun.Epoch(b), d)
		if bytes.Compare(first, second) != cmp.Or(cmp.Compare(a, b), cmp.Compare(c, d)) {
			t.Errorf("records %d %d and %d %d lie in another order", a, c, b, d)
		}
	})
}

// The first byte of every key says what its entry is.
func TestKinds(t *testing.T) {
	tests := []struct {
		key  []byte
		want byte
	}{
		{nil, 0},
		{AppendStateKey(nil, 1, []byte("a")), KindState},
		{AppendMessageKey(nil, 1, []byte("a"), 1), KindMessage},
		{AppendSuspendedKey(nil, 1, []byte("a")), KindSuspended},
		{AppendDelayedKey(nil, 1), KindDelayed},
		{AppendKeyKey(nil, 1, []byte("a"), []byte("k")), KindKey},
		{AppendRecordKey(nil, 1, 1), KindRecord},
	}
	for i, tt := range tests {
		if got := KindOf(tt.key); got != tt.want || int(got) != i {
			t.Errorf("%x is of kind %d; want %d", tt.key, got, tt.want)
		}
	}
}

// What is not what it should be is refused, with the place.
func TestCodecsRefuse(t *testing.T) {
	const stamp, digest = "\x00\x00\x00\x00\x00\x00\x00\x00", "0123456789abcdef"
	tests := []struct{ block, name, bytes, want string }{
		{"message-key", "another kind", "\x01\x00\x01a" + stamp, "message key: at offset 0 of 12"},
		{"message-key", "nothing", "", "offset 0 of 0"},
		{"message-key", "a function too many", "\x02\x80\x80\x04\x01a" + stamp, "offset 1"},
		{"message-key", "no id", "\x02\x00\x00" + stamp, "offset 3"},
		{"message-key", "an id that is too long", "\x02\x00\x81\x20" + strings.Repeat("a", 4097) + stamp, "offset 2"},
		{"message-key", "half a number", "\x02\x00\x01a" + stamp[1:], "offset 4"},
		{"message-key", "a byte too many", "\x02\x00\x01a" + stamp + "x", "offset 12 of 13"},
		{"message", "nothing", "", "message: at offset 0 of 0"},
		{"message", "a flag that nobody knows", "\x04\x00", "offset 0"},
		{"message", "a caller without id", "\x01\x00\x00\x00", "offset 3"},
		{"message", "a typename that is too long", "\x00\x80\x04" + strings.Repeat("a", 512), "offset 1"},
		{"message", "half a typename", "\x00\x03ab", "offset 1"},
		{"message", "absent, with a value", "\x02\x01ab", "offset 3"},
		{"suspended-key", "another kind", "\x02\x00a", "suspended key: at offset 0"},
		{"suspended-key", "no id", "\x03\x00", "offset 2"},
		{"suspended-key", "an id that is too long", "\x03\x00" + strings.Repeat("a", 4097), "suspended key"},
		{"delayed-key", "another kind", "\x01" + stamp, "delayed key: at offset 0"},
		{"delayed-key", "half a token", "\x04" + stamp[1:], "offset 1"},
		{"delayed-key", "a byte too many", "\x04" + stamp + "x", "offset 9"},
		{"delayed", "half a time", stamp[1:], "delayed message: at offset 0"},
		{"delayed", "no id", stamp + "\x00\x00\x00\x00\x00", "offset 10"},
		{"delayed", "half a name", stamp + "\x00\x01a\x05b", "offset 11"},
		{"delayed", "no message", stamp + "\x00\x01a\x00", "offset 12"},
		{"idempotency-key", "another kind", "\x01\x00\x01ak", "idempotency key: at offset 0"},
		{"idempotency-key", "no key", "\x05\x00\x01a", "offset 4 of 4"},
		{"idempotency", "half a digest", stamp + digest[1:], "offset 8"},
		{"idempotency", "a flag that nobody knows", stamp + digest + "\x04\x00\x00", "offset 24"},
		{"idempotency", "no answer, with a typename", stamp + digest + "\x00\x00\x01a", "offset 28"},
		{"idempotency", "no answer, with a value", stamp + digest + "\x00\x00\x00a", "offset 27"},
		{"idempotency", "no answer, which is absent", stamp + digest + "\x02\x00\x00", "offset 27"},
		{"idempotency", "an answer that is absent, with a value", stamp + digest + "\x03\x00\x00a", "offset 27"},
		{"record-key", "another kind", "\x01" + stamp + stamp, "record key: at offset 0"},
		{"record-key", "half an index", "\x06" + stamp + stamp[1:], "offset 9"},
		{"record-key", "a byte too many", "\x06" + stamp + stamp + "x", "offset 17"},
		{"record", "a flag that nobody knows", "\x02\x00\x00\x01a\x00", "egress record: at offset 0"},
		{"record", "no sender", "\x00\x00\x00\x00\x00", "offset 4"},
		{"record", "absent, with a value", "\x01\x00\x00\x01a\x00b", "offset 6"},
	}
	for _, tt := range tests {
		t.Run(tt.block+"/"+tt.name, func(t *testing.T) {
			i := slices.IndexFunc(codecs, func(c codec) bool { return c.block == tt.block })
			v, err := codecs[i].read([]byte(tt.bytes))
			if !errors.Is(err, ErrEntry) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("read %+v, %v; want %q", v, err, tt.want)
			}
		})
	}
}
