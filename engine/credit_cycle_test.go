// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine"
)

// hop is a message of a tree: whoever gets it sends two more to the other function, until none are left.
type hop struct{ Left, Key uint32 }

type cycleActor interface {
	Hop(ctx *engine.Context, m hop) error
}

var (
	hopType  = engine.Flat[hop]("credit/hop")
	cycle    = [2]engine.Function[cycleActor]{engine.Define[cycleActor]("credit/a"), engine.Define[cycleActor]("credit/b")}
	cycleHop = [2]engine.Input[hop]{
		engine.Accept(cycle[0], hopType, cycleActor.Hop), engine.Accept(cycle[1], hopType, cycleActor.Hop),
	}
	cycleIDs = func() (ids [1024]string) {
		for i := range ids {
			ids[i] = fmt.Sprintf("%08d", i)
		}
		return ids
	}()
)

type cycleFunc struct {
	other  engine.Input[hop]
	visits engine.Value[int64]
}

func (f cycleFunc) Hop(ctx *engine.Context, m hop) error {
	*f.visits.Edit(ctx)++
	if m.Left > 0 {
		for i := range uint32(2) {
			key := 2*m.Key + i + 1
			f.other.To(cycleIDs[key%uint32(len(cycleIDs))]).Send(ctx, hop{m.Left - 1, key})
		}
	}
	return nil
}

// A graph that cycles and grows, A to B to A, with one slot in each ring and batches of one, while a
// source pushes as fast as it can: it completes, ingress is held back, and no more is ever queued than
// the high-water mark and what comes of one event.
//
// That holds by arithmetic, whatever the scheduler does. An event gets in only while no ring lags, that
// is, while no ring has more than its one slot's batch, and each batch is one message. What else is inside
// then is in the hands of shards, in the middle of a turn: up to eight batches from shards and one from
// the source. Each of these messages grows into what its remaining hops allow, and no other can; so
// with a mark that is the sum of all that, whatever was inside stays below the mark, and what comes of
// the event that got in is on top. Bytes that wait below the mark but have still to grow are why a mark
// alone could not promise it.
func TestCreditHoldsInCycle(t *testing.T) {
	const (
		hops   = 5
		shards = 2
		turn   = 8 // Batches from shards that one turn takes.

		message = 64 + 4 + 8 // An envelope and its caller, whose id has 8 bytes.
		fanOut  = (1<<(hops+1) - 1) * message
		inner   = (1<<hops - 1) * message // The same of a message between functions.
		mark    = shards*(shards*inner+fanOut) + shards*(turn*inner+fanOut)
		events  = invocations/(1<<(hops+1)-1) + 1
	)
	in := engine.NewIngress("credit/hops", creditType)
	src := &eventSource{more: func(n uint64) bool { return n < events }}
	e, err := engine.Open(t.Context(), engine.Config{
		Shards: shards, RingSlots: 1, BatchMax: 1, QueueBytesMax: mark, Logger: quiet, EpochInterval: 20 * time.Millisecond,
	}, engine.Module{Name: "cycle", Bind: func(b *engine.Binder) error {
		for i := range cycle {
			engine.Bind(b, cycle[i], func(s *engine.Schema) cycleActor {
				return cycleFunc{cycleHop[1-i], engine.NewValue(s, "visits", engine.Int64)}
			})
		}
		engine.RouteFunc(b, in, func(d *engine.Downstream, n uint64) error {
			return engine.Forward(d, cycleHop[0].To(cycleIDs[n%uint64(len(cycleIDs))]), hop{hops, uint32(n)})
		})
		engine.Connect(b, in, src)
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Run(t.Context()); err != nil {
		t.Error(err)
	}
	if err := e.Close(t.Context()); err != nil {
		t.Error(err)
	}
	s := e.Stats()
	t.Logf("%d invocations, %d stalls, peak %d bytes, mark %d, one event %d", s.Invocations(), s.IngressStalls, s.QueuedBytesPeak, mark, fanOut)
	if want := int64(events * (1<<(hops+1) - 1)); s.Invocations() != want {
		t.Errorf("%d invocations, want %d", s.Invocations(), want)
	}
	if s.QueuedBytesPeak > mark+fanOut {
		t.Errorf("%d bytes were queued, more than the mark of %d and the %d of one event", s.QueuedBytesPeak, mark, fanOut)
	}
	if s.IngressStalls == 0 {
		t.Error("ingress was never held back")
	}
}
