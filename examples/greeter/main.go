// SPDX-License-Identifier: Apache-2.0

// Greeter is a stateful application in one process: a function that counts visits, one that words
// greetings, a way in over HTTP, and an egress that prints. It runs until it is interrupted; with -demo it
// sends itself messages, measures, and ends.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	httpconn "github.com/millrace-io/millrace/connectors/http"
	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/connector"
)

func main() {
	address := flag.String("address", "", "where to listen for HTTP, `host:port`; default 127.0.0.1:8090, or any free port for a demo that ends")
	demo := flag.Bool("demo", false, "send messages, measure, and end")
	keep := flag.Bool("keep", false, "with -demo: stay up afterwards")
	duration := flag.Duration("duration", 2*time.Second, "with -demo: how long to measure")
	flag.Parse()

	if *address == "" {
		*address = "127.0.0.1:8090"
		if *demo && !*keep {
			*address = "127.0.0.1:0"
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *address, *demo, *keep, *duration); err != nil {
		fmt.Fprintln(os.Stderr, "greeter:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, address string, demo, keep bool, duration time.Duration) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	door, err := httpconn.NewIngress(httpconn.IngressConfig{Address: address})
	if err != nil {
		return err
	}
	out := &printer{}
	out.aloud.Store(true)
	e, err := engine.Open(ctx, engine.Config{Application: "greeter"}, module(door, connector.SinkFunc(out.print)))
	if err != nil {
		return err
	}
	defer func() {
		grace, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		err = errors.Join(err, e.Close(grace))
	}()

	running := make(chan error, 1)
	go func() { running <- e.Run(ctx) }()
	select {
	case <-e.Ready():
	case err := <-running:
		return err
	}
	if demo {
		if err := demonstrate(ctx, door.Addr().String(), out, duration); err != nil || !keep {
			return err
		}
	}
	fmt.Printf(`listening on http://%s; try
  curl -X PUT  -H 'Content-Type: application/vnd.example/Visit'       -d '{}' %[1]s/example/person/Bob
  curl -X POST -H 'Content-Type: application/vnd.example/VisitsQuery' -d '{}' %[1]s/call/example/person/Bob
Ctrl-C ends it.
`, door.Addr())
	return <-running
}

// printer is the egress: it prints greetings, or only counts them while the demo measures.
type printer struct {
	aloud   atomic.Bool
	printed atomic.Int64
	counted atomic.Int64
}

func (p *printer) print(r connector.Record) error {
	greeting, err := engine.String.Decode(r.Value)
	if err != nil {
		return err
	}
	if p.aloud.Load() {
		fmt.Println(greeting)
		p.printed.Add(1)
	} else {
		p.counted.Add(1)
	}
	return nil
}
