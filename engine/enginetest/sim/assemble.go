// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/internal/bridge"
	"github.com/millrace-io/millrace/engine/internal/clock"
)

const application = "sim"

func (r *run) assemble() error {
	cfg := r.Case.Config
	config := engine.Config{
		Application: application, Shards: r.layout.Shards, KeyGroups: cfg.KeyGroups, BatchMax: r.layout.BatchMax,
		RingSlots: r.layout.RingSlots, InboxSlots: cfg.InboxSlots, QueueBytesMax: r.layout.QueueBytesMax,
		OutboxBytesMax: r.layout.OutboxBytesMax, PayloadBytesMax: payloadBytesMax, SendsMax: sendsMax, EpochInterval: time.Hour,
		Logger: slog.New(slog.DiscardHandler), Seed: 1,
	}
	if !cfg.epochs() {
		config.EpochInterval = engine.EpochsOff
	}
	if r.recorder != nil {
		config.Backend = r.recorder
	}
	ctx, end := context.WithCancel(context.Background())
	app, err := bridge.Assemble(ctx, config, r.clock, []engine.Module{{Name: application, Bind: r.bind}}, r.sourceFailed)
	if r.disk != nil && r.disk.Dead() {
		r.crash("while it recovers")
	}
	if err != nil {
		end()
		return err
	}
	r.app, r.end = app, end
	r.started, r.first = r.clock.Now(), app.Loops[0].Epoch()
	if cp := r.ledger.cp; cp.Epoch != 0 && (r.first != cp.Epoch+1 && cfg.epochs() || r.started < clock.Instant(cp.CreatedAt)) {
		return fmt.Errorf("recovery: epoch %d at %d begins at %d, after epoch %d at %d (P33, P37)", r.first, r.started, r.clock.Now(), cp.Epoch, cp.CreatedAt)
	}
	r.logf("start   with %d shards in epoch %d at %d", r.layout.Shards, r.first, r.started)
	r.trace.add(uint64(r.layout.Shards), uint64(r.first), uint64(r.started))
	for _, l := range app.Loops {
		l.SetPace(r.layout.Pace)
	}
	for _, p := range app.Pumps {
		p.Open(ctx)
	}
	return nil
}

// sourceFailed is called by the engine when an ingress stops.
func (r *run) sourceFailed(err error) {
	if !errors.Is(err, errFault) {
		r.violate(err)
	}
}

func (r *run) close() (err error) {
	if r.app == nil {
		return nil
	}
	if r.recorder != nil && !r.dead {
		err = r.recorder.Close()
	}
	r.end()
	r.app.Memory.Free()
	return err
}

// hides reports whether a function does not declare a value in this life: what there is of it is kept.
func (r *run) hides(k, slot int) bool {
	first := 0
	if kinds[k].counts {
		first = slotsKept
	}
	n := len(r.slots[k]) - first
	return r.layout.Hides && !kinds[k].far && kinds[k].idle == 0 && n > 0 && slot == first+r.layout.Order%n
}

// bind binds everything there is.
func (r *run) bind(b *engine.Binder) error {
	for i := range nears {
		options := []engine.FunctionOption{engine.Retries(r.Case.Config.Retries)}
		if d := kinds[i].idle; d > 0 {
			options = append(options, engine.IdleAfter(time.Duration(d)*time.Millisecond))
		}
		engine.Bind(b, kinds[i].fn, func(s *engine.Schema) actor {
			p := &player{run: r, kind: i, slots: kinds[i].slots()}
			for n := range p.slots { // In another order each time: names count.
				if n = (n + r.layout.Order) % len(p.slots); !r.hides(i, n) {
					p.slots[n].declare(s)
				}
			}
			return p
		}, options...)
	}
	r.bindFar(b)
	engine.RouteFunc(b, ingress, r.route)
	for _, s := range r.sources[:len(r.sources)-r.layout.Absent] {
		engine.Connect(b, ingress, s)
	}
	for i, s := range r.sinks {
		engine.Deliver(b, egresses[i], s)
	}
	return nil
}
