// SPDX-License-Identifier: Apache-2.0

package module

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v4"

	"github.com/millrace-io/millrace/engine/kind"
)

// nameMax bounds the name of a field. Paths in problems are made of names.
const nameMax = 256

// tree makes a kind.Node of each value, and refuses what has no place in a module file.
type tree struct {
	*loader
	file     string
	source   string   // What is being read: a part of the file.
	line     int      // Lines before it.
	lines    []string // Of the source, once somebody needs them.
	path     []string
	expanded int // Bytes that variables have brought to the file.
}

// rows returns the lines of the source.
func (t *tree) rows() []string {
	if t.lines == nil {
		t.lines = strings.Split(breaks.Replace(t.source), "\n")
	}
	return t.lines
}

func (t *tree) at(line, column int) kind.Position {
	return kind.Position{File: t.file, Line: t.line + line, Column: column}
}

// refuse notes a problem with the value at a position, and returns what stands in for it.
func (t *tree) refuse(at kind.Position, message, hint string) *kind.Node {
	t.fault(at, t.problem(at, message, hint))
	return &kind.Node{Position: at, Shape: kind.Scalar}
}

func (t *tree) problem(at kind.Position, message, hint string) kind.Problem {
	if t.reported[t.file] > problemsMax { // It will not be reported, and paths may be long.
		return kind.Problem{Position: at}
	}
	return kind.Problem{Position: at, Field: strings.Join(t.path, ""), Message: message, Hint: hint}
}

// into goes one step down the path; the result goes back.
func (t *tree) into(step string) (back func()) {
	if len(t.path) > 0 && step[0] != '[' {
		step = "." + step
	}
	t.path = append(t.path, step)
	return func() { t.path = t.path[:len(t.path)-1] }
}

func (t *tree) node(n *yaml.Node) *kind.Node {
	at := t.at(n.Line, n.Column)
	switch {
	case n.Kind == yaml.AliasNode:
		return t.refuse(at, "an alias: values are not repeated by reference here",
			"write the value out, or put quotes round a text that begins with *")
	case tagged(n):
		return t.refuse(at, "the tag "+shown(n.Tag)+": values have no tags here",
			"remove it, or put quotes round a text that begins with !")
	case n.Anchor != "":
		t.report(t.problem(at, "an anchor: values are not repeated by reference here",
			"remove &"+clip(n.Anchor)+", or put quotes round a text that begins with &"))
	}
	switch n.Kind {
	case yaml.MappingNode:
		return t.mapping(at, n)
	case yaml.SequenceNode:
		list := &kind.Node{Position: at, Shape: kind.Sequence}
		for i, item := range n.Content {
			back := t.into(fmt.Sprintf("[%d]", i))
			list.Items = append(list.Items, t.node(item))
			back()
		}
		return list
	}
	plain := n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) == 0
	if plain && n.Tag == "!!null" {
		return &kind.Node{Position: at}
	}
	return t.scalar(&kind.Node{Position: at, Shape: kind.Scalar, Text: n.Value, Plain: plain})
}

// tagged reports whether a value was given a tag; others have one that was found for them.
func tagged(n *yaml.Node) bool { return n.Style&yaml.TaggedStyle != 0 || n.Tag == "!" }

func (t *tree) mapping(at kind.Position, n *yaml.Node) *kind.Node {
	m := &kind.Node{Position: at, Shape: kind.Mapping}
	first := map[string]kind.Position{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		at := t.at(name.Line, name.Column)
		if message, hint := misnamed(name); message != "" {
			t.report(t.problem(at, message, hint))
			continue
		}
		back := t.into(name.Value)
		if before, twice := first[name.Value]; twice {
			t.report(t.problem(at, "given twice: first at "+before.String(), "remove one of them"))
		} else {
			first[name.Value] = at
			m.Fields = append(m.Fields, kind.Field{Position: at, Name: name.Value, Value: t.node(value)})
		}
		back()
	}
	return m
}

// misnamed says what is wrong with the name of a field, if anything is.
func misnamed(n *yaml.Node) (message, hint string) {
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	switch {
	case n.Kind == yaml.AliasNode, n.Anchor != "", n.Kind == yaml.ScalarNode && tagged(n):
		return "the name of a field with an alias, an anchor or a tag", "write the name alone"
	case n.Kind != yaml.ScalarNode:
		return "the name of a field is a mapping or a list: want a text", "put quotes round a value with { or [ in it"
	case n.Tag == "!!merge":
		return "a merge key: mappings are not put together by reference here", "write the fields out"
	case n.Tag != "!!str":
		return fmt.Sprintf("the name of a field is %s: want a text", shown(n.Value)), "put quotes round it"
	case n.Value == "":
		return "the name of a field is empty", "give it a name"
	case len(n.Value) > nameMax:
		return fmt.Sprintf("the name of a field has more than %d bytes", nameMax), "give it a shorter name"
	case strings.ContainsFunc(n.Value, unprintable):
		return fmt.Sprintf("the name of a field is %s: want characters that can be seen", shown(n.Value)), ""
	case strings.Contains(n.Value, "${"):
		return fmt.Sprintf("a variable in the name of a field, %s", shown(n.Value)), "only values have variables"
	}
	return "", ""
}

// shown quotes what a file holds, and only the beginning of what is long.
func shown(s string) string {
	const most = 80
	for i := range s {
		if i > most {
			return strconv.Quote(s[:i] + "…")
		}
	}
	return strconv.Quote(s)
}
