// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"time"
	"unsafe"

	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/statefun"
)

// Module is a bundle of functions, ingresses, routers and egresses. An application is made of one or more
// modules, which need not know each other.
type Module struct {
	Name string
	// Bind says what the module brings. Its error, and all that was bound wrongly, are returned by Open.
	Bind func(b *Binder) error
}

// Binder collects what the modules of one application bring.
type Binder struct {
	module    string
	functions []*function
	required  []required
	ingresses map[string]*ingress
	egresses  map[string]*egress
	sources   []source
	doors     []connector.Door
	endpoints []endpoint
	errs      []error
}

type required struct {
	module string
	typ    FunctionType
}

func newBinder() *Binder {
	return &Binder{ingresses: map[string]*ingress{}, egresses: map[string]*egress{}}
}

func (b *Binder) errorf(format string, args ...any) {
	b.errs = append(b.errs, fmt.Errorf("module %s: %w", b.module, fmt.Errorf(format, args...)))
}

// Require has Open fail unless some module provides the functions. For what a module sends to and does not
// bring itself.
func (b *Binder) Require(functions ...AnyFunction) {
	for _, f := range functions {
		b.required = append(b.required, required{b.module, f.declared().typ})
	}
}

// Door has the engine open a door, such as an HTTP server, when it runs.
func (b *Binder) Door(d connector.Door) {
	if d == nil {
		b.errorf("a door is nil")
		return
	}
	b.doors = append(b.doors, d)
}

// Sink has a sink deliver the records of an egress, "<namespace>/<name>", whatever their type. An egress has
// one sink. Functions that run elsewhere name egresses so; see [Deliver] for those of this process.
func (b *Binder) Sink(egress string, sink connector.Sink) {
	if err := statefun.ValidateTypename(egress); err != nil {
		b.errorf("egress: %w", err)
		return
	}
	b.deliver(egress, sink)
}

// FunctionOption sets how a function is run.
type FunctionOption func(*function)

// Retries sets how often a failed invocation is tried again, with back-off, before its address is
// suspended: its messages are kept, and go on after Engine.Resume. The default is 5.
func Retries(n int) FunctionOption { return func(f *function) { f.retries = n } }

const defaultRetries = 5

// IdleAfter has an address dropped, with all its state and its idempotency keys, when it has not been messaged for
// d: for every message that comes later it is a new one. d is at least a millisecond, and rounded up to whole
// ones; an address may be kept a 64th of d longer, because when it was last messaged is noted no more often than
// that.
//
// An address at which messages wait is spared, and one that owes a call under an idempotency key its answer, and
// one of which delayed messages are pending: for these the time counts from when the last of them has come due or
// has been cancelled. Time goes on while the engine does not run; when another d is given, it counts from the same
// moment.
func IdleAfter(d time.Duration) FunctionOption {
	return func(f *function) { f.idleAfter, f.idles = d, true }
}

// Bind has the module provide the function f. The engine calls provide once for each shard: the object that
// it returns belongs to that shard's goroutine, so that caches and scratch buffers in it need no lock. It
// is not an instance: what belongs to an id is kept in a [Value].
func Bind[I any](b *Binder, f Function[I], provide func(s *Schema) I, options ...FunctionOption) {
	fn := &function{
		typ:        f.d.typ,
		module:     b.module,
		inputs:     f.d.inputs,
		byTypename: make(map[string]envelope.Input, len(f.d.inputs)),
		any:        f.d.any,
		retries:    defaultRetries,
		provide: func(s *Schema) unsafe.Pointer {
			impl := new(I)
			*impl = provide(s)
			return unsafe.Pointer(impl)
		},
	}
	for _, o := range options {
		o(fn)
	}
	if fn.idles && fn.idleAfter < time.Millisecond {
		b.errorf("%s: addresses are dropped after %v: want at least 1ms", fn.typ, fn.idleAfter)
	}
	if fn.retries < 0 {
		b.errorf("%s: %d retries: the number must not be negative", fn.typ, fn.retries)
	}
	for i, in := range fn.inputs {
		if _, twice := fn.byTypename[in.typename]; twice {
			b.errorf("%s: two inputs have the typename %s: they could not be told apart", fn.typ, in.typename)
		}
		fn.byTypename[in.typename] = envelope.Input(i)
	}
	// Methods cannot be seen in method expressions, so they are counted: one contract method, one input.
	methods, used := f.d.contract.NumMethod(), len(fn.inputs)
	if fn.any != nil {
		used++
	}
	if used < methods {
		b.errorf("%s: the contract %v has %d methods, but only %d inputs are declared: use Accept, Answer or AcceptAny for each", fn.typ, f.d.contract, methods, used)
	}
	b.functions = append(b.functions, fn)
}
