// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/loadgen/keys"
)

// send offers messages in one goroutine, and never waits for credit. What came due while it slept it sends at once.
func (o offer) send(ctx context.Context, in connector.Entry, s settings, executed *atomic.Int64) (c counts) {
	const (
		windowMax = 1024 // Messages under way when no rate is asked for.
		burst     = 64   // Between two looks at the clock.
		pause     = 200 * time.Microsecond
	)
	to := make([]engine.Address, s.Keys)
	for i := range to {
		to[i] = engine.Address{Type: engine.FunctionType{Namespace: "bench", Name: "worker"}, ID: keys.ID(i)}
	}
	m := engine.TypedValue{Typename: taskType.Typename(), Value: s.body()}
	begin, before := time.Now(), executed.Load()
	for elapsed := 0.0; elapsed < o.Seconds; elapsed = time.Since(begin).Seconds() {
		due := int64(o.Rate * elapsed)
		if o.Rate == 0 {
			due = executed.Load() - before + windowMax
		}
		if c.Sent >= due {
			time.Sleep(pause)
			continue
		}
		for range min(burst, due-c.Sent) {
			switch err := in.Send(ctx, to[c.Sent%int64(len(to))], m, connector.Delivery{}); {
			case err == nil:
				c.Accepted++
			case errors.Is(err, connector.ErrNoCredit):
				c.Refused++
			default:
				c.Failed++
			}
			c.Sent++
		}
	}
	c.Seconds = time.Since(begin).Seconds()
	c.Unsent = max(int64(o.Rate*c.Seconds)-c.Sent, 0)
	return c
}
