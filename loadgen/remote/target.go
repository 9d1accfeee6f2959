// SPDX-License-Identifier: Apache-2.0

package remote

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/valyala/fasthttp"

	port "github.com/millrace-io/millrace/engine/remote"
	"github.com/millrace-io/millrace/protocols/requestreply"
)

// target is the functions under load, wherever they are served.
type target interface {
	// dial returns what one goroutine of the bare client calls, until it hangs up.
	dial() (send call, hangUp func())
	// invoker returns what an engine calls, and opens and closes.
	invoker(connections int) (port.Invoker, error)
	// asked returns what the functions have been asked so far, and the processor time of their process, if
	// it is another one.
	asked() (counts, time.Duration, error)
	close() error
}

// call sends a request and returns the reply, which is valid until the next call.
type call func(request []byte) (reply []byte, err error)

func open(c Config) (target, error) {
	if c.Network == InProcess {
		return newLocal()
	}
	return start(c.Network, c.Server, c.Log)
}

// requestTimeout ends a run whose server hangs.
const requestTimeout = time.Minute

// dial implements target: one connection.
func (p *process) dial() (call, func()) {
	client := &fasthttp.HostClient{
		Addr: p.address, MaxConns: 1, ReadTimeout: requestTimeout, WriteTimeout: requestTimeout,
		NoDefaultUserAgentHeader: true, DisableHeaderNamesNormalizing: true, DisablePathNormalizing: true,
	}
	if p.dir != "" {
		client.Dial = func(path string) (net.Conn, error) { return net.Dial("unix", path) }
	}
	var request fasthttp.Request
	var response fasthttp.Response
	request.SetRequestURI("http://loadgen" + servePath)
	request.Header.SetMethod(fasthttp.MethodPost)
	request.Header.SetContentType(octets)
	send := func(body []byte) ([]byte, error) {
		request.SetBodyRaw(body)
		if err := client.Do(&request, &response); err != nil {
			return nil, err
		}
		if status := response.StatusCode(); status != fasthttp.StatusOK {
			return nil, fmt.Errorf("status %d: %s", status, response.Body())
		}
		return response.Body(), nil
	}
	return send, client.CloseIdleConnections
}

// invoker implements target.
func (p *process) invoker(connections int) (port.Invoker, error) {
	url := "http://" + p.address + servePath
	if p.dir != "" {
		url = "http+unix://" + p.address + servePath
	}
	return requestreply.NewHTTP(requestreply.HTTPConfig{URL: url, PoolSize: connections})
}

// local is the functions in this process.
type local struct{ *handler }

func newLocal() (local, error) {
	h, err := newHandler()
	return local{h}, err
}

// dial implements target.
func (l local) dial() (call, func()) {
	return func(body []byte) ([]byte, error) { return l.Invoke(context.Background(), body) }, func() {}
}

// invoker implements target.
func (l local) invoker(connections int) (port.Invoker, error) {
	return requestreply.NewInProcess(l, requestreply.InProcessConfig{Concurrency: connections}), nil
}

// asked implements target.
func (l local) asked() (counts, time.Duration, error) { return l.counts(), 0, nil }

// close implements target.
func (local) close() error { return nil }
