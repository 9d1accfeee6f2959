// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/millrace-io/millrace/benchmarks/rounds"
)

// restate is a server of Restate, and a Node process with the counters.
type restate struct {
	source string // What npm is to install.
	dir    string // Where it is installed.
	server string // The server's program.
}

func (*restate) name() string { return "restate" }

func (r *restate) install(ctx context.Context, dir string) error {
	for _, name := range []string{"package.json", "package-lock.json", "counter.mjs"} {
		b, err := os.ReadFile(filepath.Join(r.source, name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			return err
		}
	}
	npm := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	npm.Dir = dir
	if _, err := rounds.Output(npm); err != nil {
		return err
	}
	servers, err := filepath.Glob(filepath.Join(dir, "node_modules", "@restatedev", "restate-server-*", "bin", "restate-server"))
	if err != nil || len(servers) != 1 {
		return fmt.Errorf("servers for this machine: %q, %v", servers, err)
	}
	r.dir, r.server = dir, servers[0]
	return nil
}

func (r *restate) start(ctx context.Context, dir string) (t target, stop func() error, err error) {
	node := exec.CommandContext(ctx, "node", filepath.Join(r.dir, "counter.mjs"))
	node.Env = append(os.Environ(), "NODE_ENV=production", "RESTATE_LOGGING=ERROR")
	functions, err := startProcess(node)
	if err != nil {
		return target{}, nil, err
	}
	addresses, err := freeAddresses(3)
	if err != nil {
		return target{}, nil, errors.Join(err, functions.close())
	}
	ingress, admin := addresses[0], addresses[1]
	server := exec.CommandContext(ctx, r.server, "--no-logo")
	server.Env = append(os.Environ(),
		"RESTATE_BASE_DIR="+dir, "RESTATE_LISTEN_MODE=tcp", "RESTATE_BIND_ADDRESS="+addresses[2],
		"RESTATE_INGRESS__BIND_ADDRESS="+ingress, "RESTATE_ADMIN__BIND_ADDRESS="+admin,
		"RESTATE_DISABLE_TELEMETRY=true", "RESTATE_LOG_FILTER=error",
	)
	if err := server.Start(); err != nil {
		return target{}, nil, errors.Join(err, functions.close())
	}
	stop = func() error {
		// It takes minutes over ending in peace, and nothing is asked of its store any more.
		killed := server.Process.Signal(syscall.SIGKILL)
		_ = server.Wait()
		return errors.Join(killed, functions.close())
	}
	if err := register(ctx, admin, functions.said); err != nil {
		return target{}, nil, errors.Join(err, stop())
	}
	return target{
		address: ingress,
		request: func(r *fasthttp.Request, key string) {
			r.SetRequestURI("/counter/" + key + "/add")
			r.Header.SetContentType("application/json")
			r.SetBodyString("1")
		},
		count: readCount,
	}, stop, nil
}

// register tells the server where the functions are, as soon as it listens.
func register(ctx context.Context, admin, port string) (err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	body := fmt.Sprintf(`{"uri":"http://127.0.0.1:%s"}`, port)
	for ; ctx.Err() == nil; time.Sleep(100 * time.Millisecond) {
		var request *http.Request
		if request, err = http.NewRequestWithContext(ctx, http.MethodPost, "http://"+admin+"/deployments", strings.NewReader(body)); err != nil {
			return err
		}
		request.Header.Set("Content-Type", "application/json")
		var response *http.Response
		if response, err = http.DefaultClient.Do(request); err != nil {
			continue
		}
		said, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode == http.StatusCreated {
			return nil
		}
		err = fmt.Errorf("register: status %d: %s", response.StatusCode, said)
	}
	return err
}

// freeAddresses finds addresses at which nobody listens.
func freeAddresses(n int) (addresses []string, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // Not before all are found.
		addresses = append(addresses, l.Addr().String())
	}
	return addresses, nil
}
