// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/internal/checkpoint"
	"github.com/millrace-io/millrace/engine/internal/clock"
	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/statefun"
)

// ledger is what a store must hold: the last checkpoint, as all commits so far have made it.
type ledger struct {
	cp      backend.Checkpoint
	entries map[string]string // By key.
	names   []checkpoint.FunctionNames
	kinds   []int                         // By function number; -1: none of ours.
	numbers [len(kinds)]envelope.Function // And the other way round; noNumber: nobody has sent to it.
	flights map[uint64]int                // How often a message is in flight, by serial number.
	money   int64                         // Of balances and of messages in flight.
}

func newLedger() *ledger {
	l := &ledger{entries: map[string]string{}, flights: map[uint64]int{}}
	for k := range l.numbers {
		l.numbers[k] = noNumber
	}
	return l
}

// noNumber is no function's.
const noNumber = envelope.FunctionsMax - 1

// change is a change of one entry.
type change struct {
	backend.Change
	shard int
}

// name takes over what the numbers in the entries mean. They mean the same for ever (P28).
func (l *ledger) name(names []byte) error {
	if bytes.Equal(names, l.cp.Names) {
		return nil
	}
	list, err := checkpoint.ParseNames(names)
	if err != nil {
		return err
	}
	for i, was := range l.names {
		if len(list) <= i || list[i].Function != was.Function || len(list[i].Values) < len(was.Values) {
			return fmt.Errorf("names: function %d is no longer %s", i, was.Function)
		}
		for j, v := range was.Values {
			if now := list[i].Values[j]; now.Name != v.Name || now.Typename != v.Typename {
				return fmt.Errorf("names: value %d of %s is no longer %s", j, was.Function, v.Name)
			}
		}
	}
	l.names, l.kinds = list, l.kinds[:0]
	for n := range list {
		k := slices.IndexFunc(kinds[:], func(k kind) bool { return k.fn.Type().String() == list[n].Function })
		if l.kinds = append(l.kinds, k); k >= 0 {
			l.numbers[k] = envelope.Function(n)
		}
	}
	return nil
}

// address finds an address of ours.
func (l *ledger) address(fn envelope.Function, id []byte) (a address, err error) {
	i, ok := idNumbers[string(id)]
	if int(fn) >= len(l.kinds) || l.kinds[fn] < 0 || !ok {
		return a, fmt.Errorf("isolation: an entry of function %d, id %q", fn, id)
	}
	return address{l.kinds[fn], i}, nil
}

// stateKey is the key of an address's state.
func (l *ledger) stateKey(a address) string {
	return string(checkpoint.AppendStateKey(nil, l.numbers[a.kind], []byte(ids[a.id])))
}

func (l *ledger) suspendedKey(a address) string {
	return string(checkpoint.AppendSuspendedKey(nil, l.numbers[a.kind], []byte(ids[a.id])))
}

// flight is a message in flight, as its entry says.
type flight struct {
	serial  uint64
	form    form
	to      address
	caller  statefun.Address
	number  uint64 // Of arrival; of a delayed message, its token.
	delayed bool
	due     clock.Instant
	name    string
}

// flight reads an entry of a message in flight.
func (l *ledger) flight(key, value string) (f flight, err error) {
	var m checkpoint.Message
	if f.delayed = key[0] == checkpoint.KindDelayed; f.delayed {
		if f.number, err = checkpoint.ParseDelayedKey([]byte(key)); err != nil {
			return f, err
		}
		d, err := checkpoint.ParseDelayed([]byte(value))
		if err != nil {
			return f, err
		}
		if f.to, err = l.address(d.Function, d.ID); err != nil {
			return f, err
		}
		f.due, f.name, m = d.Due, string(d.Name), d.Message
	} else {
		fn, id, number, err := checkpoint.ParseMessageKey([]byte(key))
		if err != nil {
			return f, err
		}
		if f.to, err = l.address(fn, id); err != nil {
			return f, err
		}
		f.number = number
		if m, err = checkpoint.ParseMessage([]byte(value)); err != nil {
			return f, err
		}
	}
	if m.HasCaller {
		if int(m.Caller) >= len(l.names) {
			return f, fmt.Errorf("names: a caller of function type %d", m.Caller)
		}
		if f.caller.Type, err = statefun.ParseFunctionType(l.names[m.Caller].Function); err != nil {
			return f, err
		}
		f.caller.ID = string(m.CallerID)
	}
	f.serial, f.form = serialOf(engine.TypedValue{Typename: string(m.Typename), Value: m.Value})
	return f, nil
}

// apply makes one change.
func (l *ledger) apply(c change) error {
	key := string(c.Key)
	if was, had := l.entries[key]; had {
		if err := l.count(key, was, -1); err != nil {
			return err
		}
		delete(l.entries, key)
	}
	if c.Delete {
		return nil
	}
	value := string(c.Value)
	l.entries[key] = value
	return l.count(key, value, 1)
}

// count adds an entry to the sums, or takes it out.
func (l *ledger) count(key, value string, n int) error {
	switch key[0] {
	case checkpoint.KindState:
		money, err := l.balance(key, value)
		l.money += money * int64(n)
		return err
	case checkpoint.KindMessage, checkpoint.KindDelayed:
		if l.isAnswer(key) {
			return nil
		}
		f, err := l.flight(key, value)
		if err != nil {
			return err
		}
		if l.flights[f.serial] += n; l.flights[f.serial] == 0 {
			delete(l.flights, f.serial)
		}
		if from, ok := addressOf(f.caller); ok {
			l.money += amount(origin{address: from}, f.to, f.serial) * int64(n)
		}
	}
	return nil
}

// balance is the money in an entry of state.
func (l *ledger) balance(key, value string) (int64, error) {
	_, wire, err := l.value(key, value, "balance")
	if err != nil || wire == nil {
		return 0, err
	}
	return engine.Int64.Decode(wire)
}

// value returns a value of an entry of state; nil: it has none.
func (l *ledger) value(key, value, name string) (a address, wire []byte, err error) {
	fn, id, err := checkpoint.ParseStateKey([]byte(key))
	if err != nil {
		return a, nil, err
	}
	if a, err = l.address(fn, id); err != nil || !kinds[a.kind].counts {
		return a, nil, err
	}
	for v := range checkpoint.Values([]byte(value)) {
		if values := l.names[fn].Values; v.Number < len(values) && values[v.Number].Name == name {
			return a, v.Bytes, nil
		}
	}
	return a, nil, nil
}

// stateHash says which messages have taken effect where, by the state in the store. In which order, and how, does
// not matter.
func (r *run) stateHash() (sum uint64) {
	for key, value := range r.ledger.entries {
		if key[0] != checkpoint.KindState {
			continue
		}
		if a, wire, err := r.ledger.value(key, value, "sum"); err == nil && wire != nil {
			v, _ := hashType.Decode(wire)
			sum += mix(mix(uint64(a.kind), uint64(a.id)), v)
		}
	}
	return sum
}
