// SPDX-License-Identifier: Apache-2.0

package remote

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/loadgen"
)

// measureMillrace has an engine invoke the functions, so many messages in a request, for c.Each.
func measureMillrace(ctx context.Context, c Config, t target, invocations int, profiles loadgen.Profiles) (s side, err error) {
	invoker, err := t.invoker(c.Connections)
	if err != nil {
		return side{}, err
	}
	a, err := newApplication(c, invocations, invoker)
	if err != nil {
		return side{}, err
	}
	before, _, err := t.asked()
	if err != nil {
		return side{}, err
	}
	r := &run{application: a, target: t, before: before, observer: &observer{latency: newLatency()}, ended: make(chan error, 1)}
	r.engine, err = engine.Open(ctx, engine.Config{
		Application: "loadgen", Shards: c.Shards, KeyGroups: c.Shards, QueueBytesMax: a.queueBytes(),
		EpochInterval: epochInterval, Observer: r.observer, Logger: slog.New(slog.NewTextHandler(c.Log, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}, a.module())
	if err != nil {
		return side{}, err
	}
	running, stop := context.WithCancel(ctx)
	defer stop()
	go func() { r.ended <- r.engine.Run(running) }()
	s, err = r.all(ctx, c, profiles)
	return s, errors.Join(err, r.close(ctx, err))
}

// epochInterval is how often the engine takes a checkpoint.
const epochInterval = 100 * time.Millisecond

// run is an engine at work.
type run struct {
	*application
	target   target
	engine   *engine.Engine
	observer *observer
	before   counts
	ended    chan error // What Engine.Run returned.
}

func (r *run) all(ctx context.Context, c Config, profiles loadgen.Profiles) (s side, err error) {
	close(r.firsts.begin)
	if err := r.until(ctx, func() bool { return taken(r.engine) >= int64(len(r.ids)) }); err != nil {
		return side{}, err
	}
	close(r.load.begin)
	// A key's first request carries what there was when it began. From the second on they are full.
	if err := r.until(ctx, func() bool { return taken(r.engine) >= int64(len(r.ids)*(1+r.invocations)) }); err != nil {
		return side{}, err
	}
	err = profiles.During(func() (err error) {
		s, err = r.measured(ctx, c)
		return err
	})
	if err != nil {
		return side{}, err
	}
	r.load.stopped.Store(true)
	s.verified, err = r.verify(ctx)
	s.report.Messages = r.sent()
	return s, err
}

func (r *run) measured(ctx context.Context, c Config) (side, error) {
	before := loadgen.ReadUsage(r.engine)
	r.observer.measure(true)
	s, err := measure(ctx, c.Each, r.target, c.Millrace, func() counts {
		requests, _ := r.observer.count() // A failed one ends the run hereafter.
		return counts{requests, taken(r.engine)}
	})
	r.observer.measure(false)
	s.latency = r.observer.latency
	s.report.Invocations, s.report.Seconds = s.invocations, s.seconds
	s.report.Fill(before, loadgen.ReadUsage(r.engine))
	return s, err
}

// verify has all keys tell their counts, and reports whether they add up to the messages sent, and whether
// the SDK has run as many.
func (r *run) verify(ctx context.Context) (bool, error) {
	if err := r.until(ctx, func() bool { return r.sent() == taken(r.engine) }); err != nil {
		return false, err
	}
	close(r.tells.begin)
	if err := r.until(ctx, func() bool { return r.told.Load() == int64(len(r.ids)) }); err != nil {
		return false, err
	}
	after, _, err := r.target.asked()
	if err != nil {
		return false, err
	}
	requests, err := r.observer.count()
	if err != nil {
		return false, err
	}
	all := counts{requests, r.sent() + int64(len(r.ids))}
	return r.wrong.Load() == 0 && after.since(r.before) == all, nil
}

// sent is how many messages have been sent; -1 while that is not known.
func (r *run) sent() int64 {
	select {
	case <-r.load.ended:
		return int64(r.firsts.sent + r.load.sent)
	default:
		return -1
	}
}

// until waits until something is so.
func (r *run) until(ctx context.Context, so func() bool) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !so() {
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
		if _, err := r.observer.count(); err != nil {
			return err
		}
	}
	return nil
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
