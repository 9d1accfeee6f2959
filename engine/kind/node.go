// SPDX-License-Identifier: Apache-2.0

package kind

import "fmt"

// Node is a value in a module file.
type Node struct {
	Position
	Shape   Shape
	Text    string  // Of a scalar: as it was written, without quotes, with variables put in.
	Written string  // Of a scalar with variables: as it stands in the file. Problems show this: variables may be secret.
	Plain   bool    // Of a scalar: it stood without quotes, so it may be a number or a truth value.
	Fields  []Field // Of a mapping, in order; no name occurs twice.
	Items   []*Node // Of a sequence.
}

// Field is one entry of a mapping.
type Field struct {
	Position // Of the name.
	Name     string
	Value    *Node
}

// Shape is what a Node looks like.
type Shape uint8

// The shapes.
const (
	Null Shape = iota // Nothing, or "null": as if the field were not there.
	Scalar
	Mapping
	Sequence
)

func (s Shape) String() string {
	switch s {
	case Null:
		return "nothing"
	case Scalar:
		return "a single value"
	case Mapping:
		return "a mapping"
	case Sequence:
		return "a list"
	}
	return fmt.Sprintf("Shape(%d)", uint8(s))
}

// Position is a place in a file. Lines and columns, in characters, count from 1; line 0 is the whole file.
type Position struct {
	File         string
	Line, Column int
}

// String returns "file:line:column", or only the file.
func (p Position) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}
