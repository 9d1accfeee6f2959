// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"errors"
	"fmt"
	"reflect"
	"sync"
	"unsafe"

	"github.com/millrace-io/millrace/engine/internal/shard"
	"github.com/millrace-io/millrace/engine/statefun"
)

// Function is a function type as others see it: the contract I, an interface with one method for each
// message that may be sent to it. Whoever implements I implements the function; see [Bind].
//
// A Function is a name. It is declared once, as a package-level variable, by [Define], and holds nothing
// that changes.
type Function[I any] struct{ d *declaration }

// Type returns the function type.
func (f Function[I]) Type() FunctionType { return f.d.typ }

// AnyFunction is a Function of any contract.
type AnyFunction interface{ declared() *declaration }

func (f Function[I]) declared() *declaration { return f.d }

// declaration is what a program says of a function type, wherever it will be run.
type declaration struct {
	typ      FunctionType
	contract reflect.Type
	inputs   []*inputDeclaration
	any      func(impl unsafe.Pointer, inv *shard.Invocation, typename string, value []byte) error
}

// inputDeclaration is one message of a contract, with its Go type erased.
type inputDeclaration struct {
	number   int // Among all inputs that the process declares, in no particular order.
	fn       *declaration
	typename string
	goType   reflect.Type
	memory   func(impl unsafe.Pointer, inv *shard.Invocation, payload unsafe.Pointer) error
	encode   func(dst []byte, payload unsafe.Pointer) ([]byte, error) // Of what memory takes.
	wire     func(impl unsafe.Pointer, inv *shard.Invocation, payload []byte) error
	check    func(payload []byte) error // Whether it decodes.
}

// declared numbers all inputs of the process, so that a send finds its way by an index instead of by name.
// The numbers differ from build to build and never leave the process.
var declared struct {
	mu     sync.Mutex
	inputs []*inputDeclaration
}

// Define declares a function type, "<namespace>/<name>", with the contract I, which must be an
// interface. A malformed name panics, as in regexp.MustCompile: it stands in the program text.
func Define[I any](functionType string) Function[I] {
	typ, err := statefun.ParseFunctionType(functionType)
	if err != nil {
		panic("engine: Define: " + err.Error())
	}
	contract := reflect.TypeFor[I]()
	if contract.Kind() != reflect.Interface {
		panic(fmt.Sprintf("engine: Define(%q): the contract %v is not an interface", functionType, contract))
	}
	return Function[I]{&declaration{typ: typ, contract: contract}}
}

// Accept declares that f accepts messages of type M, which arrive in the method m of its contract. Give
// m as a method expression of the interface: Counter.Add.
func Accept[I, M any](f Function[I], t Type[M], m func(I, *Context, M) error) Input[M] {
	return declareInput(f, t, m)
}

// AcceptAny declares where messages of any other typename arrive.
func AcceptAny[I any](f Function[I], m func(I, *Context, TypedValue) error) {
	f.d.any = func(impl unsafe.Pointer, inv *shard.Invocation, typename string, value []byte) error {
		return m(*(*I)(impl), contextOf(inv), TypedValue{Typename: typename, Value: append([]byte(nil), value...)})
	}
}

func declareInput[I, M any](f Function[I], t Type[M], m func(I, *Context, M) error) Input[M] {
	if t.IsZero() {
		panic(fmt.Sprintf("engine: an input of %s has a Type that was never made", f.d.typ))
	}
	in := &input[M]{typ: t, fixed: t.IsFixed()}
	in.inputDeclaration = inputDeclaration{fn: f.d, typename: t.Typename(), goType: reflect.TypeFor[M]()}
	// These are the places where a message becomes a Go value. *(*I)(impl) and *(*M)(payload) are plain
	// loads, and m is a stored func: no dictionary is consulted, nothing is boxed.
	if in.fixed {
		in.memory = func(impl unsafe.Pointer, inv *shard.Invocation, payload unsafe.Pointer) error {
			return m(*(*I)(impl), contextOf(inv), *(*M)(payload))
		}
		in.encode = func(dst []byte, payload unsafe.Pointer) ([]byte, error) { return t.Append(dst, *(*M)(payload)) }
	}
	in.wire = func(impl unsafe.Pointer, inv *shard.Invocation, payload []byte) error {
		v, err := t.Decode(payload)
		if err != nil {
			return Permanent(err) // It will not decode better the next time.
		}
		return m(*(*I)(impl), contextOf(inv), v)
	}
	in.check = func(payload []byte) error { return decodes(t, payload) }
	declared.mu.Lock()
	defer declared.mu.Unlock()
	in.number = len(declared.inputs)
	declared.inputs = append(declared.inputs, &in.inputDeclaration)
	f.d.inputs = append(f.d.inputs, &in.inputDeclaration)
	return Input[M]{in}
}

// decodes reports why bytes from outside are no M. The codec is the user's code, called where no invocation
// is there to fail: its panic refuses the bytes, and its error, which may show what is only borrowed, is kept
// as text.
func decodes[M any](t Type[M], payload []byte) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: the codec of %s panicked: %v", ErrUndecodable, t.Typename(), p)
		}
	}()
	if _, err := t.Decode(payload); err != nil {
		return fmt.Errorf("%w: %v", ErrUndecodable, err)
	}
	return nil
}

// Request is an input that is answered with an R.
type Request[Q, R any] struct {
	Input[Q]
	reply Type[R]
}

// Answer declares that f accepts messages of type Q and answers each with an R, which goes to the caller
// as a message. The handler returns the answer, or ErrPending and answers in a later invocation. An answer
// that nobody takes, because the message came from an ingress or its sender has no input for R, is dropped
// and counted.
func Answer[I, Q, R any](f Function[I], q Type[Q], r Type[R], m func(I, *Context, Q) (R, error)) Request[Q, R] {
	request := Request[Q, R]{reply: r}
	request.Input = declareInput(f, q, func(impl I, ctx *Context, v Q) error {
		answer, err := m(impl, ctx, v)
		if errors.Is(err, ErrPending) {
			return nil
		}
		if err == nil {
			request.answer(ctx, answer)
		}
		return err
	})
	return request
}

// Reply answers the message that is being handled; without a caller the invocation fails. It may be used by any handler of the function, for
// instance when the answer was pending and arrives as another message from the same caller.
func (q Request[Q, R]) Reply(ctx *Context, r R) {
	if _, _, ok := ctx.inv.Caller(); !ok {
		ctx.inv.Fail(fmt.Errorf("reply with %s: %w", q.reply.Typename(), ErrNoCaller))
		return
	}
	q.answer(ctx, r)
}

// answer sends r to the caller. Who came from an ingress, or has no use for the answer, has sent the message
// for its effects: it must not be able to make the function fail.
func (q Request[Q, R]) answer(ctx *Context, r R) {
	fn, id, ok := ctx.inv.Caller()
	if !ok || !ctx.inv.Function(fn).Takes(q.reply.Typename()) {
		ctx.inv.DropAnswer()
		return
	}
	sendTyped(ctx, fn, alias(id), q.reply, r)
}
