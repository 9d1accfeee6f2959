// SPDX-License-Identifier: Apache-2.0

package requestreply

import (
	"github.com/millrace-io/millrace/engine/remote"
)

// Each of the functions here reads one element and puts it at the end of its list, or says what is wrong.
// Rules are looked at when all of an element has been read: of a field that comes twice the last one
// counts.

func readMutation(f fields, r *remote.Reply) *fault {
	start := f.offset()
	var m remote.Mutation
	var kind int32 // DELETE, which is 0, is not on the wire.
	for f.next() {
		switch f.tag {
		case 1<<3 | wireVarint:
			kind = int32(f.bits)
		case 2<<3 | wireBytes:
			f.text(&m.Name, "state_name")
		case 3<<3 | wireBytes:
			f.fault = readPayload(f.inside(), &m.Payload).in("state_value")
		}
	}
	switch {
	case f.fault != nil:
		return f.fault
	case len(m.Name) == 0:
		return broken(start, "state_name", "is empty")
	case kind == mutationDelete:
		m = remote.Mutation{Delete: true, Name: m.Name}
	case kind == mutationModify:
		m.Absent = false // StateFun does not look at has_value: the bytes are the value, none or many.
	default:
		return broken(start, "mutation_type", "is neither DELETE nor MODIFY")
	}
	r.Mutations = append(r.Mutations, m)
	return nil
}

const (
	mutationDelete = 0
	mutationModify = 1
)

func readOutgoing(f fields, r *remote.Reply) *fault {
	start := f.offset()
	m := remote.Outgoing{Payload: remote.Payload{Absent: true}}
	for f.next() {
		switch f.tag {
		case 1<<3 | wireBytes:
			f.fault = readTo(f.inside(), &m.To).in("target")
		case 2<<3 | wireBytes:
			f.fault = readPayload(f.inside(), &m.Payload).in("argument")
		}
	}
	if f.fault != nil {
		return f.fault
	}
	if e := checkTo(start, &m.To); e != nil {
		return e
	}
	r.Messages = append(r.Messages, m)
	return nil
}

func readDelayed(f fields, r *remote.Reply) *fault {
	start := f.offset()
	m := remote.Delayed{Outgoing: remote.Outgoing{Payload: remote.Payload{Absent: true}}}
	for f.next() {
		switch f.tag {
		case 1<<3 | wireVarint:
			m.Delay = int64(f.bits)
		case 2<<3 | wireBytes:
			f.fault = readTo(f.inside(), &m.To).in("target")
		case 3<<3 | wireBytes:
			f.fault = readPayload(f.inside(), &m.Payload).in("argument")
		case 10<<3 | wireVarint:
			m.Cancel = f.bits != 0
		case 11<<3 | wireBytes:
			f.text(&m.Token, "cancellation_token")
		}
	}
	switch {
	case f.fault != nil:
		return f.fault
	case m.Cancel && len(m.Token) == 0:
		return broken(start, "cancellation_token", "is empty, in a cancellation")
	case m.Cancel:
		m = remote.Delayed{Cancel: true, Token: m.Token}
	case m.Delay < 0:
		return broken(start, "delay_in_ms", "is negative")
	default:
		if e := checkTo(start, &m.To); e != nil {
			return e
		}
	}
	r.Delayed = append(r.Delayed, m)
	return nil
}

func readEmitted(f fields, r *remote.Reply) *fault {
	start := f.offset()
	m := remote.Emitted{Payload: remote.Payload{Absent: true}}
	for f.next() {
		switch f.tag {
		case 1<<3 | wireBytes:
			f.text(&m.Namespace, "egress_namespace")
		case 2<<3 | wireBytes:
			f.text(&m.Name, "egress_type")
		case 3<<3 | wireBytes:
			f.fault = readPayload(f.inside(), &m.Payload).in("argument")
		}
	}
	switch {
	case f.fault != nil:
		return f.fault
	case len(m.Namespace) == 0:
		return broken(start, "egress_namespace", "is empty")
	case len(m.Name) == 0:
		return broken(start, "egress_type", "is empty")
	}
	r.Egress = append(r.Egress, m)
	return nil
}

func readSpec(f fields, r *remote.Reply) *fault {
	start := f.offset()
	var name, typename []byte
	var expiry expirationSpec
	for f.next() {
		switch f.tag {
		case 1<<3 | wireBytes:
			f.text(&name, "state_name")
		case 2<<3 | wireBytes:
			f.fault = expiry.read(f.inside()).in("expiration_spec")
		case 3<<3 | wireBytes:
			f.text(&typename, "type_typename")
		}
	}
	switch {
	case f.fault != nil:
		return f.fault
	case len(name) == 0:
		return broken(start, "state_name", "is empty")
	case expiry.mode < int32(remote.Never) || expiry.mode > int32(remote.AfterInvoke):
		return broken(start, "expiration_spec.mode", "is none of NONE, AFTER_WRITE and AFTER_INVOKE")
	case expiry.mode == int32(remote.Never):
		expiry.millis = 0
	case expiry.millis <= 0:
		return broken(start, "expiration_spec.expire_after_millis", "is not positive")
	}
	s := remote.Spec{Name: string(name), Typename: unset, Expiry: remote.Expiry(expiry.mode), TTL: expiry.millis}
	if len(typename) > 0 {
		s.Typename = string(typename)
	}
	r.Missing = append(r.Missing, s)
	return nil
}

// expirationSpec has the modes of the protocol, which are numbered as those of the port.
type expirationSpec struct {
	mode   int32
	millis int64
}

func (s *expirationSpec) read(f fields) *fault {
	for f.next() {
		switch f.tag {
		case 1<<3 | wireVarint:
			s.mode = int32(f.bits)
		case 2<<3 | wireVarint:
			s.millis = int64(f.bits)
		}
	}
	return f.fault
}

func readTo(f fields, to *remote.To) *fault {
	for f.next() {
		switch f.tag {
		case 1<<3 | wireBytes:
			f.text(&to.Namespace, "namespace")
		case 2<<3 | wireBytes:
			f.text(&to.Name, "type")
		case 3<<3 | wireBytes:
			f.text(&to.ID, "id")
		}
	}
	return f.fault
}

func readPayload(f fields, p *remote.Payload) *fault {
	for f.next() {
		switch f.tag {
		case 1<<3 | wireBytes:
			f.text(&p.Typename, "typename")
		case 2<<3 | wireVarint:
			p.Absent = f.bits == 0
		case 3<<3 | wireBytes:
			p.Value = f.bytes
		}
	}
	return f.fault
}

// checkTo reports which part of an address is missing; so are all of one that is not there.
func checkTo(start int, to *remote.To) *fault {
	switch {
	case len(to.Namespace) == 0:
		return broken(start, "target.namespace", "is empty")
	case len(to.Name) == 0:
		return broken(start, "target.type", "is empty")
	case len(to.ID) == 0:
		return broken(start, "target.id", "is empty")
	}
	return nil
}

func broken(offset int, path, what string) *fault {
	return &fault{offset: offset, path: path, what: what}
}
