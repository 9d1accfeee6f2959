// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/engine"
)

type alarmActor interface {
	Set(ctx *engine.Context, d time.Duration) error
	Ring(ctx *engine.Context, d time.Duration) error
}

var (
	durationType = engine.Flat[time.Duration]("alarm/duration")
	alarmFunc    = engine.Define[alarmActor]("alarm/clock")
	alarmSet     = engine.Accept(alarmFunc, durationType, alarmActor.Set)
	alarmRing    = engine.Accept(alarmFunc, engine.Flat[time.Duration]("alarm/ring"), alarmActor.Ring)
)

// alarms notes when each message came.
type alarms struct{ rang map[time.Duration]time.Time }

func (*alarms) Set(ctx *engine.Context, d time.Duration) error {
	alarmRing.Same().SendAfter(ctx, d, d)
	return nil
}

func (a *alarms) Ring(_ *engine.Context, d time.Duration) error {
	a.rang[d] = time.Now()
	return nil
}

// With real goroutines, which sleep until something is due, delayed messages come at their millisecond:
// not early, parts of a millisecond are rounded up, and not late, nobody sleeps on.
func TestDelayedMessagesComeOnTime(t *testing.T) {
	delays := []time.Duration{
		0, 1, time.Millisecond - 1, time.Millisecond, time.Millisecond + 1, 255 * time.Millisecond, 256 * time.Millisecond,
		time.Second, 70 * time.Second, time.Hour, 25 * time.Hour, 400 * 24 * time.Hour,
	}
	synctest.Test(t, func(t *testing.T) {
		for _, d := range delays {
			a := &alarms{map[time.Duration]time.Time{}}
			e, err := engine.Open(t.Context(), engine.Config{Shards: 1, EpochInterval: engine.EpochsOff, Logger: quiet},
				engine.Module{Name: "alarm", Bind: func(b *engine.Binder) error {
					engine.Bind(b, alarmFunc, func(*engine.Schema) alarmActor { return a })
					return nil
				}})
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			for _, after := range []time.Duration{500 * 24 * time.Hour, d} { // The second shortens the sleep.
				if err := alarmSet.To("a").Submit(t.Context(), e, after); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
			}
			due := d.Truncate(time.Millisecond)
			if due < d {
				due += time.Millisecond
			}
			time.Sleep(due)
			synctest.Wait()
			if got := a.rang[d]; !got.Equal(start.Add(due)) {
				t.Errorf("a message that is due after %v came after %v", d, got.Sub(start))
			}
			if err := e.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
}
