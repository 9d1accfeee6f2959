// SPDX-License-Identifier: Apache-2.0

package file

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/engine/connector"
	"github.com/millrace-io/millrace/engine/kind"
	"github.com/millrace-io/millrace/engine/statefun"
)

// spec makes a spec of names and values: a text, or a list of texts. The nth entry is on line n.
func spec(pairs ...any) *kind.Node {
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
	kind.Target // nil: this kind brings nothing else.

	ingress, typename string
	source            connector.Source
	targets           []statefun.FunctionType
}

func (b *bound) Source(ingress, typename string, s connector.Source, targets []statefun.FunctionType) {
	b.ingress, b.typename, b.source, b.targets = ingress, typename, s, targets
}

func bind(to kind.Target, node *kind.Node) (problems []string) {
	s := kind.NewSpec("spec", node)
	k := Kinds()[0]
	k.Bind(s, to)
	for _, p := range s.Problems(k.Lenient) {
		problems = append(problems, fmt.Sprintf("%d %s: %s; %s", p.Line, p.Field, p.Message, p.Hint))
	}
	return problems
}

func TestKind(t *testing.T) {
	if k := Kinds()[0]; k.Name != "io.millrace.file.v1/ingress" || !k.Ingress || k.Lenient {
		t.Errorf("%+v", k)
	}
	required := []any{"id", "shop.io/orders", "path", "orders.jsonl", "valueType", "shop/Order", "key", "/cart", "targets", []string{"shop/cart", "a/b/c"}}
	defaults := Config{Path: "orders.jsonl", Typename: "shop/Order", Key: "/cart", LineBytesMax: 1 << 20, FollowInterval: 100 * time.Millisecond}
	everything := defaults
	everything.Follow, everything.LineBytesMax = true, 2<<10
	for _, tt := range []struct {
		more []any
		want Config
	}{
		{nil, defaults},
		{[]any{"follow", "true", "maxLineBytes", "2KiB"}, everything},
	} {
		var b bound
		problems := bind(&b, spec(append(slices.Clone(required), tt.more...)...))
		if len(problems) > 0 || b.source == nil {
			t.Errorf("%q", problems)
			continue
		}
		targets := []statefun.FunctionType{{Namespace: "shop", Name: "cart"}, {Namespace: "a/b", Name: "c"}}
		if got := b.source.(*Source).c; got != tt.want || b.ingress != "shop.io/orders" || b.typename != "shop/Order" || !slices.Equal(b.targets, targets) {
			t.Errorf("%+v in %+v, want %+v", got, b, tt.want)
		}
	}
}

// Whatever is wrong is told at the place of the field, once, with what was expected.
func TestKindProblems(t *testing.T) {
	good := func(but string, value any) *kind.Node {
		node := spec("id", "a/b", "path", "p", "valueType", "a/b", "key", "/k", "targets", []string{"a/b"})
		for i, f := range node.Fields {
			if f.Name == but {
				node.Fields[i].Value = spec(but, value).Fields[0].Value
				return node
			}
		}
		node.Fields = append(node.Fields, spec(but, value).Fields...)
		return node
	}
	for _, tt := range []struct {
		name string
		node *kind.Node
		want []string
	}{
		{"nothing", spec(), []string{
			"0 spec.id: missing; give the ingress, <namespace>/<name>", "0 spec.path: missing; give the file to read",
			"0 spec.valueType: missing; give the type of the events, <namespace>/<name>",
			"0 spec.key: missing; give a JSON pointer to what is the id of the targets, such as /user/id",
			"0 spec.targets: missing; give the function types that get the events, such as [shop/cart]",
		}},
		{"empty", spec("id", "", "path", "", "valueType", "", "key", "", "targets", []string{}), []string{
			`4 spec.key: "": want a JSON pointer, such as /user/id; `, `1 spec.id: "": want <namespace>/<name>; `,
			`2 spec.path: "": want the path of a file; `, `3 spec.valueType: "": want <namespace>/<name>; `,
			"5 spec.targets: none: want function types, such as [shop/cart]; ",
		}},
		{"key", good("key", "k"), []string{`1 spec.key: "k": want a JSON pointer, such as /user/id; `}},
		{"targets", good("targets", []string{"cart", "a/b", "a/b"}), []string{
			`1 spec.targets: item 1 is "cart": want <namespace>/<name>; `,
			`1 spec.targets: item 3 is "a/b" again: it would get each event twice; `,
		}},
		{"line", good("maxLineBytes", "0"), []string{"1 spec.maxLineBytes: \"0\": want a size from 1 to 1073741824 bytes, such as 1048576 or 1MiB; "}},
		{"unknown", good("topics", "t"), []string{
			"1 spec.topics: unknown field; the fields here are follow, id, key, maxLineBytes, path, targets, valueType",
		}},
	} {
		var b bound
		if got := bind(&b, tt.node); !slices.Equal(got, tt.want) || b.source != nil {
			t.Errorf("%s: %t\n%s\nwant\n%s", tt.name, b.source != nil, strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
		}
	}
	if got := bind(struct{ kind.Target }{}, good("id", "a/b")); !slices.Equal(got, []string{"0 spec: sources cannot be set up here; "}) {
		t.Errorf("%q", got)
	}
}
