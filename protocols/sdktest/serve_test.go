// SPDX-License-Identifier: Apache-2.0

package sdktest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// serverVariable is the environment variable that makes this program a function server.
const serverVariable = "MILLRACE_SDKTEST_SERVER"

// servingAt begins the line that says that the server listens, and where it takes orders.
const servingAt = "serving, orders at "

// serverConfig is its value, as JSON.
type serverConfig struct {
	Address string // host:port or unix:path.
	Version string // Of the functions.
}

// serverStats is what a server tells of itself.
type serverStats struct {
	Open, OpenPeak int64            // Connections, now and at most.
	Requests       int64            // For functions.
	Strays         int64            // Requests for something else: a redirect was followed.
	Faults         map[string]int64 // How often each was shown.
}

// serve serves the functions until standard input ends, which it also does when the test dies. Then it lets
// requests that are in progress end.
func serve(config string) error {
	var c serverConfig
	if err := json.Unmarshal([]byte(config), &c); err != nil {
		return err
	}
	handler, err := functions(c.Version)
	if err != nil {
		return err
	}
	l, err := listen(c.Address)
	if err != nil {
		return err
	}
	// Who asks and who gives orders does so by another door, and is not counted.
	orders, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s := &functionServer{saboteur: &saboteur{next: handler}}
	go http.Serve(orders, s.orders())
	server := &http.Server{Handler: s.functions(), ConnState: s.connState, ErrorLog: log.New(io.Discard, "", 0)}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		grace, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		s.saboteur.set(sabotage{}) // What hangs goes on.
		if server.Shutdown(grace) != nil {
			server.Close()
		}
	}()
	fmt.Println(servingAt + orders.Addr().String())
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// network splits an address as net.Listen and net.Dial want it.
func network(address string) (network, rest string) {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return "unix", path
	}
	return "tcp", address
}

func listen(address string) (net.Listener, error) {
	network, address := network(address)
	if network == "unix" { // One that was killed leaves its socket behind.
		if err := os.Remove(address); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return net.Listen(network, address)
}

// functionServer is the HTTP server around the functions: it counts, and takes orders from the test.
type functionServer struct {
	saboteur       *saboteur
	open, openPeak atomic.Int64
	strays         atomic.Int64
}

func (s *functionServer) functions() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/statefun", s.saboteur)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.strays.Add(1)
		http.NotFound(w, r)
	})
	return mux
}

func (s *functionServer) orders() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) {
		requests, faults := s.saboteur.counts()
		_ = json.NewEncoder(w).Encode(serverStats{s.open.Load(), s.openPeak.Load(), requests, s.strays.Load(), faults})
	})
	mux.HandleFunc("POST /sabotage", func(w http.ResponseWriter, r *http.Request) {
		var plan sabotage
		err := json.NewDecoder(r.Body).Decode(&plan)
		for _, kind := range plan.Kinds {
			if faultOf(kind) == nil {
				err = fmt.Errorf("%q is no fault", kind)
			}
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s.saboteur.set(plan)
	})
	return mux
}

func (s *functionServer) connState(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		open := s.open.Add(1)
		for peak := s.openPeak.Load(); open > peak && !s.openPeak.CompareAndSwap(peak, open); {
			peak = s.openPeak.Load()
		}
	case http.StateClosed, http.StateHijacked: // Who hijacks a connection closes it.
		s.open.Add(-1)
	}
}
