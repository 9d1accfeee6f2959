// SPDX-License-Identifier: Apache-2.0

package httpload

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/millrace-io/millrace/loadgen"
)

// Run sends requests and returns what came of them. The report is worth nothing when the error is not nil: when
// ctx ended before the load, or when nothing was answered at all.
func Run(ctx context.Context, c Config) (Report, error) {
	if err := c.Validate(); err != nil {
		return Report{}, err
	}
	c = c.withDefaults()
	r := &run{Config: c, results: newResults()}
	if err := r.reach(ctx); err != nil {
		return Report{}, fmt.Errorf("loadgen: %s cannot be reached: %w", c.URL, err)
	}
	var report Report
	err := c.Profiles.During(func() (err error) {
		before := loadgen.ReadUsage(nil)
		if err = r.load(ctx); err == nil {
			report = newReport(c, r.results, before)
		}
		return err
	})
	if err != nil {
		return Report{}, fmt.Errorf("loadgen: %w", err)
	}
	if report.Messages == 0 {
		return Report{}, fmt.Errorf("loadgen: no request came due in %v at %g a second", c.Duration, c.Rate)
	}
	if answered, _ := r.answered(); answered == 0 {
		return Report{}, fmt.Errorf("loadgen: none of %d requests to %s was answered: %w", r.done, c.URL, r.first)
	}
	c.Curve.Took(r.latency)
	return report, nil
}

type run struct {
	Config
	*results
}

// dial connects to the server.
func (r *run) dial(address string) (net.Conn, error) {
	d := net.Dialer{Timeout: r.Timeout}
	if r.Unix != "" {
		return d.Dial("unix", r.Unix)
	}
	return d.Dial("tcp", address)
}

// reach fails when nobody listens: nothing else would come of a run but as many errors as requests.
func (r *run) reach(ctx context.Context) error {
	conn, err := r.dial(newClient(r.Config, nil).host.Addr)
	if err != nil {
		return err
	}
	return cmp.Or(conn.Close(), ctx.Err())
}

// load sends all requests and waits for the last one.
func (r *run) load(ctx context.Context) error {
	schedule, err := newSchedule(r.Config, r.clock)
	if err != nil {
		return err
	}
	if r.clock == nil {
		schedule.clock = wall{time.Now()}
	}
	var workers, watcher sync.WaitGroup
	for range r.Connections {
		workers.Go(func() { r.work(ctx, schedule) })
	}
	ended := make(chan struct{})
	watcher.Go(func() { r.watch(schedule.clock, ended) })
	workers.Wait()
	close(ended)
	watcher.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	end := schedule.clock.now()
	return schedule.unsent(ctx, func(due time.Duration) {
		r.unsent++
		r.record(end - due) // At least as long.
	})
}

// work is one connection.
func (r *run) work(ctx context.Context, s *schedule) {
	k := newClient(r.Config, r.dial)
	defer k.host.CloseIdleConnections()
	for {
		a, ok := s.next(ctx)
		if !ok {
			return
		}
		status, err := k.do(a.key)
		r.note(a, s.clock.now(), status, err)
	}
}

// watch follows the run: for a plot, and for whoever waits.
func (r *run) watch(c clock, ended <-chan struct{}) {
	const every, showEvery = 10 * time.Millisecond, 100 // A line a second.
	tick := time.NewTicker(every)
	defer tick.Stop()
	shown := int64(0)
	for n := 1; ; n++ {
		select {
		case <-tick.C:
		case <-ended:
			r.Curve.Observe(c.now(), r.count())
			return
		}
		done := r.count()
		r.Curve.Observe(c.now(), done)
		if n%showEvery == 0 {
			fmt.Fprintf(r.Log, "%s requests, %s in the last second\n", loadgen.Count(done), loadgen.Count(done-shown))
			shown = done
		}
	}
}
