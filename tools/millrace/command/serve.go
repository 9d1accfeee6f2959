// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	promconn "github.com/millrace-io/millrace/connectors/prometheus"
	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/tools/millrace/admin"
	"github.com/millrace-io/millrace/tools/millrace/module"
	"github.com/millrace-io/millrace/tools/millrace/store"
)

// application is what run runs.
type application struct {
	*module.Application
	*options
	config   engine.Config
	location store.Location
	admin    admin.Config
	build    build
}

// adminPatience is how long an operator's last request, such as a profile, may keep the process.
const adminPatience = time.Second

// serve runs the application until ctx is done, and drains it. The admin address is there before the engine
// and after it, so that health can be asked for all the time.
func (a *application) serve(ctx context.Context) (err error) {
	log := a.config.Logger
	collector := promconn.NewCollector()
	a.config.Observer = collector
	a.admin.Metrics = promhttp.HandlerFor(a.registry(collector), promhttp.HandlerOpts{})
	server, err := admin.Open(ctx, a.admin)
	if err != nil {
		return err
	}
	defer func() {
		last, cancel := context.WithTimeout(context.Background(), adminPatience)
		defer cancel()
		if err := server.Close(last); err != nil {
			log.Warn("an operator's request was cut off", "error", err)
		}
	}()

	kept, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	if kept != nil {
		defer func() { err = errors.Join(err, kept.Close()) }()
		a.config.Backend = kept
	}
	e, err := engine.Open(ctx, a.config, a.Module("module files"), engine.Module{Name: "admin", Bind: func(b *engine.Binder) error {
		b.Door(server.Door())
		return nil
	}})
	if err != nil {
		return err
	}
	collector.Watch(e)
	server.Watch(e, kept)
	defer func() { err = errors.Join(err, a.drain(e)) }()

	running := make(chan error, 1)
	go func() { running <- e.Run(ctx) }()
	select {
	case <-e.Ready():
		addresses := a.addresses()
		server.Ready(addresses)
		log.Info("ready", "application", a.config.Application, "addresses", addresses, "admin", server.Addr(),
			"shards", len(e.Stats().Shards), "backend", a.backend, "version", a.build.Version, "took", time.Since(started).Round(time.Microsecond))
		err = <-running
	case err = <-running:
	}
	server.Drain()
	return err
}

// openStore opens the store before anything is taken in: what is refused has consumed nothing. It returns nil where
// nothing is kept.
func (a *application) openStore(ctx context.Context) (*store.Shared, error) {
	b, err := a.location.Open(ctx, backend.Options{Application: a.config.Application, KeyGroups: a.config.KeyGroups})
	if b == nil || err != nil {
		return nil, err
	}
	kept := &store.Shared{Backend: b}
	if !kept.Durable() {
		return kept, nil
	}
	cp, _, err := kept.Latest(ctx)
	if err != nil {
		return nil, errors.Join(err, kept.Close())
	}
	a.config.Logger.Info("store opened", "backend", a.location.String(), "generation", kept.Generation(), "epoch", cp.Epoch)
	return kept, nil
}

// drain closes the engine in good order.
func (a *application) drain(e *engine.Engine) error {
	began := time.Now()
	a.config.Logger.Info("draining", "timeout", a.drainTimeout)
	// Not the context of the command, which is over.
	ctx, cancel := context.WithTimeout(context.Background(), a.drainTimeout)
	defer cancel()
	if err := e.Close(ctx); err != nil {
		return fmt.Errorf("drain: %w", err)
	}
	stats := e.Stats()
	var suspended, messages int64
	for i := range stats.Functions {
		suspended += stats.Functions[i].Suspended
		messages += stats.Functions[i].Backlog
	}
	if suspended > 0 && a.location.IsMemory() { // They hold nothing up, and go with the memory that they are in.
		a.config.Logger.Warn("messages at suspended addresses are lost", "addresses", suspended, "messages", messages)
	}
	a.config.Logger.Info("drained", "invocations", stats.Invocations(), "took", time.Since(began).Round(time.Microsecond))
	return nil
}

// registry is not the global one, with which any imported package may register.
func (a *application) registry(collector prometheus.Collector) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collector, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "millrace_build_info", Help: "What was built; always 1.",
			ConstLabels: prometheus.Labels{"version": a.build.Version, "commit": a.build.Commit, "goversion": a.build.Go},
		}, func() float64 { return 1 }))
	return r
}

// addresses are what components listen on: as it was bound, where they tell, else as their files say.
func (a *application) addresses() []string {
	listening := []string{}
	for _, c := range a.Components {
		var bound []string
		for _, d := range c.Doors {
			bound = append(bound, boundBy(d)...)
		}
		for _, s := range c.Sinks {
			bound = append(bound, boundBy(s.Sink)...)
		}
		if len(bound) == 0 {
			bound = c.Listens
		}
		listening = append(listening, bound...)
	}
	return listening
}

// boundBy is the address of what has one.
func boundBy(part any) []string {
	l, ok := part.(interface{ Addr() net.Addr })
	if !ok || l.Addr() == nil {
		return nil
	}
	if address := l.Addr(); address.Network() == "unix" {
		return []string{"unix:" + address.String()}
	}
	return []string{l.Addr().String()}
}
