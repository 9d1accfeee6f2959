// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"strconv"
	"strings"
	"unsafe"

	"pgregory.net/rapid"

	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/internal/table"
	"github.com/millrace-io/millrace/engine/statefun"
)

const fnLease = fnCaller + 1

// leaseRig is a shard alone whose function keeps what expires:
//
//	n  a number, as it lies in memory, after it was written
//	t  a text, encoded, after it was read or written
//	i  a number, after the instance was invoked
//	p  a text that does not expire
//
// A message is a list of commands, separated by semicolons:
//
//	n5 i5 tX pX   sets a value
//	~n            removes it
//	?             reads t
//	@MS,ID:WORD   sends WORD after MS milliseconds; x cancels it if it was the last
//	fail, permanent, flaky   fails, in that way
type leaseRig struct {
	*rig
	terms  terms
	last   map[string]Token // Sent last, by sender.
	events []leaseEvent
}

// terms are how long things are kept, in milliseconds; 0: for ever.
type terms struct{ n, t, i, idle int64 }

// leaseEvent is an attempt at a message.
type leaseEvent struct {
	id, message string
	queued      bool
	shown       map[string]string // The values, as the handler saw them.
	failed      bool
	cancelled   bool // A delayed message.
}

const leaseNames = "ntip"

func newLeaseRig(t rapid.TB, terms terms) *leaseRig {
	r := &leaseRig{terms: terms, last: map[string]Token{}}
	r.rig = newRig(t, rigConfig{retries: 1000, more: r.function})
	return r
}

// function declares the function as package engine does.
func (r *leaseRig) function(c *Config) {
	var offset uintptr
	fn := &Function{
		Type: statefun.FunctionType{Namespace: "test", Name: "lease"}, Impl: unsafe.Pointer(r), Retries: 1000, IdleAfter: r.terms.idle,
		ByTypename: map[string]envelope.Input{"test/word": 0},
		Inputs: []Input{{Typename: "test/word", Wire: func(impl unsafe.Pointer, inv *Invocation, payload []byte) error {
			return (*leaseRig)(impl).handle(inv, string(payload))
		}}},
	}
	for i, ttl := range []int64{r.terms.n, r.terms.t, r.terms.i, 0} {
		v := Value{Name: leaseNames[i : i+1], Number: i, Bytes: CellBytes, TTL: ttl}
		if i%2 == 0 {
			v.Bytes, v.Encode, v.Decode = 8, encodeNumber, decodeNumber
		}
		if ttl > 0 {
			v.Expiry = [...]Expiry{AfterWrite, AfterReadOrWrite, AfterInvoke}[i]
			offset += StampBytes
		}
		v.Offset = offset
		offset += v.Bytes
		fn.Values = append(fn.Values, v)
	}
	fn.StateBytes = int(offset)
	c.Functions = append(c.Functions, fn)
}

func (r *leaseRig) handle(inv *Invocation, message string) (err error) {
	e := leaseEvent{id: inv.Self().ID, message: message, queued: inv.Row.Flags&flagQueued != 0, shown: r.values(inv.Row)}
	for word := range strings.SplitSeq(message, ";") {
		switch {
		case word == "flaky" && r.flaky > 0:
			r.flaky--
			err = errWanted
		case word == "fail":
			err = errWanted
		case word == "permanent":
			err = permanent{errWanted}
		case word == "x":
			e.cancelled = inv.Cancel(r.last[e.id]) || e.cancelled
		case word != "flaky":
			r.do(inv, e.id, word)
		}
	}
	e.failed = err != nil
	r.events = append(r.events, e)
	return err
}

func (r *leaseRig) do(inv *Invocation, id, word string) {
	index := strings.Index(leaseNames, word[:1])
	switch {
	case word == "?":
		if inv.fn.Values[1].Expiry == AfterReadOrWrite {
			inv.Read(1)
		}
	case word[0] == '@':
		after, to, _ := strings.Cut(word[1:], ",")
		to, word, _ := strings.Cut(to, ":")
		ms, _ := strconv.ParseInt(after, 10, 64)
		b, e, token := inv.PostAfter(ms, fnLease, 0, statefun.KeyHash(to), to)
		b.SetWire(e, []byte(word))
		r.last[id] = token
	case word[0] == '~':
		r.set(inv, strings.Index(leaseNames, word[1:]), "")
		inv.Row.Present &^= 1 << strings.Index(leaseNames, word[1:])
	default:
		r.set(inv, index, word[1:])
	}
}

// set does what a state value's Set does.
func (r *leaseRig) set(inv *Invocation, index int, text string) {
	v := &inv.fn.Values[index]
	inv.Touch()
	if v.Expiry != Never {
		inv.Wrote(v.Offset)
	}
	if at := unsafe.Add(inv.State, v.Offset); v.Encode == nil {
		inv.SetBytes((*Cell)(at), []byte(text))
	} else {
		*(*int64)(at), _ = strconv.ParseInt(text, 10, 64)
	}
	inv.Row.Present |= 1 << index
}

// values returns what a row has, whether it is over or not.
func (r *leaseRig) values(row *table.Row) map[string]string {
	values := map[string]string{}
	for i := range r.s.fns[fnLease].Values {
		v := &r.s.fns[fnLease].Values[i]
		switch at := unsafe.Add(row.State(), v.Offset); {
		case row.Present&(1<<i) == 0:
			if v.Encode != nil && *(*int64)(at) != 0 {
				r.t.Fatalf("%s is absent, and %d", v.Name, *(*int64)(at))
			}
		case v.Encode == nil:
			values[v.Name] = string(r.inv.Bytes((*Cell)(at)))
		default:
			values[v.Name] = strconv.FormatInt(*(*int64)(at), 10)
		}
	}
	return values
}

// instances returns all rows by id.
func (r *leaseRig) instances() map[string]*table.Row {
	all, t := map[string]*table.Row{}, r.s.fns[fnLease].table
	for slot := range t.Slots() {
		if row := t.Row(table.Slot(slot)); row.IDLen() > 0 {
			all[string(t.ID(row))] = row
		}
	}
	return all
}

// post has messages arrive, each an id and what it says.
func (r *leaseRig) post(messages ...string) {
	b := envelope.New(len(messages))
	for _, m := range messages {
		id, word, _ := strings.Cut(m, " ")
		b.SetWire(b.Append(fnLease, 0, statefun.KeyHash(id), id), []byte(word))
	}
	r.s.Step(r.now, b)
}

// arrive has the delayed messages arrive that have come due, and returns who had sent them.
func (r *leaseRig) arrive() (senders []string) {
	for _, b := range r.s.Drain(0) {
		for i := range b.Envelopes {
			_, from, _ := b.Caller(&b.Envelopes[i])
			senders = append(senders, string(from))
		}
		if len(b.Envelopes) > 0 { // No marker.
			r.s.Step(r.now, b)
		}
	}
	return senders
}

// resume has a suspended address go on, without its first message if that is to be skipped.
func (r *leaseRig) resume(id string, skip bool) {
	b := envelope.New(1)
	b.AppendResume(fnLease, statefun.KeyHash(id), id, skip)
	r.s.Step(r.now, b)
}
