// SPDX-License-Identifier: Apache-2.0

package requestreply

import (
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/millrace-io/millrace/engine/remote"
)

// The builders of replies by hand. Fields follow each other: join them with +.
func message(number protowire.Number, fields ...string) string {
	b := protowire.AppendTag(nil, number, protowire.BytesType)
	return string(protowire.AppendBytes(b, []byte(strings.Join(fields, ""))))
}

func str(number protowire.Number, s string) string { return message(number, s) }

func integer(number protowire.Number, v int64) string {
	b := protowire.AppendTag(nil, number, protowire.VarintType)
	return string(protowire.AppendVarint(b, uint64(v)))
}

func group(number protowire.Number, fields ...string) string {
	b := protowire.AppendTag(nil, number, protowire.StartGroupType)
	b = append(b, strings.Join(fields, "")...)
	return string(protowire.AppendTag(b, number, protowire.EndGroupType))
}

func result(fields ...string) string     { return message(100, fields...) }
func incomplete(fields ...string) string { return message(101, fields...) }

var (
	bob  = str(1, "shop") + str(2, "cart") + str(3, "bob")
	ten  = str(1, "t") + integer(2, 1) + str(3, "10")
	send = message(2, message(1, bob)+message(2, ten))
)

const sent = "message \"shop\" \"cart\" \"bob\": \"t\" \"10\"\n"

func TestDecodeReply(t *testing.T) {
	tests := []struct {
		name string
		body string
		want string // As describe writes it.
	}{
		{"nothing", "", ""},
		{"neither response", integer(1, 5) + str(99, "x"), ""},
		{"no effects", result(), ""},

		{"a message", result(send), sent},
		{
			"messages in order", result(send + message(2, message(1, str(1, "a")+str(2, "b")+str(3, "c"))) + send),
			sent + "message \"a\" \"b\" \"c\": \"\" \"\" absent\n" + sent,
		},
		{
			"a value of no bytes", result(message(2, message(1, bob)+message(2, str(1, "t")+integer(2, 1)))),
			"message \"shop\" \"cart\" \"bob\": \"t\" \"\"\n",
		},
		{
			"no value", result(message(2, message(1, bob)+message(2, str(1, "t")))),
			"message \"shop\" \"cart\" \"bob\": \"t\" \"\" absent\n",
		},
		{
			"bytes beside no value are passed on", result(message(2, message(1, bob)+message(2, str(3, "v")))),
			"message \"shop\" \"cart\" \"bob\": \"\" \"v\" absent\n",
		},
		{"fields in another order", result(message(2, message(2, str(3, "10")+integer(2, 1)+str(1, "t"))+message(1, bob))), sent},
		{"has_value is true if not 0", result(message(2, message(1, bob)+message(2, str(1, "t")+integer(2, -7)+str(3, "10")))), sent},

		{
			"a message later", result(message(3, integer(1, 1500)+message(2, bob)+message(3, ten))),
			"after 1500 ms, token \"\", message \"shop\" \"cart\" \"bob\": \"t\" \"10\"\n",
		},
		{
			"with a token", result(message(3, integer(1, 1)+message(2, bob)+str(11, "x"))),
			"after 1 ms, token \"x\", message \"shop\" \"cart\" \"bob\": \"\" \"\" absent\n",
		},
		{
			"at once", result(message(3, message(2, bob))),
			"after 0 ms, token \"\", message \"shop\" \"cart\" \"bob\": \"\" \"\" absent\n",
		},
		{
			"a cancellation, whatever else it has", result(message(3, integer(1, -5)+message(2, str(1, "a"))+integer(10, 1)+str(11, "x"))),
			"cancel \"x\"\n",
		},
		{
			"sends and cancellations in order", result(message(3, message(2, bob)+str(11, "x")) + message(3, integer(10, 1)+str(11, "x")) +
				message(3, integer(10, 0)+integer(1, 2)+message(2, bob)+str(11, "x"))),
			"after 0 ms, token \"x\", message \"shop\" \"cart\" \"bob\": \"\" \"\" absent\ncancel \"x\"\n" +
				"after 2 ms, token \"x\", message \"shop\" \"cart\" \"bob\": \"\" \"\" absent\n",
		},

		{"an egress", result(message(4, str(1, "a")+str(2, "out")+message(3, ten))), "egress \"a\" \"out\": \"t\" \"10\"\n"},

		{"a state value", result(message(1, integer(1, 1)+str(2, "n")+message(3, ten))), "set \"n\": \"t\" \"10\"\n"},
		{
			"has_value of a state value does not matter", result(message(1, integer(1, 1)+str(2, "n")+message(3, str(1, "t")+integer(2, 0)+str(3, "10")))),
			"set \"n\": \"t\" \"10\"\n",
		},
		{"a state value of no bytes", result(message(1, integer(1, 1)+str(2, "n")+message(3, str(1, "t")))), "set \"n\": \"t\" \"\"\n"},
		{"no state value", result(message(1, integer(1, 1)+str(2, "n"))), "set \"n\": \"\" \"\"\n"},
		{"DELETE by omission", result(message(1, str(2, "n"))), "delete \"n\"\n"},
		{"DELETE, with a value", result(message(1, integer(1, 0)+str(2, "n")+message(3, ten))), "delete \"n\"\n"},
		{"an enum has 32 bits", result(message(1, integer(1, 1<<32|1)+str(2, "n"))), "set \"n\": \"\" \"\"\n"},

		{"nothing missing", incomplete(), "incomplete\n"},
		{
			"missing", incomplete(message(1, str(1, "n")+str(3, "io.statefun.types/int"))),
			"incomplete\nmissing \"n\": type \"io.statefun.types/int\", expiry 0, 0 ms\n",
		},
		{
			"missing, of no type", incomplete(message(1, str(1, "n"))),
			"incomplete\nmissing \"n\": type \"io.statefun.types/unset\", expiry 0, 0 ms\n",
		},
		{"no expiry", incomplete(message(1, str(1, "n")+message(2, "")+str(3, "t"))), "incomplete\nmissing \"n\": type \"t\", expiry 0, 0 ms\n"},
		{"no expiry, with a time", incomplete(message(1, str(1, "n")+message(2, integer(2, 9))+str(3, "t"))), "incomplete\nmissing \"n\": type \"t\", expiry 0, 0 ms\n"},
		{"after writing", incomplete(message(1, str(1, "n")+message(2, integer(1, 1)+integer(2, 9))+str(3, "t"))), "incomplete\nmissing \"n\": type \"t\", expiry 1, 9 ms\n"},
		{"after calls", incomplete(message(1, str(1, "n")+message(2, integer(1, 2)+integer(2, 9))+str(3, "t"))), "incomplete\nmissing \"n\": type \"t\", expiry 2, 9 ms\n"},

		{"the same response again is merged", result(send) + result(message(1, str(2, "n"))+send), sent + sent + "delete \"n\"\n"},
		{"the last response counts", result(send) + incomplete(), "incomplete\n"},
		{"and then a new one", incomplete(message(1, str(1, "n"))) + result(send) + incomplete() + result(), ""},
		{"an address twice is merged", result(message(2, message(1, str(1, "shop")+str(2, "x"))+message(2, ten)+message(1, str(2, "cart")+str(3, "bob")))), sent},
		{"a value twice is merged", result(message(2, message(1, bob)+message(2, str(1, "t")+str(3, "9"))+message(2, integer(2, 1)+str(3, "10")))), sent},
		{"a string twice: the last", result(message(2, message(1, bob+str(3, "alice")+str(3, "bob"))+message(2, ten))), sent},
		{"an empty string at last", result(message(2, message(1, bob)+message(2, ten+str(1, "")))), "message \"shop\" \"cart\" \"bob\": \"\" \"10\"\n"},
		{"an expiry twice is merged", incomplete(message(1, str(1, "n")+message(2, integer(1, 2))+message(2, integer(2, 9))+str(3, "t"))), "incomplete\nmissing \"n\": type \"t\", expiry 2, 9 ms\n"},

		{"unknown fields", integer(7, 1) + result(str(9, "?")+message(2, group(8, str(1, "?"))+message(1, bob+"\x25\x00\x00\x00\x00")+message(2, ten+"\x39\x00\x00\x00\x00\x00\x00\x00\x00"))) + str(1<<29-1, "?"), sent},
		{"another wire type is an unknown field", integer(100, 1) + group(101) + result(integer(2, 1)+message(2, integer(1, 1)+message(1, bob+integer(3, 1))+message(2, ten+str(2, "")+integer(3, 1)))), sent},
		{"groups in groups", strings.Repeat("\x0b", groupsMax) + strings.Repeat("\x0c", groupsMax) + result(send), sent},
		{"long varints", "\xa2\x86\x80\x80\x80\x80\x80\x80\x80\x00" + "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			reply := used()
			body := []byte(tt.body)
			if err := DecodeReply(body, reply); err != nil {
				t.Fatal(err)
			}
			if got := describe(reply); got != tt.want || reply.Bytes != len(body) || !borrowed(reply, body) {
				t.Errorf("%d bytes, want %d, borrowed: %v\n%swant\n%s", reply.Bytes, len(body), borrowed(reply, body), got, tt.want)
			}
			agree(t, body)
		})
	}
}

func TestDecodeReplyRefuses(t *testing.T) {
	address := func(fields ...string) string { return result(send + message(2, message(1, fields...))) }
	tests := []struct {
		name string
		body string
		want string // Of the error.
	}{
		{"no target", result(message(2, message(2, ten))), "outgoing_messages[0].target.namespace, at offset 5: is empty"},
		{"no namespace", address(str(2, "b"), str(3, "c")), "outgoing_messages[1].target.namespace, at offset 37: is empty"},
		{"no type", address(str(1, "a"), str(3, "c")), "outgoing_messages[1].target.type, at offset 37: is empty"},
		{"no id", address(str(1, "a"), str(2, "b")), "outgoing_messages[1].target.id, at offset 37: is empty"},
		{"no target later", result(message(3, "")), "delayed_invocations[0].target.namespace, at offset 5: is empty"},
		{"in the past", result(message(3, integer(1, -1)+message(2, bob))), "delayed_invocations[0].delay_in_ms, at offset 5: is negative"},
		{"nothing to cancel", result(message(3, integer(10, 1))), "delayed_invocations[0].cancellation_token, at offset 5: is empty, in a cancellation"},
		{"a mutation of no known kind", result(message(1, integer(1, 2)+str(2, "n"))), "state_mutations[0].mutation_type, at offset 5: is neither DELETE nor MODIFY"},
		{"of a negative kind", result(message(1, integer(1, -1)+str(2, "n"))), "state_mutations[0].mutation_type, at offset 5: is neither"},
		{"of no name", result(message(1, "")), "state_mutations[0].state_name, at offset 5: is empty"},
		{"an egress of no namespace", result(message(4, str(2, "a"))), "outgoing_egresses[0].egress_namespace, at offset 5: is empty"},
		{"an egress of no type", result(message(4, str(1, "a"))), "outgoing_egresses[0].egress_type, at offset 5: is empty"},
		{"missing, of no name", incomplete(message(1, "")), "missing_values[0].state_name, at offset 5: is empty"},
		{"of no known expiry", incomplete(message(1, str(1, "n")+message(2, integer(1, 3)+integer(2, 9)))), "missing_values[0].expiration_spec.mode, at offset 5: is none of"},
		{"of a negative one", incomplete(message(1, str(1, "n")+message(2, integer(1, -1)))), "missing_values[0].expiration_spec.mode, at offset 5: is none of"},
		{"without a time", incomplete(message(1, str(1, "n")+message(2, integer(1, 1)))), "missing_values[0].expiration_spec.expire_after_millis, at offset 5: is not positive"},
		{"with a negative one", incomplete(message(1, str(1, "n")+message(2, integer(1, 1)+integer(2, -9)))), "expire_after_millis, at offset 5: is not positive"},
		{"the first of two", result(message(2, "") + message(4, "")), "outgoing_messages[0]"},

		{"not UTF-8", address(str(1, "a\xff")), "outgoing_messages[1].target.namespace, at offset 41: is not valid UTF-8"},
		{"though it does not count", address(bob, str(3, "\xff"), str(3, "x")), "outgoing_messages[1].target.id, at offset"},
		{"nor does its response", result(message(1, str(2, "\xff"))) + incomplete(), "state_mutations[0].state_name, at offset 7: is not valid UTF-8"},
		{"a typename", result(message(2, message(2, str(1, "\xff")))), "outgoing_messages[0].argument.typename, at offset 9"},
		{"a token", result(message(3, str(11, "\xff"))), "delayed_invocations[0].cancellation_token, at offset 7"},
		{"an egress", result(message(4, str(2, "\xff"))), "outgoing_egresses[0].egress_type, at offset 7"},
		{"a state value", result(message(1, message(3, str(1, "\xff")))), "state_mutations[0].state_value.typename, at offset 9"},
		{"a missing one", incomplete(message(1, str(3, "\xff"))), "missing_values[0].type_typename, at offset 7"},

		{"text", "<html>", "reply, at offset 0: field 7 of wire type 4"},
		{"field 0", "\x00\x00", "reply, at offset 0: malformed tag"},
		{"a field number of 30 bits", "\x80\x80\x80\x80\x10\x00", "reply, at offset 0: malformed tag"},
		{"no tag", integer(1, 1) + "\xff", "reply, at offset 2: malformed tag"},
		{"a tag of 11 bytes", "\x88\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00\x01", "reply, at offset 0: malformed tag"},
		{"a varint of 11 bytes", "\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", "reply, at offset 0: field 1 of wire type 0"},
		{"a varint of 65 bits", "\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x02", "reply, at offset 0: field 1 of wire type 0"},
		{"cut off", result(send)[:20], "reply, at offset 0: field 100 of wire type 2"},
		{"cut off inside", result(send[:len(send)-1]), "reply, at offset 3: field 2 of wire type 2"},
		{"a length of 2^63", "\xa2\x06\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "reply, at offset 0: field 100 of wire type 2"},
		{"a length of 2^64-1", "\xa2\x06\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "reply, at offset 0: field 100 of wire type 2"},
		{"wire type 6", "\x0e", "reply, at offset 0: field 1 of wire type 6"},
		{"an end without a group", "\x0c", "reply, at offset 0: field 1 of wire type 4"},
		{"a group without an end", "\x0b\x08\x01", "reply, at offset 0: field 1 of wire type 3"},
		{"the end of another group", "\x0b\x14", "reply, at offset 0: field 1 of wire type 3"},
		{"an end beyond the message", result("\x0b") + "\x0c", "reply, at offset 3: field 1 of wire type 3"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			reply := used()
			err := DecodeReply([]byte(tt.body), reply)
			var refused *remote.Error
			if !errors.As(err, &refused) || refused.Reason != remote.Broken || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("%v, want %s", err, tt.want)
			}
			if got := describe(reply); got != "" || reply.Bytes != 0 {
				t.Errorf("%d bytes of\n%s", reply.Bytes, got)
			}
			agree(t, []byte(tt.body))
		})
	}
}
