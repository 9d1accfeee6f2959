// SPDX-License-Identifier: Apache-2.0

package module

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine"
)

// echo is a function of this process that emits what it is sent.
type echo interface {
	Say(*engine.Context, string) error
}

var (
	echoFunction = engine.Define[echo]("test/echo")
	_            = engine.Accept(echoFunction, engine.String, echo.Say)
	out          = engine.NewEgress("test/out", engine.String)
)

type echoes struct{}

func (echoes) Say(ctx *engine.Context, text string) error {
	out.Send(ctx, text)
	return nil
}

// A module file beside Go functions, in a real engine: what comes in at the ingress of the file reaches the
// function, and what that emits leaves through the egress of the file.
func TestModule(t *testing.T) {
	dir := t.TempDir()
	listener, err := net.Listen("unix", filepath.Join(dir, "out.sock"))
	if err != nil {
		t.Fatal(err)
	}
	delivered := make(chan string, 1)
	receiver := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		delivered <- string(body)
	})}
	go func() { _ = receiver.Serve(listener) }()
	defer receiver.Close()

	app, problems := Load([]string{write(t, fmt.Sprintf(`
kind: io.millrace.http.v1/ingress
spec: {address: "unix:%[1]s/in"}
---
kind: io.millrace.http.v1/egress
spec: {id: test/out, url: "http+unix://%[1]s/out.sock"}
---
kind: io.statefun.endpoints.v2/http
spec: {functions: elsewhere/*, urlPathTemplate: "http+unix://%[1]s/out.sock/fn", transport: {type: io.statefun.transports.v1/okhttp}}
`, dir))}, options())
	if app == nil {
		t.Fatal(messages(problems))
	}
	e, err := engine.Open(t.Context(), engine.Config{EpochInterval: engine.EpochsOff}, app.Module("files"),
		engine.Module{Name: "echo", Bind: func(b *engine.Binder) error {
			engine.Bind(b, echoFunction, func(*engine.Schema) echo { return echoes{} })
			return nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	run := make(chan error, 1)
	go func() { run <- e.Run(context.WithoutCancel(t.Context())) }()
	<-e.Ready()

	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(dir, "in"))
	}}}
	defer client.CloseIdleConnections()
	response, err := client.Post("http://millrace/test/echo/1", "text/plain", strings.NewReader("hello"))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusAccepted {
		t.Fatalf("status %s", response.Status)
	}
	if got := <-delivered; !strings.Contains(got, "hello") {
		t.Errorf("delivered %q", got)
	}
	if err := e.Close(context.WithoutCancel(t.Context())); err != nil {
		t.Error(err)
	}
	<-run
}
