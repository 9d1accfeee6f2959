// SPDX-License-Identifier: Apache-2.0

package kind

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Spec is a mapping whose fields a kind asks for. Each method reads one field and notes a problem if that
// is not as it should be; then, and when the field is absent, it returns the fallback. A Spec may be nil:
// it has no fields.
type Spec struct {
	node  *Node
	path  string
	asked map[string]bool
	notes *notes
	subs  []*Spec
}

// notes is where all specs of one component note their problems.
type notes struct{ problems []Problem }

// NewSpec returns the spec in node, which is a mapping. path is what the names of its fields are put behind.
func NewSpec(path string, node *Node) *Spec {
	return &Spec{node: node, path: path, asked: map[string]bool{}, notes: &notes{}}
}

// Problems returns what has been noted so far, with the fields that nobody has asked for. These are
// warnings if lenient is set.
func (s *Spec) Problems(lenient bool) []Problem {
	problems := slices.Clone(s.notes.problems)
	return append(problems, s.unknown(lenient)...)
}

func (s *Spec) unknown(lenient bool) (problems []Problem) {
	known := "the fields here are " + strings.Join(slices.Sorted(maps.Keys(s.asked)), ", ")
	for _, f := range s.node.Fields {
		if s.asked[f.Name] {
			continue
		}
		problems = append(problems, Problem{
			Position: f.Position, Field: s.path + "." + f.Name, Message: "unknown field",
			Hint: known, Warning: lenient,
		})
	}
	for _, sub := range s.subs {
		problems = append(problems, sub.unknown(lenient)...)
	}
	return problems
}

// Position returns where the spec begins.
func (s *Spec) Position() Position {
	if s == nil {
		return Position{}
	}
	return s.node.Position
}

// Problem notes a problem with a field, or with the spec itself if field is empty or absent. An entry of a
// mapping is "<field>.<name>". Nothing is wrong with a nil spec: who needs it asks the spec around it, with
// Require.
func (s *Spec) Problem(field, message, hint string) {
	if s == nil {
		return
	}
	at, path := s.node.Position, s.path
	if field != "" {
		path += "." + field
	}
	for _, f := range s.node.Fields {
		if f.Name == field {
			at = f.Value.Position
		}
		for _, entry := range f.Value.Fields {
			if f.Name+"."+entry.Name == field {
				at = entry.Value.Position
			}
		}
	}
	s.notes.problems = append(s.notes.problems, Problem{Position: at, Field: path, Message: message, Hint: hint})
}

// Has reports whether a field is there.
func (s *Spec) Has(field string) bool { return s.get(field) != nil }

// Require notes a problem if a field is absent. what says what was expected.
func (s *Spec) Require(field, what string) {
	if !s.Has(field) {
		s.Problem(field, "missing", "give "+what)
	}
}

func (s *Spec) get(field string) *Node {
	if s == nil {
		return nil
	}
	s.asked[field] = true
	for i := range s.node.Fields {
		if f := &s.node.Fields[i]; f.Name == field && f.Value.Shape != Null {
			return f.Value
		}
	}
	return nil
}

// scalar returns a field's text; ok is false when it is absent or no scalar.
func (s *Spec) scalar(field, want string) (text string, ok bool) {
	n := s.get(field)
	switch {
	case n == nil:
		return "", false
	case n.Shape != Scalar:
		s.Problem(field, fmt.Sprintf("%v: want %s", n.Shape, want), "")
		return "", false
	}
	return n.Text, true
}

// shaped returns a field that is a list or a mapping; nil when it is absent or none.
func (s *Spec) shaped(field string, want Shape) *Node {
	n := s.get(field)
	if n != nil && n.Shape != want {
		s.Problem(field, fmt.Sprintf("%v: want %v", n.Shape, want), "")
		return nil
	}
	return n
}

// wrong notes that a field does not hold what it should.
func (s *Spec) wrong(field, text, want string) {
	message := fmt.Sprintf("%s: want %s", quote(text), want)
	if n := s.get(field); n != nil && n.Written != "" {
		message = fmt.Sprintf("%s holds something else: want %s", quote(n.Written), want)
	}
	s.Problem(field, message, "")
}

func quote(s string) string {
	const most = 80
	if len(s) > most {
		end := most
		for end > 0 && !utf8.RuneStart(s[end]) {
			end--
		}
		s = s[:end] + "…"
	}
	return strconv.Quote(s)
}

// String reads a text.
func (s *Spec) String(field, fallback string) string {
	if text, ok := s.scalar(field, "a text"); ok {
		return text
	}
	return fallback
}

// OneOf reads a text that must be one of several.
func (s *Spec) OneOf(field, fallback string, accepted ...string) string {
	text, ok := s.scalar(field, "one of "+strings.Join(accepted, ", "))
	if !ok {
		return fallback
	}
	if !slices.Contains(accepted, text) {
		s.wrong(field, text, "one of "+strings.Join(accepted, ", "))
		return fallback
	}
	return text
}

// Int reads a whole number from low to high.
func (s *Spec) Int(field string, fallback, low, high int) int {
	want := fmt.Sprintf("a whole number from %d to %d", low, high)
	text, ok := s.scalar(field, want)
	if !ok {
		return fallback
	}
	v, err := strconv.ParseInt(text, 10, 64)
	if err != nil || v < int64(low) || v > int64(high) {
		s.wrong(field, text, want)
		return fallback
	}
	return int(v)
}

// Bool reads true or false.
func (s *Spec) Bool(field string, fallback bool) bool {
	switch text, ok := s.scalar(field, "true or false"); {
	case !ok:
		return fallback
	case text == "true":
		return true
	case text == "false":
		return false
	default:
		s.wrong(field, text, "true or false")
		return fallback
	}
}

// Duration reads a duration from low to high, as StateFun writes them: a whole number and a unit, such as
// "2min", "20 s" or "500ms"; a number alone is milliseconds.
func (s *Spec) Duration(field string, fallback, low, high time.Duration) time.Duration {
	want := fmt.Sprintf("a duration from %v to %v, such as 20s or 2min", low, high)
	text, ok := s.scalar(field, want)
	if !ok {
		return fallback
	}
	d, err := ParseDuration(text)
	if err != nil || d < low || d > high {
		s.wrong(field, text, want)
		return fallback
	}
	return d
}

// Bytes reads a size from low to high: a whole number of bytes, or one with the unit KiB, MiB or GiB.
func (s *Spec) Bytes(field string, fallback, low, high int) int {
	want := fmt.Sprintf("a size from %d to %d bytes, such as 1048576 or 1MiB", low, high)
	text, ok := s.scalar(field, want)
	if !ok {
		return fallback
	}
	v, err := parseBytes(text)
	if err != nil || v < int64(low) || v > int64(high) {
		s.wrong(field, text, want)
		return fallback
	}
	return int(v)
}

// Strings reads a list of texts.
func (s *Spec) Strings(field string) (list []string) {
	n := s.shaped(field, Sequence)
	if n == nil {
		return nil
	}
	for i, item := range n.Items {
		if item.Shape != Scalar {
			s.note(item.Position, fmt.Sprintf("%s[%d]", field, i), fmt.Sprintf("%v: want a text", item.Shape))
			continue
		}
		list = append(list, item.Text)
	}
	return list
}

// Map reads a mapping from texts to texts.
func (s *Spec) Map(field string) map[string]string {
	n := s.shaped(field, Mapping)
	if n == nil {
		return nil
	}
	m := make(map[string]string, len(n.Fields))
	for _, f := range n.Fields {
		if f.Value.Shape != Scalar {
			s.note(f.Value.Position, field+"."+f.Name, fmt.Sprintf("%v: want a text", f.Value.Shape))
			continue
		}
		m[f.Name] = f.Value.Text
	}
	return m
}

// Sub reads a mapping with fields of its own, or returns nil.
func (s *Spec) Sub(field string) *Spec {
	n := s.get(field)
	if n == nil {
		return nil
	}
	return s.sub(field, n)
}

// Subs reads a list of mappings with fields of their own.
func (s *Spec) Subs(field string) (list []*Spec) {
	n := s.shaped(field, Sequence)
	if n == nil {
		return nil
	}
	for i, item := range n.Items {
		if sub := s.sub(fmt.Sprintf("%s[%d]", field, i), item); sub != nil {
			list = append(list, sub)
		}
	}
	return list
}

func (s *Spec) sub(path string, n *Node) *Spec {
	if n.Shape != Mapping {
		s.note(n.Position, path, fmt.Sprintf("%v: want a mapping", n.Shape))
		return nil
	}
	for _, sub := range s.subs {
		if sub.node == n { // Asked for again: the fields of both times are known.
			return sub
		}
	}
	sub := &Spec{node: n, path: s.path + "." + path, asked: map[string]bool{}, notes: s.notes}
	s.subs = append(s.subs, sub)
	return sub
}

func (s *Spec) note(at Position, path, message string) {
	s.notes.problems = append(s.notes.problems, Problem{Position: at, Field: s.path + "." + path, Message: message})
}

var sizes = []struct {
	suffix string
	bytes  int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}}

func parseBytes(s string) (int64, error) {
	number, unit := s, int64(1)
	for _, size := range sizes {
		if digits, ok := strings.CutSuffix(s, size.suffix); ok {
			number, unit = strings.TrimSpace(digits), size.bytes
		}
	}
	v, err := strconv.ParseInt(number, 10, 64)
	if err != nil || v < 0 || v > math.MaxInt64/unit {
		return 0, fmt.Errorf("size %s: want a whole number, or one with KiB, MiB or GiB", quote(s))
	}
	return v * unit, nil
}
