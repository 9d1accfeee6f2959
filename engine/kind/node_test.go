// SPDX-License-Identifier: Apache-2.0

package kind

import "testing"

// The builders give each node a position of its own: line is the order in which nodes are made.
type file struct{ line int }

func (f *file) at(column int) Position {
	f.line++
	return Position{"m.yaml", f.line, column}
}

func (f *file) text(s string) *Node { return &Node{Position: f.at(5), Shape: Scalar, Text: s} }

func (f *file) list(items ...*Node) *Node {
	return &Node{Position: f.at(5), Shape: Sequence, Items: items}
}

// mapping takes names and values in turn.
func (f *file) mapping(entries ...any) *Node {
	n := &Node{Position: f.at(3), Shape: Mapping}
	for i := 0; i < len(entries); i += 2 {
		value := entries[i+1].(*Node)
		n.Fields = append(n.Fields, Field{Position{"m.yaml", value.Line, 1}, entries[i].(string), value})
	}
	return n
}

func TestProblemError(t *testing.T) {
	at := Position{"a.yaml", 3, 7}
	for _, tt := range []struct {
		p    Problem
		want string
	}{
		{Problem{Position: at, Message: "m"}, "a.yaml:3:7: m"},
		{Problem{Position: at, Field: "spec.f", Message: "m", Hint: "h"}, "a.yaml:3:7: spec.f: m; h"},
		{Problem{Position: at, Field: "f", Message: "m", Warning: true}, "a.yaml:3:7: warning: f: m"},
		{Problem{Position: Position{File: "a.yaml"}, Message: "m"}, "a.yaml: m"},
	} {
		if got := tt.p.Error(); got != tt.want {
			t.Errorf("%+v reads %q, want %q", tt.p, got, tt.want)
		}
	}
}

func TestShapeString(t *testing.T) {
	for shape, want := range map[Shape]string{
		Null: "nothing", Scalar: "a single value", Mapping: "a mapping", Sequence: "a list", 9: "Shape(9)",
	} {
		if got := shape.String(); got != want {
			t.Errorf("Shape(%d) reads %q, want %q", shape, got, want)
		}
	}
}
