// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"fmt"
	"time"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/internal/checkpoint"
	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/statefun"
)

// Entry is one of [Instance], [Message], [Suspended], [Delayed], [Key] and [Record].
type Entry interface{ stored() Stored }

// Stored is where an entry lies, and how large it is.
type Stored struct {
	Group statefun.KeyGroup
	Bytes int // Of its key and its value.
}

func (s Stored) stored() Stored { return s }

// Instance is an address with its state.
type Instance struct {
	Stored
	Address statefun.Address
	Values  []Value // Those that are present, by number.
	// Touched is from when on the time counts after which the whole instance is dropped; the zero time if it is not.
	Touched time.Time
}

// Value is a state value of an instance.
type Value struct {
	State
	Bytes []byte    // As on the wire.
	Stamp time.Time // From when on the value's time to live counts; the zero time if it does not expire.
}

// Expires returns when the value expires, unless it is written or used before; the zero time if it does not.
func (v Value) Expires() time.Time {
	if v.Stamp.IsZero() || v.TTL == 0 {
		return time.Time{}
	}
	return v.Stamp.Add(v.TTL)
}

// Payload is a typed value, or only the name of a type.
type Payload struct {
	Typename string
	Absent   bool // There is no value, not even an empty one.
	Value    []byte
}

// Message is a message in flight: it has been sent, and has not taken effect.
type Message struct {
	Stored
	Target statefun.Address
	Number uint64           // Those of one address run in this order.
	Caller statefun.Address // Zero if it came from an ingress.
	Payload
}

// Suspended is an address that waits until an operator has it go on.
type Suspended struct {
	Stored
	Address statefun.Address
	Reason  string // For people.
}

// Delayed is a message that waits for its time.
type Delayed struct {
	Stored
	Due    time.Time
	Target statefun.Address
	Sender statefun.Address
	Token  uint64
	Name   string // By which a sender elsewhere can cancel it; empty: it has none.
	Payload
}

// Key is what is remembered of a message that came under an idempotency key.
type Key struct {
	Stored
	Address  statefun.Address
	Key      []byte
	Expires  time.Time
	Body     [16]byte // A digest of the message.
	Caller   string   // The id under which its sender waits for an answer; empty: it does not.
	Answered bool
	Answer   Payload
}

// Record is an egress record that no sink has confirmed.
type Record struct {
	Stored
	Egress string // "<namespace>/<name>"
	Epoch  statefun.Epoch
	Index  uint64 // Within its epoch.
	Sender statefun.Address
	Payload
}

// decoder turns entries as they are stored into what they mean. It is good for one entry at a time.
type decoder struct {
	functions []Function
	values    []Value
	err       error // The first number that has no name.
}

func (d *decoder) entry(raw backend.Entry) (e Entry, err error) {
	stored := Stored{Group: raw.Group, Bytes: len(raw.Key) + len(raw.Value)}
	d.err = nil
	switch kind := checkpoint.KindOf(raw.Key); kind {
	case checkpoint.KindState:
		e, err = d.instance(stored, raw)
	case checkpoint.KindMessage:
		e, err = d.message(stored, raw)
	case checkpoint.KindSuspended:
		fn, id, bad := checkpoint.ParseSuspendedKey(raw.Key)
		e, err = Suspended{stored, d.address(fn, id, bad), string(raw.Value)}, bad
	case checkpoint.KindDelayed:
		e, err = d.delayed(stored, raw)
	case checkpoint.KindKey:
		e, err = d.key(stored, raw)
	case checkpoint.KindRecord:
		e, err = d.record(stored, raw)
	default:
		err = fmt.Errorf("%w: unknown kind %d", checkpoint.ErrEntry, kind)
	}
	if err == nil {
		err = d.err
	}
	if err != nil {
		return nil, err
	}
	return e, nil
}

// address names a function's number. Without a function, bad says why; then nobody looks at the result.
func (d *decoder) address(fn envelope.Function, id []byte, bad error) statefun.Address {
	if bad != nil {
		return statefun.Address{}
	}
	if int(fn) >= len(d.functions) {
		d.err = fmt.Errorf("%w: function type %d is not among the names", checkpoint.ErrEntry, fn)
		return statefun.Address{}
	}
	return statefun.Address{Type: d.functions[fn].Type, ID: string(id)}
}

func (d *decoder) instance(stored Stored, raw backend.Entry) (Entry, error) {
	fn, id, err := checkpoint.ParseStateKey(raw.Key)
	if err == nil {
		err = checkpoint.Validate(raw.Value)
	}
	in := Instance{Stored: stored, Address: d.address(fn, id, err)}
	if err != nil || d.err != nil {
		return in, err
	}
	states := d.functions[fn].States
	d.values = d.values[:0]
	for v := range checkpoint.Values(raw.Value) {
		if v.Number >= len(states) {
			return in, fmt.Errorf("%w: state value %d of %v is not among the names", checkpoint.ErrEntry, v.Number, in.Address.Type)
		}
		value := Value{State: states[v.Number], Bytes: v.Bytes}
		if v.Stamped {
			value.Stamp = time.UnixMilli(v.Stamp).UTC()
		}
		d.values = append(d.values, value)
	}
	in.Values = d.values
	if _, stamp, ok := checkpoint.CutTouched(raw.Value); ok {
		in.Touched = time.UnixMilli(stamp).UTC()
	}
	return in, nil
}

func (d *decoder) message(stored Stored, raw backend.Entry) (Entry, error) {
	fn, id, number, err := checkpoint.ParseMessageKey(raw.Key)
	if err != nil {
		return nil, err
	}
	m, err := checkpoint.ParseMessage(raw.Value)
	return Message{stored, d.address(fn, id, err), number, d.caller(&m, err), payload(m.Typename, m.Absent, m.Value)}, err
}

func (d *decoder) delayed(stored Stored, raw backend.Entry) (Entry, error) {
	token, err := checkpoint.ParseDelayedKey(raw.Key)
	if err != nil {
		return nil, err
	}
	m, err := checkpoint.ParseDelayed(raw.Value)
	return Delayed{
		Stored: stored, Due: m.Due.Time(), Token: token, Name: string(m.Name),
		Target: d.address(m.Function, m.ID, err), Sender: d.caller(&m.Message, err),
		Payload: payload(m.Typename, m.Absent, m.Value),
	}, err
}

func (d *decoder) caller(m *checkpoint.Message, bad error) statefun.Address {
	if !m.HasCaller {
		return statefun.Address{}
	}
	return d.address(m.Caller, m.CallerID, bad)
}

func (d *decoder) key(stored Stored, raw backend.Entry) (Entry, error) {
	fn, id, key, err := checkpoint.ParseKeyKey(raw.Key)
	if err != nil {
		return nil, err
	}
	k, err := checkpoint.ParseKey(raw.Value)
	return Key{
		Stored: stored, Address: d.address(fn, id, err), Key: key, Expires: k.Expires.Time(), Body: k.Body,
		Caller: string(k.Caller), Answered: k.Answered, Answer: payload(k.Typename, k.Absent, k.Value),
	}, err
}

func (d *decoder) record(stored Stored, raw backend.Entry) (Entry, error) {
	epoch, index, err := checkpoint.ParseRecordKey(raw.Key)
	if err != nil {
		return nil, err
	}
	r, err := checkpoint.ParseRecord(raw.Value)
	return Record{
		Stored: stored, Egress: string(r.Egress), Epoch: epoch, Index: index,
		Sender: d.address(r.Sender, r.SenderID, err), Payload: payload(r.Typename, r.Absent, r.Value),
	}, err
}

func payload(typename []byte, absent bool, value []byte) Payload {
	return Payload{Typename: string(typename), Absent: absent, Value: value}
}

func appendStateKey(number int, id string) []byte {
	return checkpoint.AppendStateKey(nil, envelope.Function(number), []byte(id))
}
