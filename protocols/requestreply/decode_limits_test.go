// SPDX-License-Identifier: Apache-2.0

package requestreply

import (
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/millrace-io/millrace/engine/remote"
	"github.com/millrace-io/millrace/protocols/internal/protocol"
)

// The two things that the generated code reads and this package refuses. A hundred levels of unknown groups
// are more than anybody sends, and the stack for 10000 is not there for the asking. A response that another
// one takes the place of must keep the rules as well, so that reading ends at the first that is broken.
func TestDecodeReplyDiffers(t *testing.T) {
	tests := []struct{ name, body, want string }{
		{
			"groups", strings.Repeat("\x0b", groupsMax+1) + strings.Repeat("\x0c", groupsMax+1),
			"field 1 has groups in groups, more than 100",
		},
		{"both responses", result(message(2, "")) + incomplete(), "outgoing_messages[0].target.namespace, at offset 5: is empty"},
	}
	for _, tt := range tests {
		err := DecodeReply([]byte(tt.body), &remote.Reply{})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
		var from protocol.FromFunction
		if err := proto.Unmarshal([]byte(tt.body), &from); err != nil {
			t.Errorf("%s: the generated code: %v", tt.name, err)
		}
		if _, err := effectsOf(&from); err != nil {
			t.Errorf("%s: the generated code: %v", tt.name, err)
		}
	}
}

// Memory is taken in proportion to the reply, whatever it says. An element that breaks a rule takes none.
func TestDecodeReplyMemory(t *testing.T) {
	smallest := map[string]string{
		"mutation": result(message(1, str(2, "n"))),
		"message":  result(message(2, message(1, str(1, "a")+str(2, "b")+str(3, "c")))),
		"cancel":   result(message(3, integer(10, 1)+str(11, "x"))),
		"egress":   result(message(4, str(1, "a")+str(2, "b"))),
		"missing":  incomplete(message(1, str(1, "n"))),
	}
	for name, one := range smallest {
		body := []byte(strings.Repeat(one, 10000)) // Merged.
		var reply remote.Reply
		if err := DecodeReply(body, &reply); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if most := 24 * 10000 * (len(one) - 3) * 5 / 4; heldBytes(&reply) > most { // A list grows by a quarter.
			t.Errorf("%s: %d bytes for %d, at most %d", name, heldBytes(&reply), len(body), most)
		}
	}
	for _, number := range []protowire.Number{1, 2, 3, 4} {
		var reply remote.Reply
		err := DecodeReply([]byte(result(strings.Repeat(message(number, ""), 100000))), &reply)
		if err == nil || heldBytes(&reply) != 0 {
			t.Errorf("list %d: %v, %d bytes", number, err, heldBytes(&reply))
		}
	}
}

func TestDecodeReplyEffectsMax(t *testing.T) {
	for _, wrap := range []func(...string) string{result, incomplete} {
		atBound := wrap(strings.Repeat(integer(9, 1), EffectsMax))
		if err := DecodeReply([]byte(atBound), &remote.Reply{}); err != nil {
			t.Errorf("at the bound: %v", err)
		}
		reply := used()
		err := DecodeReply([]byte(atBound+wrap(integer(9, 1))), reply)
		var refused *remote.Error
		if !errors.As(err, &refused) || refused.Reason != remote.TooLarge || !strings.Contains(err.Error(), "more than 65536 effects") {
			t.Errorf("beyond it: %v", err)
		}
		if describe(reply) != "" {
			t.Errorf("beyond it:\n%s", describe(reply))
		}
	}
}

func TestDecodeReplyAllocatesNothing(t *testing.T) {
	body := bigReply(100)
	var reply remote.Reply
	allocs := testing.AllocsPerRun(100, func() {
		if err := DecodeReply(body, &reply); err != nil {
			t.Fatal(err)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

// used is a reply that has been used before, for each of its lists.
func used() *remote.Reply {
	var reply remote.Reply
	for _, body := range []string{incomplete(message(1, str(1, "n"))), string(bigReply(3))} {
		if err := DecodeReply([]byte(body), &reply); err != nil {
			panic(err)
		}
	}
	return &reply
}

// bigReply has an effect of each kind for so many messages.
func bigReply(messages int) []byte {
	payload := &protocol.TypedValue{Typename: "io.statefun.types/string", HasValue: true, Value: []byte("fifty bytes or so, as in the requests next door...")}
	target := &protocol.Address{Namespace: "shop", Type: "checker", Id: "checker-17"}
	r := &protocol.FromFunction_InvocationResponse{StateMutations: []*protocol.FromFunction_PersistedValueMutation{
		{MutationType: protocol.FromFunction_PersistedValueMutation_MODIFY, StateName: "seen", StateValue: payload},
		{StateName: "gone"},
	}}
	for i := range messages {
		r.OutgoingMessages = append(r.OutgoingMessages, &protocol.FromFunction_Invocation{Target: target, Argument: payload})
		switch i % 3 {
		case 0:
			r.DelayedInvocations = append(r.DelayedInvocations, &protocol.FromFunction_DelayedInvocation{
				DelayInMs: 1000, Target: target, Argument: payload, CancellationToken: "token-17",
			})
		case 1:
			r.DelayedInvocations = append(r.DelayedInvocations, &protocol.FromFunction_DelayedInvocation{
				IsCancellationRequest: true, CancellationToken: "token-17",
			})
		case 2:
			r.OutgoingEgresses = append(r.OutgoingEgresses, &protocol.FromFunction_EgressMessage{
				EgressNamespace: "shop", EgressType: "orders", Argument: payload,
			})
		}
	}
	body, err := marshal(&protocol.FromFunction{Response: &protocol.FromFunction_InvocationResult{InvocationResult: r}})
	if err != nil {
		panic(err)
	}
	return body
}
