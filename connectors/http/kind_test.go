// SPDX-License-Identifier: Apache-2.0

package http

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/kind"
)

// mapping makes a mapping of names and values: a string, a list of strings, or another mapping. The nth
// entry is on line n.
func mapping(pairs ...any) *kind.Node {
	m := &kind.Node{Shape: kind.Mapping}
	for i := 0; i < len(pairs); i += 2 {
		at := kind.Position{Line: i/2 + 1}
		v := &kind.Node{Shape: kind.Scalar}
		switch p := pairs[i+1].(type) {
		case string:
			v.Text = p
		case []string:
			v.Shape = kind.Sequence
			for _, text := range p {
				v.Items = append(v.Items, &kind.Node{Position: at, Shape: kind.Scalar, Text: text})
			}
		case *kind.Node:
			v = p
		}
		v.Position = at
		m.Fields = append(m.Fields, kind.Field{Position: at, Name: pairs[i].(string), Value: v})
	}
	return m
}

// bound notes what a component brings.
type bound struct {
	kind.Target // nil: no kind of this package brings anything else.

	doors   []connector.Door
	sinks   map[string]connector.Sink
	listens []string
}

func (t *bound) Door(d connector.Door)            { t.doors = append(t.doors, d) }
func (t *bound) Sink(id string, s connector.Sink) { t.sinks = map[string]connector.Sink{id: s} }
func (t *bound) Listens(address string)           { t.listens = append(t.listens, address) }

// bind binds a component of a kind, and returns its problems as "line field: message; hint".
func bind(t *testing.T, name string, spec *kind.Node) (b bound, problems []string) {
	t.Helper()
	for _, k := range Kinds() {
		if k.Name != name {
			continue
		}
		s := kind.NewSpec("spec", spec)
		k.Bind(s, &b)
		for _, p := range s.Problems(k.Lenient) {
			text := fmt.Sprintf("%d %s: %s", p.Line, p.Field, p.Message)
			if p.Hint != "" {
				text += "; " + p.Hint
			}
			if p.Warning {
				text = "warning " + text
			}
			problems = append(problems, text)
		}
		return b, problems
	}
	t.Fatalf("no kind %s", name)
	return b, nil
}

const (
	ingressKind = "io.millrace.http.v1/ingress"
	egressKind  = "io.millrace.http.v1/egress"
)

func TestKinds(t *testing.T) {
	var got []string
	for _, k := range Kinds() {
		got = append(got, fmt.Sprintf("%s ingress=%t lenient=%t", k.Name, k.Ingress, k.Lenient))
	}
	want := []string{ingressKind + " ingress=true lenient=false", egressKind + " ingress=false lenient=false"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("kinds %q, want %q", got, want)
	}
}

// Everything that a module file says is in the configuration, and the rest is as the documentation has it.
func TestIngressKind(t *testing.T) {
	defaults := IngressConfig{
		Address: "127.0.0.1:8090", MaxBodyBytes: 1 << 20, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second,
		IdleTimeout: time.Minute, CallTimeout: 30 * time.Second, IdempotencyWindow: 24 * time.Hour, MaxConnections: 16384,
	}
	tests := []struct {
		name string
		spec *kind.Node
		want IngressConfig
	}{
		{"defaults", mapping("address", "127.0.0.1:8090"), defaults},
		{
			"everything", mapping("id", "shop.io/http", "address", "unix:/run/in.sock", "maxBodyBytes", "2MiB", "readTimeout", "20s",
				"writeTimeout", "1 min", "idleTimeout", "2h", "callTimeout", "500", "ack", "durable", "idempotencyWindow", "2d",
				"tls", mapping("cert", "c.pem", "key", "k.pem", "clientCA", "ca.pem")),
			IngressConfig{
				ID: "shop.io/http", Address: "unix:/run/in.sock", MaxBodyBytes: 2 << 20, ReadTimeout: 20 * time.Second,
				WriteTimeout: time.Minute, IdleTimeout: 2 * time.Hour, CallTimeout: 500 * time.Millisecond, Ack: "durable", IdempotencyWindow: 48 * time.Hour,
				TLS: TLSConfig{Cert: "c.pem", Key: "k.pem", ClientCA: "ca.pem"}, MaxConnections: 16384,
			},
		},
	}
	for _, tt := range tests {
		b, problems := bind(t, ingressKind, tt.spec)
		if len(problems) > 0 || len(b.doors) != 1 || len(b.sinks) > 0 || !reflect.DeepEqual(b.listens, []string{tt.want.Address}) {
			t.Errorf("%s: %+v with %q", tt.name, b, problems)
			continue
		}
		got := b.doors[0].(*Ingress).c
		got.Logger = nil
		if got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

// Whatever is wrong is told at the place of the field, once, with what was expected.
func TestIngressKindProblems(t *testing.T) {
	const address = "127.0.0.1:8090"
	tests := []struct {
		name string
		spec *kind.Node
		want []string
	}{
		{"nothing", mapping(), []string{"0 spec.address: missing; give what to listen on: host:port or unix:/path"}},
		{"no port", mapping("address", "localhost"), []string{`1 spec.address: "localhost": want host:port or unix:/path`}},
		{"a list of addresses", mapping("address", []string{address}), []string{"1 spec.address: a list: want a text"}},
		{"id", mapping("address", address, "id", "shop"), []string{`2 spec.id: "shop": want <namespace>/<name>`}},
		{
			"unknown", mapping("address", address, "adress", ""),
			[]string{"2 spec.adress: unknown field; the fields here are ack, address, callTimeout, id, idempotencyWindow, " +
				"idleTimeout, maxBodyBytes, readTimeout, tls, writeTimeout"},
		},
		{"body", mapping("address", address, "maxBodyBytes", "0"), []string{
			`2 spec.maxBodyBytes: "0": want a size from 1 to 1073741824 bytes, such as 1048576 or 1MiB`,
		}},
		{"timeouts", mapping("address", address, "readTimeout", "0s", "writeTimeout", "2d", "idleTimeout", "x", "callTimeout", "-1s"), []string{
			`2 spec.readTimeout: "0s": want a duration from 1ms to 24h0m0s, such as 20s or 2min`,
			`3 spec.writeTimeout: "2d": want a duration from 1ms to 24h0m0s, such as 20s or 2min`,
			`4 spec.idleTimeout: "x": want a duration from 1ms to 24h0m0s, such as 20s or 2min`,
			`5 spec.callTimeout: "-1s": want a duration from 1ms to 24h0m0s, such as 20s or 2min`,
		}},
		{"other ack", mapping("address", address, "ack", ""), []string{`2 spec.ack: "": want one of accepted, durable`}},
		{"window", mapping("address", address, "idempotencyWindow", "999ms"), []string{
			`2 spec.idempotencyWindow: "999ms": want a duration from 1s to 8784h0m0s, such as 20s or 2min`,
		}},
		{"no TLS in tls", mapping("address", address, "tls", mapping()), []string{
			"2 spec.tls.cert: missing; give the path of a PEM file", "2 spec.tls.key: missing; give the path of a PEM file",
		}},
		{"cert alone", mapping("address", address, "tls", mapping("cert", "c")), []string{
			"2 spec.tls.key: missing; give the path of a PEM file",
		}},
		{"empty files", mapping("address", address, "tls", mapping("cert", "", "key", "", "clientCA", "")), []string{
			`1 spec.tls.cert: "": want the path of a PEM file`, `2 spec.tls.key: "": want the path of a PEM file`,
			`3 spec.tls.clientCA: "": want the path of a PEM file`,
		}},
		{"unknown in tls", mapping("address", address, "tls", mapping("cert", "c", "key", "k", "ca", "x")), []string{
			"3 spec.tls.ca: unknown field; the fields here are cert, clientCA, key",
		}},
		{"all at once", mapping("id", "x", "ack", "perhaps", "maxBodyBytes", "-1"), []string{
			"0 spec.address: missing; give what to listen on: host:port or unix:/path",
			`3 spec.maxBodyBytes: "-1": want a size from 1 to 1073741824 bytes, such as 1048576 or 1MiB`,
			`2 spec.ack: "perhaps": want one of accepted, durable`,
			`1 spec.id: "x": want <namespace>/<name>`,
		}},
	}
	for _, tt := range tests {
		b, problems := bind(t, ingressKind, tt.spec)
		if !reflect.DeepEqual(problems, tt.want) {
			t.Errorf("%s: problems\n%s\nwant\n%s", tt.name, strings.Join(problems, "\n"), strings.Join(tt.want, "\n"))
		}
		if len(b.doors) > 0 {
			t.Errorf("%s: a door all the same", tt.name)
		}
	}
}

func TestEgressKind(t *testing.T) {
	defaults := EgressConfig{
		ID: "shop.io/out", URL: "http://127.0.0.1:9000/hook", Timeout: 10 * time.Second, MaxInFlight: 64, MaxQueued: 1024,
	}
	everything := defaults
	everything.Headers = map[string]string{"X-A": "b", "Authorization": "Bearer x"}
	everything.Timeout, everything.MaxInFlight, everything.MaxAttempts = 500*time.Millisecond, 4096, 7
	for name, tt := range map[string]struct {
		spec *kind.Node
		want EgressConfig
	}{
		"defaults": {mapping("id", defaults.ID, "url", defaults.URL), defaults},
		"everything": {
			mapping("id", defaults.ID, "url", defaults.URL, "headers", mapping("X-A", "b", "Authorization", "Bearer x"),
				"timeout", "500ms", "maxInFlight", "4096", "maxAttempts", "7"), everything,
		},
	} {
		b, problems := bind(t, egressKind, tt.spec)
		if len(problems) > 0 || len(b.doors) > 0 || len(b.listens) > 0 || b.sinks[tt.want.ID] == nil {
			t.Errorf("%s: %+v with %q", name, b, problems)
			continue
		}
		got := b.sinks[tt.want.ID].(*Egress).c
		got.Logger = nil
		if !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
	}
}

// Problems never show what may be secret: a URL or the value of a header.
func TestEgressKindProblems(t *testing.T) {
	const id, url = "shop.io/out", "http://127.0.0.1:9000/hook"
	tests := []struct {
		name string
		spec *kind.Node
		want []string
	}{
		{"nothing", mapping(), []string{
			"0 spec.id: missing; give the egress whose records are delivered, <namespace>/<name>",
			"0 spec.url: missing; give where to deliver: http://…, https://… or http+unix:///path",
		}},
		{"id", mapping("id", "out", "url", url), []string{`1 spec.id: "out": want <namespace>/<name>`}},
		{"password", mapping("id", id, "url", "http://u:secret@h"), []string{
			"2 spec.url: a user or password in it would show up in logs: use a header",
		}},
		{"metadata", mapping("id", id, "url", "http://169.254.169.254/x"), []string{
			"2 spec.url: address 169.254.169.254 is refused: link-local, multicast or a cloud's metadata service",
		}},
		{"headers", mapping("id", id, "url", url, "headers", mapping("X-A", "secret\r\nX: y", "Host", "secret", "a:b", "secret")), []string{
			`2 spec.headers.Host: "Host": want a header name that the egress does not set itself`,
			`1 spec.headers.X-A: "…": want a value without control characters`,
			`3 spec.headers.a:b: "a:b": want a header name that the egress does not set itself`,
		}},
		{"headers that are none", mapping("id", id, "url", url, "headers", []string{"X-A: b"}), []string{"3 spec.headers: a list: want a mapping"}},
		{"a header with a list", mapping("id", id, "url", url, "headers", mapping("X-A", []string{"b"})), []string{"1 spec.headers.X-A: a list: want a text"}},
		{"numbers", mapping("id", id, "url", url, "timeout", "0", "maxInFlight", "0", "maxAttempts", "-1"), []string{
			`3 spec.timeout: "0": want a duration from 1ms to 24h0m0s, such as 20s or 2min`,
			`4 spec.maxInFlight: "0": want a whole number from 1 to 4096`,
			`5 spec.maxAttempts: "-1": want a whole number from 0 to 1048576`,
		}},
		{"unknown", mapping("id", id, "url", url, "tls", mapping()), []string{
			"3 spec.tls: unknown field; the fields here are headers, id, maxAttempts, maxInFlight, timeout, url",
		}},
	}
	for _, tt := range tests {
		b, problems := bind(t, egressKind, tt.spec)
		if !reflect.DeepEqual(problems, tt.want) {
			t.Errorf("%s: problems\n%s\nwant\n%s", tt.name, strings.Join(problems, "\n"), strings.Join(tt.want, "\n"))
		}
		if strings.Contains(fmt.Sprint(problems), "secret") {
			t.Errorf("%s: %q shows a secret", tt.name, problems)
		}
		if len(b.sinks) > 0 {
			t.Errorf("%s: a sink all the same", tt.name)
		}
	}
}
