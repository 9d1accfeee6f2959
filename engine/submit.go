// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"fmt"
	"unicode/utf8"

	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/statefun"
)

// Submit sends m from outside and returns when it is accepted, or, with [Durable], when it is in a committed
// checkpoint. It waits for credit.
func (r Ref[M]) Submit(ctx context.Context, e *Engine, m M, options ...SubmitOption) error {
	waits, err := e.receipt(delivery(options), "", nil)
	if err != nil {
		return err
	}
	if err := submit(ctx, e, r.in, r.id, m, "", waits); err != nil {
		return err
	}
	if err := e.receive(ctx, waits); err != nil {
		return fmt.Errorf("engine: submit to %v: %w", r.in.fn.typ, err)
	}
	return nil
}

func submit[M any](ctx context.Context, e *Engine, in *input[M], id string, m M, callerID string, waits *receipt) error {
	l := e.links.of(&in.inputDeclaration)
	if l == nil {
		return fmt.Errorf("engine: submit: %w", e.links.missing(&in.inputDeclaration))
	}
	if err := statefun.ValidateID(id); err != nil {
		return fmt.Errorf("engine: submit to %v: %w", in.fn.typ, err)
	}
	if e.closing.Load() {
		return fmt.Errorf("engine: submit to %v: %w", in.fn.typ, ErrClosing)
	}
	if l.text && !utf8.ValidString(id) {
		return fmt.Errorf("engine: submit: %w", e.directory.at(l.fn).refuses(in.typename, id))
	}
	if err := e.credit(ctx); err != nil {
		return fmt.Errorf("engine: submit to %v: %w", in.fn.typ, err)
	}
	if err := e.crowded(l.fn); err != nil {
		return fmt.Errorf("engine: submit: %w", err)
	}
	if err := e.waits(Address{Type: in.fn.typ, ID: id}); err != nil {
		return fmt.Errorf("engine: submit: %w", err)
	}
	b := pool.Get().(*envelope.Batch)
	hash := statefun.KeyHash(id)
	out := b.Append(l.fn, l.input, hash, id)
	if in.fixed && l.memory {
		in.writeFixed(b, out, m)
	} else if err := encode(b, out, l.input, in.typ, m, e.links.limits.PayloadBytesMax); err != nil {
		recycle(b)
		return fmt.Errorf("engine: submit to %v: %w", in.fn.typ, err)
	}
	if callerID != "" {
		from, _ := e.directory.number(callerType)
		out.SetCaller(b.AppendCaller(from, []byte(callerID)))
	}
	waits.attach(b)
	if err := e.enter(ctx, hash, b); err != nil {
		return fmt.Errorf("engine: submit to %v: %w", in.fn.typ, err)
	}
	return nil
}

// SubmitOption says what Submit and Ask wait for.
type SubmitOption struct{ durable bool }

// Durable has Submit and Ask return only when the message, and its answer, are in a committed checkpoint: then no
// crash loses them. If ctx ends before, or the engine stops, it is not known whether they are. An engine without
// epochs promises nothing, and returns at once.
func Durable() SubmitOption { return SubmitOption{durable: true} }

// delivery puts options together.
func delivery(options []SubmitOption) (d connector.Delivery) {
	for _, o := range options {
		d.Durable = d.Durable || o.durable
	}
	return d
}
