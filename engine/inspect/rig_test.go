// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/backendtest"
	"github.com/millrace-io/millrace/engine/internal/checkpoint"
	"github.com/millrace-io/millrace/engine/internal/clock"
	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/statefun"
)

var (
	cart = statefun.FunctionType{Namespace: "shop", Name: "cart"}
	mail = statefun.FunctionType{Namespace: "shop", Name: "mail"}

	cartStates = []State{{Name: "n", Typename: "io.statefun.types/long"}, {Name: "items", Typename: "shop/Items", TTL: time.Minute}}
	mailStates = []State{{Name: "sent", Typename: "shop/Sent"}}
)

// layout is how a store numbers what it holds.
type layout struct {
	groups int
	names  []Function // In the order of the numbers.
	shift  uint64     // Of the numbers of messages.
}

var plain = layout{groups: 8, names: []Function{{cart, cartStates}, {mail, mailStates}}, shift: 1}

// other has everything else: key groups, numbers of functions and of values, and functions without anything.
var other = layout{groups: 3, names: []Function{
	{statefun.FunctionType{Namespace: "shop", Name: "absent"}, nil},
	{mail, mailStates},
	{cart, []State{{Name: "old", Typename: "t/old"}, cartStates[1], cartStates[0]}},
}, shift: 1000}

func (l layout) number(t statefun.FunctionType) envelope.Function {
	return envelope.Function(slices.IndexFunc(l.names, func(f Function) bool { return f.Type == t }))
}

// part writes entries as an engine with that layout would. Entries are in no order but that of messages.
func (l layout) part(entries []Entry) (p backend.Part) {
	for _, e := range entries {
		p.Changes = l.put(p.Changes, e)
	}
	return p
}

func (l layout) put(dst []byte, e Entry) []byte {
	group := func(id string) statefun.KeyGroup { return statefun.KeyGroupOf(statefun.KeyHash(id), l.groups) }
	message := func(p Payload, from statefun.Address) checkpoint.Message {
		m := checkpoint.Message{Typename: []byte(p.Typename), Absent: p.Absent, Value: p.Value}
		if from.ID != "" {
			m.HasCaller, m.Caller, m.CallerID = true, l.number(from.Type), []byte(from.ID)
		}
		return m
	}
	switch e := e.(type) {
	case Instance:
		fn := l.number(e.Address.Type)
		states := l.names[fn].States
		number := func(v Value) int { return slices.Index(states, v.State) }
		values := slices.SortedFunc(slices.Values(e.Values), func(a, b Value) int { return cmp.Compare(number(a), number(b)) })
		var value []byte
		for _, v := range values {
			if v.Stamp.IsZero() {
				value = checkpoint.AppendValueNumber(value, number(v))
			} else {
				value = checkpoint.AppendStampedNumber(value, number(v), v.Stamp.UnixMilli())
			}
			var start int
			value, start = checkpoint.BeginLength(value)
			value = checkpoint.EndLength(append(value, v.Bytes...), start)
		}
		if !e.Touched.IsZero() {
			value = checkpoint.AppendTouched(value, e.Touched.UnixMilli())
		}
		return backend.AppendPut(dst, group(e.Address.ID), checkpoint.AppendStateKey(nil, fn, []byte(e.Address.ID)), value)
	case Message:
		m := message(e.Payload, e.Caller)
		key := checkpoint.AppendMessageKey(nil, l.number(e.Target.Type), []byte(e.Target.ID), e.Number*l.shift)
		return backend.AppendPut(dst, group(e.Target.ID), key, append(checkpoint.AppendMessage(nil, &m), e.Value...))
	case Suspended:
		key := checkpoint.AppendSuspendedKey(nil, l.number(e.Address.Type), []byte(e.Address.ID))
		return backend.AppendPut(dst, group(e.Address.ID), key, []byte(e.Reason))
	case Delayed:
		d := checkpoint.Delayed{
			Due: clock.Instant(e.Due.UnixMilli()), Function: l.number(e.Target.Type), ID: []byte(e.Target.ID),
			Name: []byte(e.Name), Message: message(e.Payload, e.Sender),
		}
		return backend.AppendPut(dst, group(e.Sender.ID), checkpoint.AppendDelayedKey(nil, e.Token), append(checkpoint.AppendDelayed(nil, &d), e.Value...))
	case Key:
		k := checkpoint.Key{
			Expires: clock.Instant(e.Expires.UnixMilli()), Body: e.Body, Caller: []byte(e.Caller), Answered: e.Answered,
			Typename: []byte(e.Answer.Typename), Absent: e.Answer.Absent, Value: e.Answer.Value,
		}
		key := checkpoint.AppendKeyKey(nil, l.number(e.Address.Type), []byte(e.Address.ID), e.Key)
		return backend.AppendPut(dst, group(e.Address.ID), key, checkpoint.AppendKey(nil, &k))
	case Record:
		r := checkpoint.Record{
			Egress: []byte(e.Egress), Sender: l.number(e.Sender.Type), SenderID: []byte(e.Sender.ID),
			Typename: []byte(e.Typename), Absent: e.Absent, Value: e.Value,
		}
		return backend.AppendPut(dst, group(e.Sender.ID), checkpoint.AppendRecordKey(nil, e.Epoch, e.Index), checkpoint.AppendRecord(nil, &r))
	}
	panic("unknown entry")
}

// open returns a store with one checkpoint, of epoch 41.
func open(t testing.TB, l layout, p backend.Part) *backendtest.Model {
	t.Helper()
	b, err := backendtest.NewModel(backend.Options{Application: "shop", KeyGroups: l.groups})
	if err != nil {
		t.Fatal(err)
	}
	commit(t, l, b, 41, p)
	return b
}

func commit(t testing.TB, l layout, b backend.Backend, epoch statefun.Epoch, p backend.Part) {
	t.Helper()
	names := make([]checkpoint.FunctionNames, len(l.names))
	for i, f := range l.names {
		names[i].Function = f.Type.String()
		for _, s := range f.States {
			v := checkpoint.ValueName{Name: s.Name, Typename: s.Typename}
			if s.TTL > 0 {
				v.Expiry, v.TTL = 1, uint64(s.TTL.Milliseconds())
			}
			names[i].Values = append(names[i].Values, v)
		}
	}
	cp := backend.Checkpoint{
		Application: "shop", Generation: b.Generation(), Epoch: epoch, KeyGroups: l.groups, CreatedAt: 1000,
		Names: checkpoint.AppendNames(nil, names),
	}
	if err := b.Commit(t.Context(), cp, []backend.Part{p}); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, b backend.Backend) *Checkpoint {
	t.Helper()
	cp, err := Read(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	return cp
}

func at(t statefun.FunctionType, id string) statefun.Address {
	return statefun.Address{Type: t, ID: id}
}

func long(n int64) []byte {
	b, err := statefun.Int64.Append(nil, n)
	if err != nil {
		panic(err)
	}
	return b
}

// some is one entry of each kind, and more messages.
func some() []Entry {
	return []Entry{
		Instance{Address: at(cart, "Bob"), Values: []Value{
			{State: cartStates[0], Bytes: long(2)},
			{State: cartStates[1], Bytes: []byte{}, Stamp: time.UnixMilli(1234).UTC()},
		}},
		Instance{Address: at(mail, "\xff/"), Values: []Value{{State: mailStates[0], Bytes: []byte("yes")}}, Touched: time.UnixMilli(777).UTC()},
		Message{Target: at(cart, "Bob"), Number: 5, Caller: at(mail, "Al"), Payload: Payload{"shop/Item", false, []byte("tea")}},
		Message{Target: at(cart, "Bob"), Number: 7, Payload: Payload{Typename: "shop/Item", Absent: true}},
		Message{Target: at(cart, "Al"), Number: 6, Payload: Payload{"io.statefun.types/long", false, long(40)}},
		Suspended{Address: at(cart, "Bob"), Reason: "it panicked"},
		Delayed{
			Due: time.UnixMilli(5000).UTC(), Target: at(cart, "Al"), Sender: at(mail, "Eve"), Token: 258, Name: "n1",
			Payload: Payload{"io.statefun.types/long", false, long(2)},
		},
		Key{
			Address: at(cart, "Bob"), Key: []byte("shop.io/http\x00k-1"), Expires: time.UnixMilli(9000).UTC(), Body: [16]byte{1, 15: 2},
			Caller: "00f-3", Answered: true, Answer: Payload{"shop/Item", false, []byte("tea")},
		},
		Record{Egress: "shop/out", Epoch: 41, Index: 7, Sender: at(cart, "Bob"), Payload: Payload{"shop/Item", false, []byte("tea")}},
	}
}
