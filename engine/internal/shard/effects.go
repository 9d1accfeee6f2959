// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"fmt"
	"unsafe"

	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/internal/table"
	"github.com/millrace-io/millrace/engine/remote"
	"github.com/millrace-io/millrace/engine/statefun"
)

// apply lets what a reply says take effect, all of it, or none and says why (I1). The order is StateFun's:
// messages, delayed messages and cancellations, egress records, state.
func (s *Shard) apply(fn *Function, slot table.Slot, row *table.Row, c *Call, messages int) error {
	inv := s.enter(fn, slot, row)
	if err := inv.replay(&c.Reply, c.specs); err != nil {
		s.rollback()
		return err
	}
	s.settle(fn, slot, row)
	s.Counts.Invocations += uint64(messages)
	fn.Counts.In += uint64(messages)
	return nil
}

func (inv *Invocation) replay(r *remote.Reply, specs *Specs) error {
	for i := range r.Messages {
		if err := inv.send(&r.Messages[i]); err != nil {
			return err
		}
	}
	for i := range r.Delayed {
		d := &r.Delayed[i]
		if d.Cancel {
			inv.cancelNamed(alias(d.Token))
		} else if err := inv.sendAfter(d); err != nil {
			return err
		}
	}
	for i := range r.Egress {
		if err := inv.emit(&r.Egress[i]); err != nil {
			return err
		}
	}
	if len(r.Mutations) > 0 {
		return inv.mutate(specs, r.Mutations)
	}
	return nil
}

func (inv *Invocation) send(o *remote.Outgoing) error {
	fn, in, err := inv.target(o)
	if err != nil {
		return err
	}
	id := alias(o.ID)
	b, e := inv.Post(fn, in, statefun.KeyHash(id), id)
	fill(b, e, &o.Payload)
	return inv.err // Over the limit: a million more would only take time.
}

func (inv *Invocation) sendAfter(d *remote.Delayed) error {
	fn, in, err := inv.target(&d.Outgoing)
	if err != nil {
		return err
	}
	if len(d.Token) > 0 && inv.isLive(alias(d.Token)) {
		return fmt.Errorf("a second delayed message with the cancellation token %q, which is in use", clip(d.Token))
	}
	id := alias(d.ID)
	b, e, token := inv.PostAfter(d.Delay, fn, in, statefun.KeyHash(id), id)
	fill(b, e, &d.Payload)
	if token != 0 && len(d.Token) > 0 {
		inv.nameStaged(alias(d.Token))
	}
	return inv.err
}

func (inv *Invocation) emit(o *remote.Emitted) error {
	number, ok := inv.shard.egresses[EgressName{alias(o.Namespace), alias(o.Name)}]
	if !ok {
		return fmt.Errorf("egress %s/%s: %w", clip(o.Namespace), clip(o.Name), ErrNoEgress)
	}
	if err := inv.fits(&o.Payload); err != nil {
		return err
	}
	b, e := inv.PostEgress(number)
	fill(b, e, &o.Payload)
	return inv.err
}

// target finds where a message goes, and refuses what cannot be taken there: the sender is to hear of it,
// not the receiver.
func (inv *Invocation) target(o *remote.Outgoing) (fn envelope.Function, in envelope.Input, err error) {
	s := inv.shard
	t := statefun.FunctionType{Namespace: alias(o.Namespace), Name: alias(o.Name)}
	fn, ok := s.lookup(t)
	if !ok {
		return 0, 0, fmt.Errorf("message to %s/%s: %w", clip(o.Namespace), clip(o.Name), ErrNoFunction)
	}
	if len(o.ID) == 0 || len(o.ID) > statefun.IDBytesMax {
		return 0, 0, fmt.Errorf("message to %v: %w", t, statefun.ValidateID(alias(o.ID)))
	}
	if err := inv.fits(&o.Payload); err != nil {
		return 0, 0, fmt.Errorf("message to %v: %w", t, err)
	}
	f := s.function(fn)
	in, ok = f.ByTypename[alias(o.Typename)]
	switch {
	case ok:
		if err := f.Inputs[in].Check(o.Value); err != nil {
			return 0, 0, fmt.Errorf("message to %v: %w", t, err)
		}
		return fn, in, nil
	case !f.Takes(alias(o.Typename)):
		return 0, 0, fmt.Errorf("%s to %v: %w", clip(o.Typename), t, ErrNoInput)
	}
	return fn, envelope.Untyped, nil
}

func (inv *Invocation) fits(p *remote.Payload) error {
	if most := inv.shard.limits.PayloadBytesMax; len(p.Value) > most {
		return fmt.Errorf("%s of %d bytes: %w of %d", clip(p.Typename), len(p.Value), ErrLimit, most)
	}
	if len(p.Typename) > statefun.TypenameBytesMax {
		return fmt.Errorf("typename of %d bytes: %w of %d", len(p.Typename), ErrLimit, statefun.TypenameBytesMax)
	}
	return nil
}

func fill(b *envelope.Batch, e *envelope.Envelope, p *remote.Payload) {
	if e.Input != envelope.Untyped {
		b.SetWire(e, p.Value)
		return
	}
	b.SetNamed(e, alias(p.Typename), p.Value)
	if p.Absent {
		e.SetAbsent()
	}
}

// alias views borrowed bytes as a string, for calls that copy what they keep.
func alias(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// bytesOf views a string as bytes, which nobody may change.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// clip keeps what strangers choose from filling errors.
func clip(b []byte) string {
	const most = 80
	if len(b) > most {
		return string(b[:most]) + "…"
	}
	return string(b)
}
