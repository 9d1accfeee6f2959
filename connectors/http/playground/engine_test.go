// SPDX-License-Identifier: Apache-2.0

package playground

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/engine/kind"
)

// person greets whoever is named in what it is sent, and counts.
type person interface {
	Greet(*engine.Context, engine.TypedValue) error
}

type greeter struct{ seen engine.Value[int64] }

func (g *greeter) Greet(ctx *engine.Context, m engine.TypedValue) error {
	var request struct{ Name, Topic string }
	if err := json.Unmarshal(m.Value, &request); err != nil {
		return err
	}
	n := g.seen.Edit(ctx)
	*n++
	toPlayground.Send(ctx, outgoing{request.Topic, fmt.Sprintf("Hello %s at %s, visit %d", request.Name, ctx.Self().ID, *n)})
	return nil
}

type outgoing struct {
	Topic   string `json:"topic"`
	Payload string `json:"payload"`
}

var (
	greetFunction = engine.Define[person]("example/person")
	toPlayground  = engine.NewEgress(egressID, engine.JSON[outgoing](recordType))
)

func init() { engine.AcceptAny(greetFunction, person.Greet) }

// binder hands what kinds bring to an engine.
type binder struct{ *engine.Binder }

func (binder) Listens(string) {}

// freePort returns a port that nobody listens on now.
func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	return strconv.Itoa(ln.Addr().(*net.TCPAddr).Port)
}

// What is sent to the one port comes out of the other, through functions, in order.
func TestPlaygroundOfAnEngine(t *testing.T) {
	inPort, outPort := freePort(t), freePort(t)
	module := engine.Module{Name: "playground", Bind: func(b *engine.Binder) error {
		engine.Bind(b, greetFunction, func(s *engine.Schema) person { return &greeter{engine.NewValue(s, "seen", engine.Int64)} })
		for i, spec := range []*kind.Node{mapping("port", inPort), mapping("port", outPort, "topics", []string{"greetings"})} {
			s := kind.NewSpec("spec", spec)
			Kinds()[i].Bind(s, binder{b})
			if problems := s.Problems(true); len(problems) > 0 {
				return problems[0]
			}
		}
		return nil
	}}
	e, err := engine.Open(t.Context(), engine.Config{EpochInterval: 5 * time.Millisecond, Logger: discard}, module)
	if err != nil {
		t.Fatal(err)
	}
	running := make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	go func() { running <- e.Run(ctx) }()
	defer func() {
		stop()
		grace, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := errors.Join(<-running, e.Close(grace)); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}()
	select {
	case <-e.Ready():
	case err := <-running:
		t.Fatal(err)
	}
	ask := func(port, request string) answer {
		t.Helper()
		c, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		if _, err := io.WriteString(c, request); err != nil {
			t.Fatal(err)
		}
		return read(t, bufio.NewReader(c), false)
	}

	if got := ask(outPort, get("greetings")); got != (answer{line: "200", status: "404"}) {
		t.Errorf("before anything is sent: %+v", got)
	}
	if got := ask(inPort, put("/example/nobody/Bob", "{}")); got.line != "404" || got.status != "404" {
		t.Errorf("to an unknown function: %+v", got)
	}
	// What the egress cannot take does not stop what comes behind it.
	for _, body := range []string{`{"Name":"Eve","Topic":"nowhere"}`, `{"Name":"Bob","Topic":"greetings"}`, `{"Name":"Ann","Topic":"greetings"}`} {
		if got := ask(inPort, put("/example/person/7%2F8", body)); got != (answer{line: "200", status: "200"}) {
			t.Errorf("%s: %+v", body, got)
		}
	}
	for _, want := range []string{"Hello Bob at 7/8, visit 2", "Hello Ann at 7/8, visit 3"} {
		got := ask(outPort, get("greetings"))
		for deadline := time.Now().Add(timeout); got.status == "404" && time.Now().Before(deadline); {
			got = ask(outPort, get("greetings"))
		}
		if got != (answer{line: "200", status: "200", body: want}) {
			t.Errorf("fetched %+v, want %q", got, want)
		}
	}
}
