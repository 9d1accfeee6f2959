// SPDX-License-Identifier: Apache-2.0

package playground

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/kind"
)

// mapping makes a mapping of names and values, each a string or a list of strings. The nth entry is on
// line n.
func mapping(pairs ...any) *kind.Node {
	m := &kind.Node{Shape: kind.Mapping}
	for i := 0; i < len(pairs); i += 2 {
		at := kind.Position{Line: i/2 + 1}
		v := &kind.Node{Position: at, Shape: kind.Scalar}
		switch p := pairs[i+1].(type) {
		case string:
			v.Text = p
		case []string:
			v.Shape = kind.Sequence
			for _, text := range p {
				v.Items = append(v.Items, &kind.Node{Position: at, Shape: kind.Scalar, Text: text})
			}
		}
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

func (b *bound) Door(d connector.Door)            { b.doors = append(b.doors, d) }
func (b *bound) Sink(id string, s connector.Sink) { b.sinks = map[string]connector.Sink{id: s} }
func (b *bound) Listens(address string)           { b.listens = append(b.listens, address) }

// bind binds a component of a kind, and returns its problems as "line field: message; hint".
func bind(t *testing.T, name string, spec *kind.Node) (b bound, problems []string) {
	t.Helper()
	i := slices.IndexFunc(Kinds(), func(k kind.Kind) bool { return k.Name == name })
	if i < 0 {
		t.Fatalf("no kind %s", name)
	}
	k, s := Kinds()[i], kind.NewSpec("spec", spec)
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

const (
	ingressKind = "io.statefun.playground.v1/ingress"
	egressKind  = "io.statefun.playground.v1/egress"
)

func TestKinds(t *testing.T) {
	var got []string
	for _, k := range Kinds() {
		got = append(got, fmt.Sprintf("%s ingress=%t lenient=%t", k.Name, k.Ingress, k.Lenient))
	}
	want := []string{ingressKind + " ingress=true lenient=true", egressKind + " ingress=false lenient=true"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("kinds %q, want %q", got, want)
	}
}

// A module file that StateFun's playground takes is taken, and listens on this machine only unless told
// otherwise.
func TestKindsBind(t *testing.T) {
	tests := []struct {
		name, kind string
		spec       *kind.Node
		listens    string
		topics     []string
		warnings   []string
	}{
		{name: "ingress", kind: ingressKind, spec: mapping("port", "8090"), listens: "127.0.0.1:8090"},
		{name: "to everybody", kind: ingressKind, spec: mapping("port", "65535", "host", "0.0.0.0", "maxBodyBytes", "1KiB"), listens: "0.0.0.0:65535"},
		{name: "IPv6", kind: ingressKind, spec: mapping("port", "1", "host", "::1"), listens: "[::1]:1"},
		{name: "by name", kind: ingressKind, spec: mapping("port", "1", "host", "my-host.example"), listens: "my-host.example:1"},
		{
			name: "what StateFun ignores", kind: ingressKind, spec: mapping("port", "8090", "x", "y"), listens: "127.0.0.1:8090",
			warnings: []string{"warning 2 spec.x: unknown field; the fields here are host, maxBodyBytes, port"},
		},
		{
			name: "egress", kind: egressKind, spec: mapping("port", "8091", "topics", []string{"greetings", "receipts", "greetings"}),
			listens: "127.0.0.1:8091", topics: []string{"greetings", "receipts"},
		},
		{
			name: "no topics", kind: egressKind, spec: mapping("port", "8091", "topics", []string{}, "host", "localhost", "x", "y"),
			listens: "localhost:8091", topics: []string{},
			warnings: []string{"warning 4 spec.x: unknown field; the fields here are host, port, topics"},
		},
	}
	for _, tt := range tests {
		b, problems := bind(t, tt.kind, tt.spec)
		if !reflect.DeepEqual(problems, tt.warnings) || !reflect.DeepEqual(b.listens, []string{tt.listens}) {
			t.Errorf("%s: problems %q, listens on %q", tt.name, problems, b.listens)
		}
		if tt.topics == nil {
			if len(b.doors) != 1 || len(b.sinks) != 0 || b.doors[0].(*ingress).address != tt.listens {
				t.Errorf("%s: brings %+v", tt.name, b)
			}
			continue
		}
		e, _ := b.sinks["io.statefun.playground/egress"].(*egress)
		if e == nil || len(b.doors) != 0 || e.address != tt.listens {
			t.Errorf("%s: brings %+v", tt.name, b)
			continue
		}
		for _, topic := range tt.topics {
			if !e.topics.has(topic) || len(e.topics.queues) != len(tt.topics) {
				t.Errorf("%s: topics %v, want %q", tt.name, e.topics.queues, tt.topics)
			}
		}
	}
}

func TestKindsProblems(t *testing.T) {
	tests := []struct {
		name, kind string
		spec       *kind.Node
		want       []string
	}{
		{"nothing", ingressKind, mapping(), []string{"0 spec.port: missing; give the port to listen on"}},
		{"port 0", ingressKind, mapping("port", "0"), []string{`1 spec.port: "0": want a whole number from 1 to 65535`}},
		{"port one over", ingressKind, mapping("port", "65536"), []string{`1 spec.port: "65536": want a whole number from 1 to 65535`}},
		{"port by name", ingressKind, mapping("port", "http"), []string{`1 spec.port: "http": want a whole number from 1 to 65535`}},
		{"empty host", ingressKind, mapping("port", "1", "host", ""), []string{
			`2 spec.host: "": want an IP address or a host name; 0.0.0.0 is all addresses of the machine`,
		}},
		{"host with a port", egressKind, mapping("port", "1", "topics", []string{"t"}, "host", "h:80"), []string{
			`3 spec.host: "h:80": want an IP address or a host name; 0.0.0.0 is all addresses of the machine`,
		}},
		{"body", ingressKind, mapping("port", "1", "maxBodyBytes", "2GiB"), []string{
			`2 spec.maxBodyBytes: "2GiB": want a size from 1 to 1073741824 bytes, such as 1048576 or 1MiB`,
		}},
		{"nothing for an egress", egressKind, mapping(), []string{
			"0 spec.port: missing; give the port to listen on", "0 spec.topics: missing; give the topics of the records, such as [greetings]",
		}},
		{"topics that are none", egressKind, mapping("port", "1", "topics", "greetings"), []string{
			"2 spec.topics: a single value: want a list",
		}},
	}
	for _, tt := range tests {
		b, problems := bind(t, tt.kind, tt.spec)
		if !reflect.DeepEqual(problems, tt.want) {
			t.Errorf("%s: problems\n%s\nwant\n%s", tt.name, strings.Join(problems, "\n"), strings.Join(tt.want, "\n"))
		}
		if len(b.doors)+len(b.sinks)+len(b.listens) > 0 {
			t.Errorf("%s: brings %+v", tt.name, b)
		}
	}
}
