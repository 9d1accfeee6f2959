// SPDX-License-Identifier: Apache-2.0

// Greeter-remote is a function server, written with the Go SDK of Apache Flink Stateful Functions and
// nothing of Millrace: a function that counts the visits of a person, and one that words greetings. A
// Millrace that runs module.yaml calls it over HTTP and keeps its state.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	address := flag.String("address", "127.0.0.1:8000", "where to serve the functions, `host:port` or unix:path")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, *address); err != nil {
		fmt.Fprintln(os.Stderr, "greeter-remote:", err)
		os.Exit(1)
	}
}

// serve serves the functions until ctx is done, and lets requests that are in progress end.
func serve(ctx context.Context, address string) error {
	handler, err := functions()
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/statefun", handler)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}

	network := "tcp"
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, address = "unix", path
	}
	listener, err := net.Listen(network, address)
	if err != nil {
		return err
	}
	fmt.Println("serving example/person and example/greeter at", listener.Addr())

	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return errors.Join(server.Shutdown(grace), ignoreClosed(<-ended))
}

func ignoreClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
