// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"

	"github.com/millrace-io/millrace/engine/internal/bridge"
	"github.com/millrace-io/millrace/engine/internal/clock"
)

func init() {
	bridge.Assemble = func(ctx context.Context, config any, clk clock.Clock, modules any, failed func(error)) (*bridge.Application, error) {
		w, err := assemble(ctx, config.(Config), clk, modules.([]Module))
		if err != nil {
			return nil, err
		}
		w.failed = failed
		e := &Engine{wiring: w, ctx: ctx, closed: make(chan struct{}), fault: make(chan struct{})}
		return &bridge.Application{
			Loops: w.loops, Pumps: w.pumps, Drains: w.drains, Epochs: w.epochs, Gate: w.gate,
			Entry: entry{e}, Memory: w.memory, Moving: w.moving, Epoch: w.announce.Epoch, Engine: e,
		}, nil
	}
}
