// SPDX-License-Identifier: Apache-2.0

// Bank moves money between accounts, in this process and across its shards, and can be killed at any time: what
// it has promised is there when it is started again, and the money in accounts, on the way and sent for later
// adds up to what was paid in, always.
//
//	bank                            transfers at random, in memory; says the total each second
//	bank -backend file:///tmp/bank  the same, for good: kill -9 it, and start it again
//	bank total -backend …           the total of a store whose process is gone
//	bank inspect -backend …         all that such a store holds, as JSON
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	httpconn "github.com/millrace-io/millrace/connectors/http"
	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/backend"
	"github.com/millrace-io/millrace/engine/connector"
)

// config is what the command line says.
type config struct {
	backend       string
	shards        int
	listen        string
	accounts      int
	rate          int
	epochInterval time.Duration
	report        time.Duration
	statements    bool
}

func main() {
	args, command := os.Args[1:], ""
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		command, args = args[0], args[1:]
	}
	var c config
	f := flag.NewFlagSet("bank", flag.ExitOnError) // With code 2.
	f.StringVar(&c.backend, "backend", "memory", "where checkpoints go: memory, file:///directory or pebble:///directory")
	f.IntVar(&c.shards, "shards", runtime.GOMAXPROCS(0), "how many goroutines run accounts; it may differ each time")
	f.StringVar(&c.listen, "listen", "127.0.0.1:8090", "where to take requests over HTTP, `host:port`")
	f.IntVar(&c.accounts, "accounts", 100, "how many accounts there are")
	f.IntVar(&c.rate, "rate", 1000, "how many transfers a second it makes by itself")
	f.DurationVar(&c.epochInterval, "epoch-interval", 100*time.Millisecond, "how often a checkpoint is taken, unless somebody waits for one")
	f.DurationVar(&c.report, "report", time.Second, "how often the total is said; 0: never")
	f.BoolVar(&c.statements, "statements", false, "write the statements of accounts to stdout, as JSON")
	_ = f.Parse(args) // It has exited.

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	switch {
	case f.NArg() > 0:
		err = fmt.Errorf("unknown argument %q", f.Arg(0))
	case command == "":
		err = run(ctx, c)
	case command == "total" || command == "inspect":
		err = look(ctx, c.backend, command == "inspect")
	default:
		err = fmt.Errorf("unknown command %q: want none, total or inspect", command)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bank:", err)
		os.Exit(1)
	}
}

// look shows what a store holds.
func look(ctx context.Context, name string, all bool) (err error) {
	store, err := openStore(ctx, name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	books, err := readBooks(ctx, store)
	if err != nil {
		return err
	}
	if all {
		return json.NewEncoder(os.Stdout).Encode(books)
	}
	_, err = fmt.Println(books.totals())
	return err
}

func run(ctx context.Context, c config) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	store, err := openStore(ctx, c.backend)
	if err != nil {
		return err
	}
	store = watched(store)
	defer func() { err = errors.Join(err, store.Close()) }() // After the engine.
	latest, _, err := store.Latest(ctx)
	if err != nil {
		return err
	}
	door, err := httpconn.NewIngress(httpconn.IngressConfig{Address: c.listen})
	if err != nil {
		return err
	}
	sink := connector.SinkFunc(func(connector.Record) error { return nil })
	if c.statements {
		sink = printStatement
	}
	e, err := engine.Open(ctx, engine.Config{
		Application: application, KeyGroups: keyGroups, Shards: c.shards, Backend: store, EpochInterval: c.epochInterval,
	}, module(door, sink))
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
	fmt.Fprintf(os.Stderr, "listening on http://%s, from epoch %d on, with %d shards, as process %d\n", door.Addr(), latest.Epoch, c.shards, os.Getpid())
	if c.report > 0 {
		go report(ctx, store, c.report)
	}
	go transfer(ctx, e, c.accounts, c.rate)
	return <-running
}

// module is the application: accounts, a door, and where statements go.
func module(door connector.Door, sink connector.Sink) engine.Module {
	return engine.Module{Name: "bank", Bind: func(b *engine.Binder) error {
		engine.Bind(b, accountFunction, newAccount)
		engine.Deliver(b, statements, sink)
		b.Door(door)
		return nil
	}}
}

// report says, over and over, what the newest committed epoch adds up to.
func report(ctx context.Context, store backend.Backend, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		books, err := readBooks(ctx, store)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			fmt.Fprintln(os.Stderr, "bank:", err)
		default:
			fmt.Fprintln(os.Stderr, books.totals())
		}
	}
}

// printStatement writes a statement, with the key by which one that comes again is known, as a line of JSON.
var printStatement = connector.SinkFunc(func(r connector.Record) error {
	s, err := statementType.Decode(r.Value)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(struct {
		Key     string `json:"key"`
		Epoch   uint64 `json:"epoch"`
		Account string `json:"account"`
		Statement
	}{r.IdempotencyKey(), uint64(r.Epoch), r.Sender.ID, s})
})
