// SPDX-License-Identifier: Apache-2.0

package module

import (
	"fmt"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/connectors/file"
	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/kind"
	"github.com/millrace-io/millrace/engine/remote"
	"github.com/millrace-io/millrace/engine/statefun"
)

// document reads a document that is a component.
func (l *loader) document(doc *kind.Node) {
	if legacy(doc) {
		l.report(kind.Problem{
			Position: doc.Position, Message: "a version in one of several documents: want a kind and a spec",
			Hint: "a file with a version holds one document; since version 3.1 files hold components, without a version",
		})
		return
	}
	if doc.Shape != kind.Mapping {
		l.report(kind.Problem{
			Position: doc.Position, Message: fmt.Sprintf("%v: want a component, which is a mapping with kind and spec", doc.Shape),
			Hint: "divide several components by ---",
		})
		return
	}
	got, _ := l.fields(doc, "", l.lenient(doc), "kind", "spec")
	name, spec := got[0], got[1]
	if name == nil {
		l.missing(doc, "", "kind", "one of "+strings.Join(l.names, ", "))
	}
	if spec == nil {
		l.missing(doc, "", "spec", specWant)
	}
	if name != nil && spec != nil {
		l.bind(component{name.Text, name, spec, "kind", "spec", doc.Position})
	}
}

const specWant = "a mapping with the fields of the component, indented below spec"

// lenient says whether a component may have fields that nobody knows: it is for its kind to say.
func (l *loader) lenient(doc *kind.Node) bool {
	name := text(doc, "kind")
	k, known := l.kinds[name]
	return known && k.Lenient || !known && strings.HasPrefix(name, "io.statefun.")
}

// text returns a field that is a text, or "".
func text(n *kind.Node, field string) string {
	for _, f := range n.Fields {
		if f.Name == field {
			return f.Value.Text
		}
	}
	return ""
}

// fields returns the named fields of a mapping, nil for those that are not there, and reports all others.
func (l *loader) fields(n *kind.Node, path string, lenient bool, names ...string) (got []*kind.Node, ok bool) {
	if n.Shape != kind.Mapping {
		l.report(kind.Problem{
			Position: n.Position, Field: path, Message: fmt.Sprintf("%v: want a mapping", n.Shape),
			Hint: "its fields are " + strings.Join(names, ", "),
		})
		return nil, false
	}
	got = make([]*kind.Node, len(names))
	for _, f := range n.Fields {
		if i := slices.Index(names, f.Name); i < 0 {
			p := kind.Problem{
				Position: f.Position, Field: join(path, f.Name), Message: "unknown field",
				Hint: "the fields here are " + strings.Join(names, ", "), Warning: lenient,
			}
			if p.Field == "version" {
				p.Message, p.Hint = besideKind(f.Value), "leave the field out"
			}
			l.report(p)
		} else if f.Value.Shape != kind.Null {
			got[i] = f.Value
		}
	}
	return got, true
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// missing reports that a field of n is not there, or is empty.
func (l *loader) missing(n *kind.Node, path, name, want string) {
	p := kind.Problem{Position: n.Position, Field: join(path, name), Message: "missing", Hint: "give " + want}
	for _, f := range n.Fields {
		if f.Name == name {
			p.Position, p.Message = f.Position, "empty"
		}
	}
	l.report(p)
}

// component is a component in a file, in any layout.
type component struct {
	name               string // Of the kind, as it is called today.
	kind, spec         *kind.Node
	kindPath, specPath string
	at                 kind.Position
}

// bind has the kind read its spec.
func (l *loader) bind(in component) {
	if in.kind.Shape != kind.Scalar {
		l.report(kind.Problem{Position: in.kind.Position, Field: in.kindPath, Message: fmt.Sprintf("%v: want a text", in.kind.Shape)})
		return
	}
	k, ok := l.kinds[in.name]
	if !ok {
		l.unknownKind(in.kind, in.kindPath)
		return
	}
	if in.spec.Shape != kind.Mapping {
		l.report(kind.Problem{Position: in.spec.Position, Field: in.specPath, Message: fmt.Sprintf("%v: want a mapping", in.spec.Shape)})
		return
	}
	c := &Component{Kind: k.Name, At: in.at, ID: text(in.spec, "id"), Ingress: k.Ingress, in: in}
	s := kind.NewSpec(in.specPath, in.spec)
	k.Bind(s, target{c})
	for _, p := range s.Problems(k.Lenient) {
		c.broken = c.broken || !p.Warning
		l.report(p)
	}
	l.app.Components = append(l.app.Components, c)
}

// target puts what a component brings into c.
type target struct{ c *Component }

var _ file.Target = target{}

func (t target) Door(d connector.Door)           { t.c.Doors = append(t.c.Doors, d) }
func (t target) Endpoint(e remote.Endpoint)      { t.c.Endpoints = append(t.c.Endpoints, e) }
func (t target) Listens(address string)          { t.c.Listens = append(t.c.Listens, address) }
func (t target) Sink(e string, s connector.Sink) { t.c.Sinks = append(t.c.Sinks, Sink{e, s}) }

func (t target) Source(ingress, typename string, s connector.Source, targets []statefun.FunctionType) {
	t.c.Sources = append(t.c.Sources, Source{ingress, typename, s, targets})
}
