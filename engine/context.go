// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/millrace-io/millrace/engine/internal/envelope"
	"github.com/millrace-io/millrace/engine/internal/shard"
	"github.com/millrace-io/millrace/engine/statefun"
)

// Context is the running invocation. There is one per shard, reused: it is valid until the handler
// returns, and only on the handler's goroutine.
//
// Nothing that a handler does waits, and all of it takes effect together when the handler returns nil;
// when it returns an error or panics, none of it does. A call that cannot succeed, such as a send to a
// function type that nobody provides, makes the invocation fail when the handler returns.
type Context struct {
	inv   shard.Invocation // First: contextOf relies on it.
	links *links
	buf   []byte // Scratch for encodings.
}

// contextOf returns the context that an invocation is the first field of.
func contextOf(inv *shard.Invocation) *Context { return (*Context)(unsafe.Pointer(inv)) }

// Self returns the address of the running instance. It copies the id; to send to the same id, use
// [Input.Same].
func (c *Context) Self() Address { return c.inv.Self() }

// Caller returns the address that sent the message; ok is false when it came from an ingress.
func (c *Context) Caller() (a Address, ok bool) {
	fn, id, ok := c.inv.Caller()
	if !ok {
		return Address{}, false
	}
	return Address{Type: c.inv.Function(fn).Type, ID: string(id)}, true
}

// Now returns engine time: it never runs backwards, not even across restarts, has a resolution of one
// millisecond, and stands still during a step.
func (c *Context) Now() time.Time { return c.inv.Now().Time() }

// Shard returns the number of the shard on which the invocation runs: for metrics and logs.
func (c *Context) Shard() int { return c.inv.Shard() }

// Cancel takes back a delayed message that an instance with this id has sent. It reports whether there was
// one that had not come due; an unknown, fired or cancelled token is not an error.
func (c *Context) Cancel(t Token) bool { return c.inv.Cancel(shard.Token(t)) }

// Send sends a value whose type is known only at run time.
func (c *Context) Send(to Address, m TypedValue) {
	fn, in, ok := c.resolve(to, m)
	if !ok {
		return
	}
	b, e := c.inv.Post(fn, in, statefun.KeyHash(to.ID), to.ID)
	writeValue(b, e, in, m)
}

// SendAfter is Send when d has passed in engine time, to the millisecond, rounded up.
func (c *Context) SendAfter(d time.Duration, to Address, m TypedValue) Token {
	fn, in, ok := c.resolve(to, m)
	if !ok {
		return 0
	}
	b, e, token := c.inv.PostAfter(milliseconds(d), fn, in, statefun.KeyHash(to.ID), to.ID)
	writeValue(b, e, in, m)
	return Token(token)
}

func (c *Context) resolve(to Address, m TypedValue) (fn envelope.Function, in envelope.Input, ok bool) {
	fn, known := c.inv.Lookup(to.Type)
	switch err := to.Validate(); {
	case err != nil:
		c.inv.Fail(err)
	case !known:
		c.inv.Fail(fmt.Errorf("%s: %w", to.Type, ErrNoFunction))
	case len(m.Value) > c.links.limits.PayloadBytesMax:
		c.inv.Fail(fmt.Errorf("%s of %d bytes: %w of %d", clip(m.Typename), len(m.Value), ErrLimit, c.links.limits.PayloadBytesMax))
	default:
		in, err = accepts(c.inv.Function(fn), m)
		if err == nil {
			err = c.links.directory.at(fn).refuses(m.Typename, to.ID, c.selfID())
		}
		if err == nil {
			return fn, in, true
		}
		c.inv.Fail(fmt.Errorf("send to %s: %w", to.Type, err))
	}
	return 0, 0, false
}

// accepts finds the input for a value, and refuses what the function cannot take: the sender is to hear of
// it, not the receiver, whose address would be suspended.
func accepts(f *shard.Function, m TypedValue) (envelope.Input, error) {
	in, known := f.ByTypename[m.Typename]
	switch {
	case known:
		return in, f.Inputs[in].Check(m.Value)
	case !f.Takes(m.Typename):
		return 0, fmt.Errorf("%s: %w", clip(m.Typename), ErrNoInput)
	}
	return envelope.Untyped, statefun.ValidateTypename(m.Typename)
}

func writeValue(b *envelope.Batch, e *envelope.Envelope, in envelope.Input, m TypedValue) {
	if in == envelope.Untyped {
		b.SetNamed(e, m.Typename, m.Value)
	} else {
		b.SetWire(e, m.Value)
	}
}

// link returns where messages of an input go, or fails the invocation.
func (c *Context) link(in *inputDeclaration, id string) *link {
	if l := c.links.of(in); l != nil && id != "" && len(id) <= statefun.IDBytesMax && (!l.text || utf8.ValidString(id) && utf8.ValidString(c.selfID())) {
		return l
	}
	c.badLink(in, id)
	return nil
}

// selfID views the running instance's id.
func (c *Context) selfID() string {
	id, _ := c.inv.SelfID()
	return alias(id)
}

func (c *Context) badLink(in *inputDeclaration, id string) {
	if err := statefun.ValidateID(id); err != nil {
		c.inv.Fail(fmt.Errorf("send to %s: %w", in.fn.typ, err))
		return
	}
	if l := c.links.of(in); l != nil {
		c.inv.Fail(c.links.directory.at(l.fn).refuses(in.typename, id, c.selfID()))
		return
	}
	c.inv.Fail(c.links.missing(in))
}
