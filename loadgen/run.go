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
	profiles, err := a.Profiles.open()
	if err != nil {
		return Report{}, err
	}
	defer func() { err = errors.Join(err, profiles.close()) }()
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
	r := &run{application: a, engine: e, profiles: profiles, ended: make(chan error, 1)}
	err = r.all(ctx)
	if err = errors.Join(err, r.close(ctx, err)); err != nil {
		return Report{}, fmt.Errorf("loadgen: %w", err)
	}
	r.report.fillLatencies(a.shards)
	return r.report, nil
}

// run is one run under way.
type run struct {
	*application
	engine   *engine.Engine
	profiles *profiler
	report   Report

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
	if r.Workload == PingPong {
		asked, err := r.findPair(ctx, r.engine)
		if err != nil {
			return err
		}
		r.expected = int64(asked)
	}
	if r.makes != nil {
		if err := r.phase(ctx, r.Load.Keys, nil, r.makes); err != nil {
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
		r.report.Backend = "none"
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
	if err := r.profiles.start(); err != nil {
		return err
	}
	used, start := ReadUsage(r.engine), time.Now()
	if err := r.phase(ctx, r.Load.Messages, r.Progress, r.load...); err != nil {
		return err
	}
	r.report.Seconds = round(time.Since(start).Seconds(), 6)
	now := ReadUsage(r.engine)
	r.report.Invocations = now.stats.Invocations() - used.stats.Invocations()
	r.report.Fill(used, now)
	if err := r.profiles.stop(); err != nil {
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

func (r *run) checkpoint(ctx context.Context) error {
	if r.EpochInterval == engine.EpochsOff {
		return nil
	}
	return r.engine.Checkpoint(ctx)
}

// phase has feeds send their events and waits until so many invocations have come of it.
func (r *run) phase(ctx context.Context, invocations int, progress func(done, total int64), feeds ...*feed) error {
	if progress != nil {
		progress(0, int64(invocations))
	}
	for _, f := range feeds {
		close(f.begin)
	}
	const showEvery = 200 // Milliseconds.
	before := r.expected
	r.expected += int64(invocations)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		case err := <-r.ended:
			if err != nil {
				return err
			}
			r.ended = nil // All feeds have ended, and with them the engine's run.
		}
		done, failed := int64(0), int64(0)
		for _, s := range r.engine.Stats().Shards {
			done += s.Invocations
			failed += s.Failures
		}
		if progress != nil && (n%showEvery == 0 || done >= r.expected) {
			progress(done-before, int64(invocations))
		}
		switch {
		case failed > 0:
			return fmt.Errorf("%d invocations failed; the engine's log says why", failed)
		case done >= r.expected:
			return nil
		}
	}
}

// verify reads all counters back, through messages, and compares them with what was sent.
func (r *run) verify(ctx context.Context) error {
	if err := r.phase(ctx, 2*r.Load.Keys, nil, r.tells); err != nil { // Each key, and its tally.
		return err
	}
	var sum told
	for shard := range r.Shards {
		t, err := sums.Ask(ctx, r.engine, tallyID(shard), 0)
		if err != nil {
			return err
		}
		sum.Keys += t.Keys
		sum.Count += t.Count
		sum.Wrong += t.Wrong
	}
	r.report.Verified = sum == told{Keys: int64(r.Load.Keys), Count: int64(r.Load.Messages)} &&
		r.report.Invocations == int64(r.Load.Messages)
	return nil
}
