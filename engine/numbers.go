// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/internal/checkpoint"
	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/internal/shard"
	"github.com/millrace-io/millrace/engine/remote"
)

// The numbers of function types and of state values stand in the keys and values of a checkpoint's entries.
// They are the same for the life of a store, so that recovery has nothing to rewrite (P28): what a checkpoint
// knows keeps the number that it has there, whether anybody still provides it or not, and what is new comes
// behind.

// storedFunction is a function type as a checkpoint knows it.
type storedFunction struct {
	typ    FunctionType
	values []checkpoint.ValueName
}

// numberFunctions lists all function types by number: those of the checkpoint, then the new ones by name, so
// that the same application has the same numbers.
func (b *Binder) numberFunctions(stored []storedFunction) []*function {
	list := make([]*function, len(stored))
	numbers := make(map[FunctionType]int, len(stored))
	for n, s := range stored {
		numbers[s.typ] = n
	}
	for _, f := range b.bound() {
		if n, ok := numbers[f.typ]; ok && list[n] == nil {
			list[n] = f
		} else {
			list = append(list, f) // If it is there twice, check says so.
		}
	}
	for n, s := range stored {
		if list[n] == nil {
			list[n] = b.unbound(s.typ)
		}
		list[n].recall(s.values)
	}
	return list
}

// bound lists what the modules provide by name, and the types of callers, ordered by name.
func (b *Binder) bound() []*function {
	functions := slices.Clone(b.functions)
	functions = append(functions, &function{typ: callerType, external: true})
	for i := range b.endpoints {
		if ep := &b.endpoints[i]; ep.Functions.Exact() {
			functions = append(functions, elsewhere(FunctionType{Namespace: ep.Functions.Namespace, Name: ep.Functions.Name}, ep))
		}
	}
	for _, d := range b.doors {
		if c, ok := d.(connector.Caller); ok {
			functions = append(functions, &function{typ: c.CallerType(), external: true})
		}
	}
	slices.SortStableFunc(functions, func(a, b *function) int { return strings.Compare(a.typ.String(), b.typ.String()) })
	return slices.CompactFunc(functions, func(a, b *function) bool { return a.external && b.external && a.typ == b.typ })
}

// unbound is a function type of a checkpoint that no module provides by name. The endpoint of its namespace
// serves it, as when it turned up. It does not count there as one that has: that bounds what strangers make
// up in one run. Without such an endpoint its number is kept, and what waits for it (P38).
func (b *Binder) unbound(t FunctionType) *function {
	for i := range b.endpoints {
		if ep := &b.endpoints[i]; ep.Functions.Matches(t) {
			return elsewhere(t, ep)
		}
	}
	return &function{typ: t, absent: true}
}

// recall tells a function type which state values the checkpoint knows of it.
func (f *function) recall(values []checkpoint.ValueName) {
	f.values = slices.Clone(values)
	if f.states == nil || len(values) == 0 {
		return
	}
	list := make([]shard.Spec, len(values))
	for n, v := range values {
		expiry := min(remote.Expiry(v.Expiry), remote.AfterInvoke) // A function of this process knows more kinds.
		list[n].Spec = remote.Spec{Name: v.Name, Typename: v.Typename, Expiry: expiry, TTL: int64(v.TTL)}
	}
	f.states.known.Store(shard.NewSpecs(list))
}

// numberValues gives the state values that functions of this process have declared their numbers. One that the
// checkpoint knows must be of the same type.
func (b *Binder) numberValues(functions []*function, schemas [][]schema) {
	for i, f := range functions {
		stored := len(f.values)
		if f.external && stored > 0 {
			b.errs = append(b.errs, fmt.Errorf("%s is the type of callers from outside, and the store has state of functions of that name: choose another name", f.typ))
		}
		declared := schemas[0][i].values
		numbers := f.valueNumbers()
		known := 0
		for _, v := range declared {
			n, ok := numbers[v.Name]
			if !ok {
				numbers[v.Name] = len(f.values)
				f.values = append(f.values, checkpoint.ValueName{Name: v.Name, Typename: v.Typename, Expiry: byte(v.Expiry), TTL: uint64(v.TTL)})
				continue
			}
			known++
			f.values[n].Expiry, f.values[n].TTL = byte(v.Expiry), uint64(v.TTL)
			if was := f.values[n].Typename; was != v.Typename {
				b.errs = append(b.errs, fmt.Errorf("%s: state value %q is a %s, and the store has it as a %s: to change its type, rename it", f.typ, v.Name, v.Typename, was))
			}
		}
		for s := range schemas {
			for j := range schemas[s][i].values {
				v := &schemas[s][i].values[j]
				v.Number = numbers[v.Name]
			}
		}
		f.undeclared = known < stored
		b.checkValues(f, stored-known, len(declared))
	}
}

// valueNumbers returns the numbers of the state values that are known, by name.
func (f *function) valueNumbers() map[string]int {
	numbers := make(map[string]int, len(f.values))
	for n, v := range f.values {
		numbers[v.Name] = n
	}
	return numbers
}

func (b *Binder) checkValues(f *function, undeclared, declared int) {
	if n := len(f.values); n > checkpoint.NumbersMax {
		b.errs = append(b.errs, fmt.Errorf("%s: %d state values, with %d that the store has and the function no longer declares: at most %d are possible",
			f.typ, n, undeclared, checkpoint.NumbersMax))
	}
	// What is not declared is kept together and needs a mark of its own.
	if f.provide != nil && f.undeclared && declared == checkpoint.ValuesMax {
		b.errs = append(b.errs, fmt.Errorf("%s: %d state values, and %d that the store has and the function no longer declares: at most %d are possible beside those",
			f.typ, declared, undeclared, checkpoint.ValuesMax-1))
	}
}

// checkCount bounds the function types. Those of the checkpoint count: numbers are not used again.
func (b *Binder) checkCount(functions []*function) {
	absent := 0
	for _, f := range functions {
		if f.absent {
			absent++
		}
	}
	switch n := len(functions); {
	case n <= envelope.FunctionsMax:
	case absent == 0:
		b.errs = append(b.errs, fmt.Errorf("%d function types: at most %d are possible", n, envelope.FunctionsMax))
	default:
		b.errs = append(b.errs, fmt.Errorf("%d function types, with %d that the store knows and no module provides: at most %d are possible", n, absent, envelope.FunctionsMax))
	}
}

// valueNames says what the numbers of the function type's state values mean by now.
func (f *function) valueNames() []checkpoint.ValueName {
	if f.states == nil {
		return f.values
	}
	specs := f.states.specs()
	names := make([]checkpoint.ValueName, len(specs))
	for n, s := range specs {
		names[n] = checkpoint.ValueName{Name: s.Name, Typename: s.Typename, Expiry: byte(s.Expiry), TTL: uint64(s.TTL)}
	}
	return names
}

// names says what the numbers of function types and of state values mean by now.
func (w *wiring) names() []byte {
	functions := w.directory.all()
	names := make([]checkpoint.FunctionNames, len(functions))
	for n, f := range functions {
		names[n] = checkpoint.FunctionNames{Function: f.typ.String(), Values: f.valueNames()}
	}
	return checkpoint.AppendNames(nil, names)
}
