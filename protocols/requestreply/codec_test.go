// SPDX-License-Identifier: Apache-2.0

package requestreply

import (
	"fmt"
	"strings"
	"unsafe"

	"google.golang.org/protobuf/proto"

	"github.com/millrace-io/millrace/engine/remote"
	"github.com/millrace-io/millrace/engine/statefun"
	"github.com/millrace-io/millrace/protocols/internal/protocol"
)

// describe writes a reply down, one effect a line, so that replies can be compared and read.
func describe(r *remote.Reply) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	if r.Incomplete {
		line("incomplete")
	}
	for _, s := range r.Missing {
		line("missing %q: type %q, expiry %d, %d ms", s.Name, s.Typename, s.Expiry, s.TTL)
	}
	for _, m := range r.Messages {
		line("message %s: %s", describeTo(m.To), describePayload(m.Payload))
	}
	for _, m := range r.Delayed {
		if m.Cancel {
			line("cancel %q", m.Token)
		} else {
			line("after %d ms, token %q, message %s: %s", m.Delay, m.Token, describeTo(m.To), describePayload(m.Payload))
		}
	}
	for _, m := range r.Egress {
		line("egress %q %q: %s", m.Namespace, m.Name, describePayload(m.Payload))
	}
	for _, m := range r.Mutations {
		if m.Delete {
			line("delete %q", m.Name)
		} else {
			line("set %q: %s", m.Name, describePayload(m.Payload))
		}
	}
	return b.String()
}

func describeTo(to remote.To) string { return fmt.Sprintf("%q %q %q", to.Namespace, to.Name, to.ID) }

func describePayload(p remote.Payload) string {
	s := fmt.Sprintf("%q %q", p.Typename, p.Value)
	if p.Absent {
		s += " absent"
	}
	return s
}

// effectsOf is DecodeReply written again, from the protocol's rules, on what the generated code reads.
func effectsOf(from *protocol.FromFunction) (r remote.Reply, err error) {
	check := func(ok bool, rule string) {
		if !ok && err == nil {
			err = fmt.Errorf("broken rule: %s", rule)
		}
	}
	outgoing := func(target *protocol.Address, argument *protocol.TypedValue) remote.Outgoing {
		check(target.GetNamespace() != "" && target.GetType() != "" && target.GetId() != "", "a send has an address")
		return remote.Outgoing{
			To:      remote.To{Namespace: []byte(target.GetNamespace()), Name: []byte(target.GetType()), ID: []byte(target.GetId())},
			Payload: payloadOf(argument),
		}
	}

	result := from.GetInvocationResult()
	for _, m := range result.GetOutgoingMessages() {
		r.Messages = append(r.Messages, outgoing(m.Target, m.Argument))
	}
	for _, m := range result.GetDelayedInvocations() {
		d := remote.Delayed{Cancel: m.IsCancellationRequest, Token: []byte(m.CancellationToken)}
		if d.Cancel {
			check(m.CancellationToken != "", "a cancellation has a token")
		} else {
			check(m.DelayInMs >= 0, "no delay is negative")
			d.Delay, d.Outgoing = m.DelayInMs, outgoing(m.Target, m.Argument)
		}
		r.Delayed = append(r.Delayed, d)
	}
	for _, m := range result.GetOutgoingEgresses() {
		check(m.EgressNamespace != "" && m.EgressType != "", "an egress has a name")
		r.Egress = append(r.Egress, remote.Emitted{
			Namespace: []byte(m.EgressNamespace), Name: []byte(m.EgressType), Payload: payloadOf(m.Argument),
		})
	}
	for _, m := range result.GetStateMutations() {
		check(m.StateName != "", "a state value has a name")
		mutation := remote.Mutation{Delete: true, Name: []byte(m.StateName)}
		if m.MutationType != protocol.FromFunction_PersistedValueMutation_DELETE {
			check(m.MutationType == protocol.FromFunction_PersistedValueMutation_MODIFY, "a mutation is a known one")
			mutation.Delete, mutation.Payload = false, payloadOf(m.StateValue)
			mutation.Absent = false
		}
		r.Mutations = append(r.Mutations, mutation)
	}

	r.Incomplete = from.GetIncompleteInvocationContext() != nil
	for _, m := range from.GetIncompleteInvocationContext().GetMissingValues() {
		check(m.StateName != "", "a state value has a name")
		s := remote.Spec{Name: m.StateName, Typename: m.TypeTypename}
		if s.Typename == "" {
			s.Typename = "io.statefun.types/unset"
		}
		switch mode := m.GetExpirationSpec().GetMode(); mode {
		case protocol.FromFunction_ExpirationSpec_NONE:
		case protocol.FromFunction_ExpirationSpec_AFTER_WRITE, protocol.FromFunction_ExpirationSpec_AFTER_INVOKE:
			s.Expiry, s.TTL = remote.AfterInvoke, m.ExpirationSpec.ExpireAfterMillis
			if mode == protocol.FromFunction_ExpirationSpec_AFTER_WRITE {
				s.Expiry = remote.AfterWrite
			}
			check(s.TTL > 0, "an expiry has a time")
		default:
			check(false, "an expiry is a known one")
		}
		r.Missing = append(r.Missing, s)
	}
	return r, err
}

func payloadOf(v *protocol.TypedValue) remote.Payload {
	return remote.Payload{Typename: []byte(v.GetTypename()), Absent: !v.GetHasValue(), Value: v.GetValue()}
}

// requestOf is a request as a message of the generated code.
func requestOf(r *remote.Request) *protocol.ToFunction {
	batch := &protocol.ToFunction_InvocationBatchRequest{Target: addressOf(r.Target, r.ID)}
	for _, s := range r.State {
		v := &protocol.ToFunction_PersistedValue{StateName: s.Name}
		if s.Present {
			v.StateValue = &protocol.TypedValue{Typename: s.Typename, HasValue: true, Value: s.Value}
		}
		batch.State = append(batch.State, v)
	}
	for _, m := range r.Messages {
		v := &protocol.ToFunction_Invocation{
			Argument: &protocol.TypedValue{Typename: string(m.Typename), HasValue: !m.Absent, Value: m.Value},
		}
		if m.Caller != (statefun.FunctionType{}) {
			v.Caller = addressOf(m.Caller, m.CallerID)
		}
		batch.Invocations = append(batch.Invocations, v)
	}
	return &protocol.ToFunction{Request: &protocol.ToFunction_Invocation_{Invocation: batch}}
}

func addressOf(t statefun.FunctionType, id []byte) *protocol.Address {
	return &protocol.Address{Namespace: t.Namespace, Type: t.Name, Id: string(id)}
}

// marshal is what the generated code writes.
func marshal(m proto.Message) ([]byte, error) {
	return proto.MarshalOptions{Deterministic: true}.Marshal(m)
}

// heldBytes is the memory that the lists of a reply take, used or not, without what aliases the body.
func heldBytes(r *remote.Reply) int {
	held := cap(r.Missing)*int(unsafe.Sizeof(remote.Spec{})) +
		cap(r.Messages)*int(unsafe.Sizeof(remote.Outgoing{})) +
		cap(r.Delayed)*int(unsafe.Sizeof(remote.Delayed{})) +
		cap(r.Egress)*int(unsafe.Sizeof(remote.Emitted{})) +
		cap(r.Mutations)*int(unsafe.Sizeof(remote.Mutation{}))
	for _, s := range r.Missing[:cap(r.Missing)] {
		held += len(s.Name) + len(s.Typename)
	}
	return held
}

// borrowed reports whether all bytes of a reply lie in body and nothing can be appended to them in place.
func borrowed(r *remote.Reply, body []byte) bool {
	var all [][]byte
	to := func(t remote.To) { all = append(all, t.Namespace, t.Name, t.ID) }
	payload := func(p remote.Payload) { all = append(all, p.Typename, p.Value) }
	for _, m := range r.Messages {
		to(m.To)
		payload(m.Payload)
	}
	for _, m := range r.Delayed {
		all = append(all, m.Token)
		to(m.To)
		payload(m.Payload)
	}
	for _, m := range r.Egress {
		all = append(all, m.Namespace, m.Name)
		payload(m.Payload)
	}
	for _, m := range r.Mutations {
		all = append(all, m.Name)
		payload(m.Payload)
	}
	for _, b := range all {
		if len(b) == 0 {
			continue
		}
		first, last := uintptr(unsafe.Pointer(&b[0])), uintptr(unsafe.Pointer(&b[len(b)-1]))
		if len(body) == 0 || cap(b) != len(b) || first < uintptr(unsafe.Pointer(&body[0])) ||
			last > uintptr(unsafe.Pointer(&body[len(body)-1])) {
			return false
		}
	}
	return true
}
