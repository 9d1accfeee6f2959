// SPDX-License-Identifier: Apache-2.0

package requestreply

import (
	"context"
	"errors"
	"fmt"

	"github.com/millrace-io/millrace/engine/remote"
)

// Handler serves requests in this process. The RequestReplyHandler of StateFun's Go SDK is one.
type Handler interface {
	// Invoke takes a ToFunction message, which is borrowed, and returns a FromFunction message, which is
	// given away.
	Invoke(ctx context.Context, toFunction []byte) ([]byte, error)
}

// InProcessConfig says how a [Handler] is called. Zero values stand for the defaults.
type InProcessConfig struct {
	// Concurrency bounds the calls of the handler at a time; requests beyond wait, and the wait counts. A
	// call that takes longer than its request may goes on counting until it returns. Default 64.
	Concurrency int
	// PayloadMax bounds a reply. Default 32 MiB.
	PayloadMax int
}

// inProcess is the [remote.Invoker] for a [Handler].
//
//	Invoke --> worker --> handler --> decode --> Done
//	              \--> time is over, or Close --> Done, and what the handler returns is dropped
type inProcess struct {
	c       InProcessConfig
	handler Handler
	crew    *crew
	base    context.Context // Over when the invoker is closed.
	stop    context.CancelFunc
}

// here is where all requests go.
var here = &target{text: "in process"}

// NewInProcess returns a [remote.Invoker] that has h serve the requests. What would be a status of 500 over
// HTTP, an error or a panic, is [remote.Refused].
func NewInProcess(h Handler, c InProcessConfig) remote.Invoker {
	if c.Concurrency <= 0 {
		c.Concurrency = 64
	}
	if c.PayloadMax <= 0 {
		c.PayloadMax = 32 << 20
	}
	p := &inProcess{c: c, handler: h}
	p.crew = newCrew(c.Concurrency, p.serve)
	p.base, p.stop = context.WithCancel(context.Background())
	return p
}

func (p *inProcess) Open(context.Context) error { return nil }

func (p *inProcess) Invoke(r *remote.Request) { p.crew.add(callOf(r, here)) }

func (p *inProcess) Close(ctx context.Context) error {
	p.stop()
	return p.crew.close(ctx)
}

// serve calls the handler. The request is ended by whoever comes first: the handler, with mine, or its
// time. Then it is the engine's again, while the handler may still be reading the buffer: that is left to
// the handler.
func (p *inProcess) serve(_ *worker, c *call) (mine bool, err error) {
	if c.buf, err = AppendRequest(c.buf[:0], c.r); err != nil {
		return true, c.locate(err)
	}
	ctx, cancel := context.WithDeadline(p.base, c.until)
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		c.r.Scratch = nil
		c.r.Done(p.over(c))
	})
	reply, err := p.call(ctx, c.buf)
	switch {
	case !stop():
		return false, nil
	case err != nil && ctx.Err() != nil:
		return true, p.over(c)
	case err != nil:
		return true, c.fail(remote.Refused, err)
	case len(reply) > p.c.PayloadMax:
		return true, c.fail(remote.TooLarge, fmt.Errorf("%d bytes, at most %d are accepted", len(reply), p.c.PayloadMax))
	}
	if err := DecodeReply(reply, &c.r.Reply); err != nil {
		return true, c.locate(err)
	}
	return true, nil
}

// over is what a call ends with whose time is over.
func (p *inProcess) over(c *call) error {
	if p.base.Err() != nil {
		return c.fail(remote.Unreachable, errClosed)
	}
	return c.fail(remote.TimedOut, errors.New("the handler has not returned"))
}

// call turns a panic into an error.
func (p *inProcess) call(ctx context.Context, toFunction []byte) (reply []byte, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	return p.handler.Invoke(ctx, toFunction)
}
