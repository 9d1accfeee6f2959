// SPDX-License-Identifier: Apache-2.0

package requestreply

import (
	"fmt"

	"github.com/millrace-io/millrace/engine/remote"
)

// EffectsMax bounds the effects of one reply, and the state values that one declares as missing. An effect
// is up to 24 times as large in memory as on the wire: at the bound, a list of them is 11 MB. And a shard
// carries all of them out in one go: at the bound that takes it some 10 ms, with cancellation tokens some 300,
// in which all others wait. A function that reaches the bound is served with smaller batches.
const EffectsMax = 1 << 16

// unset is the type of a state value that is declared without one.
const unset = "io.statefun.types/unset"

// DecodeReply reads body, a FromFunction message, into reply. The slices of the reply alias body; what
// reply has of lists is used again, so that nothing is allocated but the names of missing state values.
//
// It reads what protobuf's own generator would make of body, and refuses what StateFun fails on: unknown
// kinds of mutations and of expiry, cancellations without a token, negative delays, sends without a whole
// address; in addition, an egress or a state value without a name, and an expiry without a time. Whether
// the names are known is the engine's to say.
//
// Its errors are *[remote.Error], [remote.Broken] or, beyond [EffectsMax], [remote.TooLarge]; the endpoint
// is not known here. Then the reply is empty.
func DecodeReply(body []byte, reply *remote.Reply) error {
	reply.Reset()
	d := decoder{reply: reply}
	if wrong := d.fromFunction(fields{rest: body, end: len(body)}); wrong != nil {
		reply.Reset()
		reason := remote.Broken
		if d.effects > EffectsMax {
			reason = remote.TooLarge
		}
		return &remote.Error{Reason: reason, Err: wrong}
	}
	reply.Bytes = len(body)
	return nil
}

// decoder reads a reply, up to the first thing that is wrong with it. What breaks a rule is therefore in
// no list, and memory is taken in proportion to what has been sent: the least that keeps them has 5 bytes.
type decoder struct {
	reply   *remote.Reply
	effects int // And missing state values.
}

func (d *decoder) fromFunction(f fields) *fault {
	var response uint64
	for f.next() {
		if f.tag != 100<<3|wireBytes && f.tag != 101<<3|wireBytes {
			continue
		}
		if f.tag != response { // Of the two the last one counts. The same one again is merged.
			response = f.tag
			d.reply.Reset()
		}
		if f.tag == 100<<3|wireBytes {
			f.fault = d.invocationResult(f.inside())
		} else {
			f.fault = d.incompleteContext(f.inside())
		}
	}
	return f.fault
}

func (d *decoder) invocationResult(f fields) *fault {
	r := d.reply
	for d.next(&f) {
		switch f.tag {
		case 1<<3 | wireBytes:
			f.fault = readMutation(f.inside(), r).inElement("state_mutations", len(r.Mutations))
		case 2<<3 | wireBytes:
			f.fault = readOutgoing(f.inside(), r).inElement("outgoing_messages", len(r.Messages))
		case 3<<3 | wireBytes:
			f.fault = readDelayed(f.inside(), r).inElement("delayed_invocations", len(r.Delayed))
		case 4<<3 | wireBytes:
			f.fault = readEmitted(f.inside(), r).inElement("outgoing_egresses", len(r.Egress))
		}
	}
	return f.fault
}

func (d *decoder) incompleteContext(f fields) *fault {
	d.reply.Incomplete = true
	for d.next(&f) {
		if f.tag == 1<<3|wireBytes {
			f.fault = readSpec(f.inside(), d.reply).inElement("missing_values", len(d.reply.Missing))
		}
	}
	return f.fault
}

// next is that of the fields of a response: its elements, and what is unknown and counts as one.
func (d *decoder) next(f *fields) bool {
	if !f.next() {
		return false
	}
	if d.effects++; d.effects > EffectsMax {
		f.fault = &fault{offset: f.offset(), what: fmt.Sprintf("more than %d effects", EffectsMax)}
		return false
	}
	return true
}
