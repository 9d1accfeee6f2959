// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/millrace-io/millrace/backends/file"
	httpconn "github.com/millrace-io/millrace/connectors/http"
	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/backend"
)

// serveArg is the first argument of a process that is to serve the counters, with its store in the folder that
// the second names. It writes its address to stdout and ends with its stdin.
const serveArg = "-serve"

// millrace is a process of this program.
type millrace struct{}

func (millrace) name() string { return "millrace" }

func (millrace) install(context.Context, string) error { return nil }

func (millrace) start(ctx context.Context, dir string) (target, func() error, error) {
	self, err := os.Executable()
	if err != nil {
		return target{}, nil, err
	}
	p, err := startProcess(exec.CommandContext(ctx, self, serveArg, dir))
	if err != nil {
		return target{}, nil, err
	}
	return target{
		address: p.said,
		request: func(r *fasthttp.Request, key string) {
			r.SetRequestURI("/call/bench/counter/" + key)
			r.Header.SetContentType("application/json")
			r.Header.Set("Millrace-Typename", addType.Typename())
			r.SetBodyString("1")
		},
		count: readCount,
	}, p.close, nil
}

func readCount(body []byte) (int64, error) {
	return strconv.ParseInt(strings.TrimSpace(string(body)), 10, 64)
}

// Counter is a counter.
type Counter interface {
	Add(ctx *engine.Context, n int64) (count int64, err error)
}

var (
	addType = engine.JSON[int64]("bench/Add")
	counter = engine.Define[Counter]("bench/counter")
	_       = engine.Answer(counter, addType, engine.JSON[int64]("bench/Count"), Counter.Add)
)

type counterFunction struct{ count engine.Value[int64] }

func (c counterFunction) Add(ctx *engine.Context, n int64) (int64, error) {
	count := c.count.Edit(ctx)
	*count += n
	return *count, nil
}

func serve(dir string, stdin io.Reader, stdout io.Writer) (err error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	config := engine.Config{Application: "bench", KeyGroups: 128}
	store, err := file.Open(ctx, file.Config{Dir: dir}, backend.Options{Application: config.Application, KeyGroups: config.KeyGroups})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	config.Backend = store
	door, err := httpconn.NewIngress(httpconn.IngressConfig{Address: "127.0.0.1:0", Ack: httpconn.AckDurable})
	if err != nil {
		return err
	}
	e, err := engine.Open(ctx, config, engine.Module{Name: "bench", Bind: func(b *engine.Binder) error {
		engine.Bind(b, counter, func(s *engine.Schema) Counter {
			return counterFunction{engine.NewValue(s, "count", engine.Int64)}
		})
		b.Door(door)
		return nil
	}})
	if err != nil {
		return err
	}
	running := make(chan error, 1)
	go func() { running <- e.Run(ctx) }()
	select {
	case <-e.Ready():
	case err := <-running:
		return errors.Join(err, e.Close(ctx))
	}
	fmt.Fprintln(stdout, door.Addr())
	_, _ = io.Copy(io.Discard, stdin)
	grace, cancelGrace := context.WithTimeout(ctx, 10*time.Second)
	defer cancelGrace()
	return e.Close(grace)
}

// process is one that ends with its stdin.
type process struct {
	command *exec.Cmd
	stdin   io.WriteCloser
	said    string // The first line of its stdout.
}

func startProcess(command *exec.Cmd) (p *process, err error) {
	p = &process{command: command}
	if p.stdin, err = command.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	command.Stderr = os.Stderr
	if err := command.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s says nothing: %w", command.Path, err), p.close())
	}
	p.said = strings.TrimSpace(line)
	return p, nil
}

func (p *process) close() error {
	return errors.Join(p.stdin.Close(), p.command.Wait())
}
