// SPDX-License-Identifier: Apache-2.0

package remote

import (
	"context"
	"errors"
	"fmt"

	"github.com/millrace-io/millrace/loadgen"
)

// Run measures both sides and returns the report, which is worth nothing when the error is not nil. The
// program has to run [Serve] when it is started with [ServeCommand].
func Run(ctx context.Context, c Config) (report Report, err error) {
	if err := c.Validate(); err != nil {
		return Report{}, err
	}
	c = c.withDefaults()
	t, err := open(c)
	if err != nil {
		return Report{}, fmt.Errorf("loadgen: %w", err)
	}
	defer func() {
		if err = errors.Join(err, t.close()); err != nil {
			report, err = Report{}, fmt.Errorf("loadgen: %w", err)
		}
	}()
	report = newReport(c)
	var all []round
	for i, invocations := range c.Invocations {
		var rounds []round
		for n := range c.Rounds {
			var profiles loadgen.Profiles
			if i == len(c.Invocations)-1 && n == c.Rounds-1 {
				profiles = c.Profiles
			}
			r, err := measureBoth(ctx, c, t, invocations, profiles)
			if err != nil {
				return Report{}, err
			}
			fmt.Fprintf(c.Log, "%d per request, round %d of %d: bare %s/s, Millrace %s/s, ratio %.3f\n", invocations,
				n+1, c.Rounds, grouped(r.bare.invocationsPerS()), grouped(r.millrace.invocationsPerS()), r.ratio())
			rounds = append(rounds, r)
		}
		report.add(invocations, c.keys(invocations), rounds)
		all = append(all, rounds...)
	}
	report.total(all)
	return report, nil
}

// round is both sides, one after the other.
type round struct{ bare, millrace side }

func (r round) ratio() float64 { return r.millrace.invocationsPerS() / r.bare.invocationsPerS() }

// cpuRatio is the ratio of the processor times that an invocation takes on the one side and on the other; 0
// where the system does not say.
func (r round) cpuRatio() float64 {
	each := func(s side) float64 { return float64(s.cpu+s.served) / float64(s.invocations) }
	if each(r.millrace) == 0 {
		return 0
	}
	return each(r.bare) / each(r.millrace)
}

func measureBoth(ctx context.Context, c Config, t target, invocations int, profiles loadgen.Profiles) (r round, err error) {
	if r.bare, err = measureBare(ctx, c, t, invocations); err != nil {
		return r, fmt.Errorf("bare client: %w", err)
	}
	if r.millrace, err = measureMillrace(ctx, c, t, invocations, profiles); err != nil {
		return r, fmt.Errorf("engine: %w", err)
	}
	c.Bare.Took(r.bare.latency.nanos)
	c.Millrace.Took(r.millrace.latency.nanos)
	return r, nil
}
