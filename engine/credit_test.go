// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/connector"
)

// eventSource has an event, a counter, whenever it is asked, one at a time, until more says no.
type eventSource struct {
	next uint64
	more func(events uint64) bool
}

func (*eventSource) Open(context.Context, []byte) error { return nil }

func (s *eventSource) Poll(_ context.Context, into *connector.Events) error {
	if !s.more(s.next) {
		return io.EOF
	}
	into.Append(nil, "", binary.LittleEndian.AppendUint64(nil, s.next))
	s.next++
	return nil
}

func (s *eventSource) Position() []byte { return binary.AppendUvarint(nil, s.next) }

func (*eventSource) Close() error { return nil }

var quiet = slog.New(slog.DiscardHandler)

type creditActor interface {
	Event(ctx *engine.Context, number uint64) error
}

var (
	creditFunc  = engine.Define[creditActor]("credit/waiting")
	creditType  = engine.Flat[uint64]("credit/event")
	creditInput = engine.Accept(creditFunc, creditType, creditActor.Event)
	creditIn    = engine.NewIngress("credit/in", creditType)
)

type creditFuncs func(ctx *engine.Context, number uint64) error

func (f creditFuncs) Event(ctx *engine.Context, number uint64) error { return f(ctx, number) }

// openCredit opens an engine of one shard in which all events go to one address.
func openCredit(t *testing.T, c engine.Config, src connector.Source, f creditFuncs) *engine.Engine {
	t.Helper()
	c.Shards, c.Logger, c.EpochInterval = 1, quiet, engine.EpochsOff
	e, err := engine.Open(t.Context(), c, engine.Module{Name: "credit", Bind: func(b *engine.Binder) error {
		engine.Bind(b, creditFunc, func(*engine.Schema) creditActor { return f })
		engine.Route(b, creditIn, creditInput, func(uint64) string { return "a" })
		engine.Connect(b, creditIn, src)
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// Messages that wait at an address hold ingress back, and it goes on when they have run, although nothing
// was sent or received then.
func TestIngressGoesOnAfterRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const events = 100
		failed := false
		src := &eventSource{more: func(n uint64) bool { return n < events }}
		e := openCredit(t, engine.Config{QueueBytesMax: 1000}, src, func(*engine.Context, uint64) error {
			if !failed {
				failed = true
				return errors.New("once")
			}
			return nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := e.Run(ctx); err != nil {
			t.Error(err)
		}
		if s := e.Stats(); s.Invocations() != events || s.IngressStalls == 0 {
			t.Errorf("%d invocations of %d events, %d stalls", s.Invocations(), events, s.IngressStalls)
		}
		if err := e.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// While the shard is busy, a source gets in what fits below the high-water mark, and not one event more.
func TestIngressStopsAtMark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const events, message = 10_000, 64
		const mark = events * message / 4
		busy := make(chan struct{})
		src := &eventSource{more: func(n uint64) bool { return n < events }}
		config := engine.Config{QueueBytesMax: mark, BatchMax: 1, RingSlots: 1 << 16} // No ring lags.
		e := openCredit(t, config, src, func(*engine.Context, uint64) error {
			<-busy
			return nil
		})
		done := make(chan error, 1)
		go func() { done <- e.Run(t.Context()) }()
		synctest.Wait() // Until the source waits.
		if s := e.Stats(); s.QueuedBytes != mark || s.IngressStalls != 1 {
			t.Errorf("%d bytes queued at a mark of %d, %d stalls", s.QueuedBytes, mark, s.IngressStalls)
		}
		close(busy)
		if err := <-done; err != nil {
			t.Error(err)
		}
		if s := e.Stats(); s.Invocations() != events || s.QueuedBytesPeak > mark+message {
			t.Errorf("%d invocations of %d events; peak %d bytes, mark %d", s.Invocations(), events, s.QueuedBytesPeak, mark)
		}
		if err := e.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
