// SPDX-License-Identifier: Apache-2.0

package remote

import (
	"context"
	"time"

	"github.com/millrace-io/millrace/loadgen"
)

// side is what one side, the bare client or the engine, has done in one round.
type side struct {
	counts
	seconds  float64
	cpu      time.Duration // Of this process, and of the one that serves,
	served   time.Duration // if that is another one.
	latency  latency       // Of requests.
	verified bool
	report   loadgen.Report // Of the engine's side.
}

func (s side) invocationsPerS() float64 { return float64(s.invocations) / s.seconds }

func (s side) requestsPerS() float64 { return float64(s.requests) / s.seconds }

// cpuMicros is a processor time for one request.
func (s side) cpuMicros(spent time.Duration) float64 {
	return float64(spent) / 1e3 / float64(s.requests)
}

// measure takes how much is done in a time, of a load that runs already and goes on afterwards: neither side
// is measured while it starts or ends. It waits longer when nothing has been done.
func measure(ctx context.Context, each time.Duration, t target, curve *loadgen.Curve, done func() counts) (s side, err error) {
	_, served, err := t.asked()
	if err != nil {
		return side{}, err
	}
	const looks = 50
	look := time.NewTicker(max(each/looks, time.Millisecond))
	defer look.Stop()
	curve.Observe(0, 0)
	drawn := curve.Last()
	before, cpu, start := done(), cpuTime(), time.Now()
	for end := time.After(each); s.requests == 0 || s.invocations == 0; {
		select {
		case <-look.C:
			curve.Observe(drawn.At+time.Since(start), drawn.Done+done().since(before).invocations)
			continue
		case <-end:
			end = time.After(each)
		case <-ctx.Done():
			return side{}, context.Cause(ctx)
		}
		s.counts, s.cpu, s.seconds = done().since(before), cpuTime()-cpu, time.Since(start).Seconds()
	}
	_, servedNow, err := t.asked()
	s.served = servedNow - served
	return s, err
}
