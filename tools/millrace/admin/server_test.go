// SPDX-License-Identifier: Apache-2.0

package admin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine"
	"github.com/millrace-io/millrace/tools/millrace/admin"
)

func open(address string) (*admin.Server, error) {
	return admin.Open(context.Background(), admin.Config{
		Address: address, Metrics: http.NotFoundHandler(), Logger: slog.New(slog.DiscardHandler),
	})
}

// The states of a server, from before there is an engine to after it has gone.
func TestStates(t *testing.T) {
	s, _ := serve(t, "127.0.0.1:0", "")
	expect := func(state string, ready, send int) {
		t.Helper()
		if got, body := ask(t, s.Addr(), "GET", "/readyz"); got != ready || body != state+"\n" {
			t.Errorf("%s: /readyz says %d %q", state, got, body)
		}
		if got, body := ask(t, s.Addr(), "POST", "/v1/send?address=zoo/parrot/a&type=zoo/seed"); got != send {
			t.Errorf("%s: /v1/send says %d %s", state, got, body)
		}
		if got, _ := ask(t, s.Addr(), "GET", "/healthz"); got != 200 {
			t.Errorf("%s: /healthz says %d", state, got)
		}
		_, body := ask(t, s.Addr(), "GET", "/v1/stats")
		var stats struct {
			State     string
			Addresses []string
			Stats     engine.Stats
		}
		if err := json.Unmarshal([]byte(body), &stats); err != nil || stats.State != state || stats.Addresses == nil {
			t.Errorf("%s: /v1/stats says %s, %v", state, body, err)
		}
	}
	expect("starting", 503, 503)

	r := start(t, "127.0.0.1:0", "")
	s = r.Server
	expect("ready", 200, 415) // The engine has looked at the message.
	s.Drain()
	s.Ready([]string{"too late"})
	if err := r.engine.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect("draining", 503, 503)
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func text(t *testing.T, s string) engine.TypedValue {
	t.Helper()
	b, err := engine.String.Append(nil, s)
	if err != nil {
		t.Fatal(err)
	}
	return engine.TypedValue{Typename: engine.String.Typename(), Value: b}
}

func parrotAddress(id string) engine.Address {
	return engine.Address{Type: parrotFunction.Type(), ID: id}
}

// What is sent arrives as it is, whatever bytes the id and the value have.
func TestCall(t *testing.T) {
	r := start(t, "127.0.0.1:0", "")
	c := client(t, r.Server, "")
	for _, id := range []string{"polly", "a/b//c", "50% ?&=#+", "\x00\xff\r\n", strings.Repeat("x", 4096)} {
		answer, err := c.Call(t.Context(), parrotAddress(id), text(t, "hello"), admin.Delivery{})
		if want := text(t, says(id, "hello")); err != nil || answer.Typename != want.Typename || !bytes.Equal(answer.Value, want.Value) {
			t.Errorf("%.20q: %q, %v", id, answer, err)
		}
	}
}

// The same by a token, on an address that needs one, and by a socket.
func TestClientOfEveryAddress(t *testing.T) {
	token := tokenFile(t, secret+"\r\n")
	for _, c := range []struct{ address, token string }{
		{"0.0.0.0:0", token}, {"[::1]:0", ""}, {"unix:" + t.TempDir() + "/admin", ""},
	} {
		r := start(t, c.address, c.token)
		if err := client(t, r.Server, c.token).Send(t.Context(), parrotAddress("a"), text(t, "hello"), admin.Delivery{}); err != nil {
			t.Errorf("%s: %v", c.address, err)
		}
	}
}

// What the engine refuses comes back with a code that programs can branch on.
func TestRefusals(t *testing.T) {
	r := start(t, "127.0.0.1:0", "")
	c := client(t, r.Server, "")
	elsewhere := engine.Address{Type: engine.FunctionType{Namespace: "zoo", Name: "tiger"}, ID: "a"}
	junk := engine.TypedValue{Typename: engine.String.Typename(), Value: []byte{0xff}}
	send := func(to engine.Address, m engine.TypedValue) error {
		return c.Send(t.Context(), to, m, admin.Delivery{})
	}
	big := func(bytes int) engine.TypedValue {
		return engine.TypedValue{Typename: "zoo/seed", Value: make([]byte, bytes)}
	}
	_, untyped := c.Call(t.Context(), parrotAddress("a"), engine.TypedValue{}, admin.Delivery{})
	tests := []struct {
		name   string
		err    error
		status int
		code   string
	}{
		{"unknown function", send(elsewhere, text(t, "")), 404, "unknown_function_type"},
		{"resume unknown function", c.Resume(t.Context(), elsewhere, false), 404, "unknown_function_type"},
		{"unknown type", send(parrotAddress("a"), big(1)), 415, "message_type_not_accepted"},
		{"undecodable", send(parrotAddress("a"), junk), 400, "malformed"},
		{"no id", send(parrotAddress(""), text(t, "")), 400, "malformed"},
		{"no type", untyped, 400, "malformed"},
		{"resume no id", c.Resume(t.Context(), parrotAddress(""), true), 400, "malformed"},
		{"over the engine's limit", send(parrotAddress("a"), big(33<<20)), 413, "too_large"},
		{"over the server's limit", send(parrotAddress("a"), big(64<<20+1)), 413, "too_large"},
	}
	for _, tt := range tests {
		refusal, ok := errors.AsType[*admin.Refusal](tt.err)
		if !ok || refusal.Status != tt.status || refusal.Code != tt.code || refusal.Message == "" || refusal.Hint == "" {
			t.Errorf("%s: %v, want %d %s", tt.name, tt.err, tt.status, tt.code)
		}
	}
	for _, query := range []string{"address=%zz", "address=zoo/parrot/a&skip=perhaps", "all=zoo", "all=zoo/parrot&skip=perhaps"} {
		if status, body := ask(t, r.Addr(), "POST", "/v1/resume?"+query); status != 400 || !strings.Contains(body, `"malformed"`) {
			t.Errorf("%s: %d %s", query, status, body)
		}
	}
}

// An operator has a suspended address go on, and the log says so, with the id in quotes.
func TestResume(t *testing.T) {
	r := start(t, "127.0.0.1:0", "")
	c := client(t, r.Server, "")
	const id = "evil\r\nlevel=ERROR msg=\"made up\"\x1b[31m"
	bite, err := engine.Int64.Append(nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Send(t.Context(), parrotAddress(id), engine.TypedValue{Typename: engine.Int64.Typename(), Value: bite}, admin.Delivery{}); err != nil {
		t.Fatal(err)
	}
	<-r.called // The shard is in the handler, which fails: what it gets next finds the address suspended.
	if err := c.Resume(t.Context(), parrotAddress(id), false); err != nil {
		t.Fatal(err)
	}
	<-r.called // Again.
	if err := c.Resume(t.Context(), parrotAddress(id), true); err != nil {
		t.Fatal(err)
	}
	if got, err := say.Ask(t.Context(), r.engine, id, "better"); err != nil || got != says(id, "better") {
		t.Errorf("%q, %v", got, err)
	}
	lines := slices.Collect(strings.Lines(r.log.String()))
	if len(lines) != 2 || !strings.Contains(lines[1], "how=skip") || !strings.Contains(lines[1], `\r\nlevel=ERROR`) || strings.Contains(lines[1], "\x1b") {
		t.Errorf("logged %q", lines)
	}
}

// Closing answers the calls that nobody will answer any more, and does not leave before.
func TestCloseDuringCall(t *testing.T) {
	r := start(t, "127.0.0.1:0", "")
	c := client(t, r.Server, "")
	answered := make(chan error, 1)
	go func() {
		_, err := c.Call(context.Background(), parrotAddress("a"), engine.TypedValue{Typename: engine.Bool.Typename()}, admin.Delivery{})
		answered <- err
	}()
	<-r.called
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.engine.Close(over); !errors.Is(err, context.Canceled) {
		t.Errorf("close: %v", err)
	}
	if refusal, ok := errors.AsType[*admin.Refusal](<-answered); !ok || refusal.Status != 503 || refusal.Code != "closing" {
		t.Errorf("the call ends with %+v", refusal)
	}
}
