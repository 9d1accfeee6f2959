// SPDX-License-Identifier: Apache-2.0

package loadgen

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/backend"
)

// Run runs a workload and measures it. The report is worth nothing when the error is not nil.
func Run(ctx context.Context, c Config) (Report, error) {
	if err := c.Validate(); err != nil {
		return Report{}, err
	}
	app, err := newApplication(c.withDefaults())
	if err != nil {
		return Report{}, err
	}
	return app.run(ctx)
}

func (a *application) run(ctx context.Context) (report Report, err error) {
	config := a.forEngine()
	if a.OpenBackend != nil {
		store, err := a.OpenBackend(ctx, backend.Options{Application: config.Application, KeyGroups: config.KeyGroups})
		if err != nil {
			return Report{}, err
		}
		defer func() { err = errors.Join(err, store.Close()) }()
		config.Backend = store
	}
	e, err := engine.Open(ctx, config, a.module())
	if err != nil {
		return Report{}, err
	}
	r := &run{application: a, engine: e, ended: make(chan error, 1)}
	err = r.all(ctx)
	if err = errors.Join(err, r.close(ctx, err)); err != nil {
		return Report{}, fmt.Errorf("loadgen: %w", err)
	}
	a.Curve.Took(r.report.fillLatencies(a.shards))
	if r.report.TimerFigures != nil {
		r.report.fillKept(a.timers.watches)
	}
	return r.report, nil
}

// run is one run under way.
type run struct {
	*application
	engine *engine.Engine
	report Report

	ended    chan error // What Engine.Run returned.
	expected int64      // Invocations that have been waited for.
}

// close closes the engine; after an error nothing that is on its way is waited for.
func (r *run) close(ctx context.Context, failed error) error {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	if failed != nil {
		cancel()
		_ = r.engine.Close(ctx) // It says that it was cut off.
		return nil
	}
	return r.engine.Close(ctx)
}

func (r *run) all(ctx context.Context) error {
	running, stop := context.WithCancel(ctx)
	defer stop()
	go func() { r.ended <- r.engine.Run(running) }()
	find := map[Workload]func(context.Context, *engine.Engine) (int, error){PingPong: r.findPair, Timers: r.findShards}
	if find := find[r.Workload]; find != nil {
		asked, err := find(ctx, r.engine)
		if err != nil {
			return err
		}
		r.expected = int64(asked)
	}
	if r.makes != nil {
		if err := r.phase(ctx, r.instances(), r.makes); err != nil {
			return err
		}
	}
	r.describe()
	if err := r.measure(ctx); err != nil {
		return err
	}
	return r.verify(ctx)
}

// describe fills in what the report says of the configuration.
func (r *run) describe() {
	r.report = Report{
		Workload: string(r.Workload), Keys: r.Load.Keys, Dist: string(r.Load.Dist), Messages: int64(r.Load.Messages),
		Backend: r.Backend, Shards: r.Shards, Version: r.Version, Commit: r.Commit,
		EpochIntervalMillis: float64(max(r.EpochInterval, 0)) / float64(time.Millisecond),
	}
	if r.report.Backend == "" {
		r.report.Backend = "memory"
	}
}

// measure runs the measured part.
func (r *run) measure(ctx context.Context) error {
	if err := r.checkpoint(ctx); err != nil { // The making of the instances is not measured.
		return err
	}
	var resident int64
	if r.Workload == Memory {
		resident = settledBytes()
	}
	runtime.GC() // Nor is collecting what the preparation has left behind.
	err := r.Profiles.During(func() error {
		if r.Workload == Timers {
			return r.measureTimers(ctx)
		}
		return r.timed(ctx, ReadUsage(r.engine), time.Now(), r.Load.Messages, r.load...)
	})
	if err != nil {
		return err
	}
	if r.Workload == Memory {
		if err := r.checkpoint(ctx); err != nil { // Until then, changes are held beside the state.
			return err
		}
		r.report.BytesPerInstance = round(float64(settledBytes()-resident)/float64(r.Load.Keys), 1)
	}
	return nil
}

// timed fills in what came of a phase that began at start, when so much had been used.
func (r *run) timed(ctx context.Context, used Usage, start time.Time, invocations int, feeds ...*feed) error {
	done, err := r.measured(ctx, invocations, feeds...)
	if err != nil {
		return err
	}
	took := time.Since(start)
	now := ReadUsage(r.engine)
	r.report.Seconds = round(took.Seconds(), 6)
	r.report.Invocations = done
	r.report.Fill(used, now)
	switch r.Workload {
	case Ring:
		r.report.HopNanos = nanosEach(took, r.Load.Messages)
	case Skynet:
		r.report.InstanceNanos = nanosEach(took, r.Load.Keys)
	}
	return nil
}

// invocationsOf is the load's invocations: all but those of the watches, which keep their shards busy. While they do
// it may be too few by some of theirs, which are read after the sum: never too many.
func invocationsOf(s engine.Stats) int64 {
	n := s.Invocations()
	for _, f := range s.Functions {
		if f.Type == watchFunction.Type() {
			n -= f.In
		}
	}
	return n
}

func (r *run) checkpoint(ctx context.Context) error {
	if r.EpochInterval == engine.EpochsOff {
		return nil
	}
	return r.engine.Checkpoint(ctx)
}

// phase has feeds send their events and waits until so many invocations have come of it.
func (r *run) phase(ctx context.Context, invocations int, feeds ...*feed) error {
	_, err := r.watched(ctx, invocations, func(int64, int) {}, feeds...)
	return err
}

// measured is a phase that is shown while it lasts.
func (r *run) measured(ctx context.Context, invocations int, feeds ...*feed) (done int64, err error) {
	const showEvery = 200 // Looks.
	start, all := time.Now(), int64(invocations)
	show := r.Progress
	if show == nil {
		show = func(int64, int64) {}
	}
	show(0, all)
	r.Curve.Observe(0, 0)
	return r.watched(ctx, invocations, func(done int64, look int) {
		r.Curve.Observe(time.Since(start), done)
		if look%showEvery == 0 || done >= all {
			show(done, all)
		}
	}, feeds...)
}

// watched is a phase that look is told of, every millisecond. It returns how many invocations there were by then.
func (r *run) watched(ctx context.Context, invocations int, look func(done int64, look int), feeds ...*feed) (int64, error) {
	for _, f := range feeds {
		close(f.begin)
	}
	before := r.expected
	r.expected += int64(invocations)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return 0, ctx.Err()
		case err := <-r.ended:
			if err != nil {
				return 0, err
			}
			r.ended = nil // All feeds have ended, and with them the engine's run.
		}
		stats, failed := r.engine.Stats(), int64(0)
		for _, s := range stats.Shards {
			failed += s.Failures
		}
		done := invocationsOf(stats) - before
		look(done, n)
		switch {
		case failed > 0:
			return 0, fmt.Errorf("%d invocations failed; the engine's log says why", failed)
		case done >= int64(invocations):
			return done, nil
		}
	}
}
