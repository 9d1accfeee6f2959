// SPDX-License-Identifier: Apache-2.0

package module

import (
	"fmt"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/engine/kind"
)

// legacy reports whether the only document of a file is in a layout with a version. A version that is no
// text makes no legacy file in StateFun, which then looks for a kind; it is never meant so.
func legacy(doc *kind.Node) bool {
	return slices.ContainsFunc(doc.Fields, func(f kind.Field) bool { return f.Name == "version" }) && text(doc, "kind") == ""
}

// version reads a document in a layout with a version.
func (l *loader) version(doc *kind.Node) {
	var version *kind.Node
	for _, f := range doc.Fields {
		if f.Name == "version" {
			version = f.Value
		}
	}
	wrong := func(message, hint string) {
		l.report(kind.Problem{Position: version.Position, Field: "version", Message: message, Hint: hint})
	}
	const components = "write one document with kind and spec for each endpoint, ingress and egress, without a version"
	switch v := version.Text; {
	case version.Shape != kind.Scalar:
		wrong(fmt.Sprintf(`%v: want "3.0"`, version.Shape), "")
	case v == "3.0" && version.Plain:
		wrong("3.0 is a number: want a text", `put quotes round it: version: "3.0"`)
	case v == "3.0":
		l.layout30(doc)
	case v == "1.0", v == "2.0":
		wrong(shown(v)+" is a format of StateFun 2, which spoke another protocol to its functions",
			"move the functions to an SDK of StateFun 3; then "+components)
	case v == "2.1":
		wrong(`"2.1" is no version: StateFun 2.1 and 2.2 have files of version "2.0"`,
			"move the functions to an SDK of StateFun 3; then "+components)
	case slices.Contains(noVersions, v):
		wrong(shown(v)+noneSince, components)
	default:
		wrong(shown(v)+` is no version: want "3.0"`, "or "+components)
	}
}

// noVersions are versions of StateFun whose files have none.
var noVersions = []string{"3.1", "3.2", "3.3"}

const noneSince = " is no version: since StateFun 3.1 files have none"

// besideKind says what is wrong with a version in a component.
func besideKind(version *kind.Node) string {
	if slices.Contains(noVersions, version.Text) {
		return shown(version.Text) + noneSince
	}
	return "a version beside a kind: components have none"
}

// layout30 reads version 3.0: one document with lists of endpoints, ingresses and egresses. Fields that
// nobody knows are warnings, as in StateFun, which ignores them.
func (l *loader) layout30(doc *kind.Node) {
	got, _ := l.fields(doc, "", true, "version", "module")
	module := got[1]
	if module == nil {
		l.missing(doc, "", "module", "a mapping with meta and spec, or write components without a version")
		return
	}
	got, ok := l.fields(module, "module", true, "meta", "spec")
	if !ok {
		return
	}
	l.meta30(module, got[0])
	spec := got[1]
	if spec == nil {
		l.missing(module, "module", "spec", "a mapping with endpoints, ingresses and egresses")
		return
	}
	const path = "module.spec"
	if got, ok = l.fields(spec, path, true, "endpoints", "ingresses", "egresses", "routers"); !ok {
		return
	}
	l.list30(got[0], path+".endpoints", "endpoint", "kind")
	l.list30(got[1], path+".ingresses", "ingress", "type", "id")
	l.list30(got[2], path+".egresses", "egress", "type", "id")
	if routers := got[3]; routers != nil {
		l.report(kind.Problem{
			Position: routers.Position, Field: path + ".routers", Warning: true,
			Message: "ignored, as in StateFun since 3.1", Hint: "an ingress names its targets itself",
		})
	}
}

// meta30 checks the type of a module.
func (l *loader) meta30(module, meta *kind.Node) {
	if meta == nil {
		l.missing(module, "module", "meta", "{type: remote}")
		return
	}
	got, ok := l.fields(meta, "module.meta", true, "type")
	switch {
	case !ok:
	case got[0] == nil:
		l.missing(meta, "module.meta", "type", "remote")
	case !strings.EqualFold(got[0].Text, "remote"):
		l.report(kind.Problem{Position: got[0].Position, Field: "module.meta.type", Message: "want remote"})
	}
}

// list30 reads a list of components. inMeta are the fields of their meta: the kind, and perhaps the id.
func (l *loader) list30(list *kind.Node, path, what string, inMeta ...string) {
	if list == nil {
		return
	}
	if list.Shape != kind.Sequence {
		l.report(kind.Problem{Position: list.Position, Field: path, Message: fmt.Sprintf("%v: want a list", list.Shape)})
		return
	}
	for i, item := range list.Items {
		path := fmt.Sprintf("%s[%d]", path, i)
		got, ok := l.fields(item, path, true, what)
		if ok && got[0] == nil {
			l.missing(item, path, what, "a mapping with meta and spec")
		} else if ok {
			l.component30(got[0], join(path, what), inMeta)
		}
	}
}

func (l *loader) component30(n *kind.Node, path string, inMeta []string) {
	got, ok := l.fields(n, path, true, "meta", "spec")
	if !ok {
		return
	}
	meta, spec := got[0], got[1]
	if spec == nil {
		l.missing(n, path, "spec", specWant)
	}
	if meta == nil {
		l.missing(n, path, "meta", "a mapping with "+strings.Join(inMeta, " and "))
		return
	}
	if got, ok = l.fields(meta, path+".meta", true, inMeta...); !ok {
		return
	}
	for i, name := range inMeta {
		if got[i] == nil {
			l.missing(meta, path+".meta", name, "the "+name+" of the component")
		}
	}
	if spec != nil && got[0] != nil {
		l.bind(component{today(got[0].Text), got[0], withID(spec, got[1:]), path + ".meta." + inMeta[0], path + ".spec", n.Position})
	}
}

// today returns the kind that a name of version 3.0 stands for. Others stand for themselves.
func today(name string) string {
	if now, ok := formerly[name]; ok {
		return now
	}
	return name
}

// withID puts the id, which stands beside the spec in version 3.0, where kinds look for it.
func withID(spec *kind.Node, id []*kind.Node) *kind.Node {
	if len(id) == 0 || id[0] == nil || spec.Shape != kind.Mapping {
		return spec
	}
	with := *spec
	with.Fields = slices.DeleteFunc(slices.Clone(spec.Fields), func(f kind.Field) bool { return f.Name == "id" })
	with.Fields = append(with.Fields, kind.Field{Position: id[0].Position, Name: "id", Value: id[0]})
	return &with
}
