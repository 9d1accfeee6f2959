// SPDX-License-Identifier: Apache-2.0

package kind

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// Each method: what it returns for a field f, what it notes, and the fallback when f is absent or wrong.
func TestSpecReads(t *testing.T) {
	readers := map[string]func(*Spec) any{
		"String":   func(s *Spec) any { return s.String("f", "fallback") },
		"OneOf":    func(s *Spec) any { return s.OneOf("f", "b", "a", "b") },
		"Int":      func(s *Spec) any { return s.Int("f", 7, -1, 1000) },
		"Bool":     func(s *Spec) any { return s.Bool("f", true) },
		"Duration": func(s *Spec) any { return s.Duration("f", 9*time.Second, time.Second, time.Minute) },
		"Bytes":    func(s *Spec) any { return s.Bytes("f", 42, 1, 1<<20) },
		"Strings":  func(s *Spec) any { return s.Strings("f") },
		"Map":      func(s *Spec) any { return s.Map("f") },
		"Has":      func(s *Spec) any { return s.Has("f") },
		"Require":  func(s *Spec) any { s.Require("f", "an f"); return nil },
	}
	const (
		intWant      = "want a whole number from -1 to 1000"
		durationWant = "want a duration from 1s to 1m0s, such as 20s or 2min"
		bytesWant    = "want a size from 1 to 1048576 bytes, such as 1048576 or 1MiB"
	)
	var m file
	null := &Node{Position: m.at(4)}
	texts := []string(nil)
	table := map[string]string(nil)
	tests := []struct {
		reader string
		f      *Node // nil: there is no f.
		want   any
		notes  string // Behind "spec.f".
	}{
		{"String", nil, "fallback", ""},
		{"String", null, "fallback", ""},
		{"String", m.text(""), "", ""},
		{"String", m.text("1e3"), "1e3", ""},
		{"String", m.list(), "fallback", ": a list: want a text"},
		{"String", m.mapping(), "fallback", ": a mapping: want a text"},
		{"OneOf", nil, "b", ""},
		{"OneOf", m.text("a"), "a", ""},
		{"OneOf", m.text("A"), "b", `: "A": want one of a, b`},
		{"OneOf", m.mapping(), "b", ": a mapping: want one of a, b"},
		{"Int", nil, 7, ""},
		{"Int", m.text("-1"), -1, ""},
		{"Int", m.text("1000"), 1000, ""},
		{"Int", m.text("1001"), 7, `: "1001": ` + intWant},
		{"Int", m.text("-2"), 7, `: "-2": ` + intWant},
		{"Int", m.text("1e3"), 7, `: "1e3": ` + intWant},
		{"Int", m.text("0x10"), 7, `: "0x10": ` + intWant},
		{"Int", m.text("1_000"), 7, `: "1_000": ` + intWant},
		{"Int", m.text(" 5"), 7, `: " 5": ` + intWant},
		{"Int", m.text("99999999999999999999"), 7, `: "99999999999999999999": ` + intWant},
		{"Int", m.list(), 7, ": a list: " + intWant},
		{"Bool", nil, true, ""},
		{"Bool", m.text("true"), true, ""},
		{"Bool", m.text("false"), false, ""},
		{"Bool", m.text("no"), true, `: "no": want true or false`},
		{"Bool", m.text("False"), true, `: "False": want true or false`},
		{"Bool", m.list(), true, ": a list: want true or false"},
		{"Duration", nil, 9 * time.Second, ""},
		{"Duration", m.text("1 MIN"), time.Minute, ""},
		{"Duration", m.text("1000"), time.Second, ""},
		{"Duration", m.text("999"), 9 * time.Second, `: "999": ` + durationWant},
		{"Duration", m.text("61s"), 9 * time.Second, `: "61s": ` + durationWant},
		{"Duration", m.text("1.5s"), 9 * time.Second, `: "1.5s": ` + durationWant},
		{"Duration", m.mapping(), 9 * time.Second, ": a mapping: " + durationWant},
		{"Bytes", nil, 42, ""},
		{"Bytes", m.text("1"), 1, ""},
		{"Bytes", m.text("1MiB"), 1 << 20, ""},
		{"Bytes", m.text("64 KiB"), 64 << 10, ""},
		{"Bytes", m.text("0"), 42, `: "0": ` + bytesWant},
		{"Bytes", m.text("1GiB"), 42, `: "1GiB": ` + bytesWant},
		{"Bytes", m.text("1MB"), 42, `: "1MB": ` + bytesWant},
		{"Bytes", m.text("1mib"), 42, `: "1mib": ` + bytesWant},
		{"Bytes", m.text("1KiBMiB"), 42, `: "1KiBMiB": ` + bytesWant},
		{"Bytes", m.text("KiB"), 42, `: "KiB": ` + bytesWant},
		{"Bytes", m.text("0.5MiB"), 42, `: "0.5MiB": ` + bytesWant},
		{"Bytes", m.text("-1"), 42, `: "-1": ` + bytesWant},
		{"Bytes", m.text("9223372036854775807GiB"), 42, `: "9223372036854775807GiB": ` + bytesWant},
		{"Bytes", m.list(), 42, ": a list: " + bytesWant},
		{"Strings", nil, texts, ""},
		{"Strings", m.list(), texts, ""},
		{"Strings", m.list(m.text("a"), m.text("b")), []string{"a", "b"}, ""},
		{"Strings", m.list(m.text("a"), m.mapping()), []string{"a"}, "[1]: a mapping: want a text"},
		{"Strings", m.list(null), texts, "[0]: nothing: want a text"},
		{"Strings", m.text("a, b"), texts, ": a single value: want a list"},
		{"Map", nil, table, ""},
		{"Map", m.mapping("a", m.text("b")), map[string]string{"a": "b"}, ""},
		{"Map", m.mapping("a", m.list()), map[string]string{}, ".a: a list: want a text"},
		{"Map", m.list(), table, ": a list: want a mapping"},
		{"Has", nil, false, ""},
		{"Has", null, false, ""},
		{"Has", m.list(), true, ""},
		{"Require", nil, nil, ": missing; give an f"},
		{"Require", null, nil, ": missing; give an f"},
		{"Require", m.text(""), nil, ""},
	}
	for _, tt := range tests {
		node := m.mapping()
		if tt.f != nil {
			node = m.mapping("f", tt.f)
		}
		s := NewSpec("spec", node)
		if got := readers[tt.reader](s); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s of %+v = %#v, want %#v", tt.reader, tt.f, got, tt.want)
		}
		var notes string
		for _, p := range s.Problems(false) {
			notes += strings.TrimPrefix(p.Error(), p.Position.String()+": spec.f")
		}
		if notes != tt.notes {
			t.Errorf("%s of %+v notes %q, want %q", tt.reader, tt.f, notes, tt.notes)
		}
	}
}

// Positions lead to the value that is wrong, or to what should have held it.
func TestSpecPositions(t *testing.T) {
	var m file
	bad, item, entry, sub := m.text("x"), m.list(), m.list(), m.text("no mapping")
	deep := m.mapping("d", m.text("y"))
	node := m.mapping("n", bad, "list", m.list(m.text("a"), item), "map", m.mapping("k", entry),
		"subs", m.list(sub, deep))
	s := NewSpec("spec", node)
	s.Int("n", 0, 0, 1)
	s.Strings("list")
	s.Map("map")
	for _, sub := range s.Subs("subs") {
		if sub.Position() != deep.Position {
			t.Errorf("Position() = %v, want %v", sub.Position(), deep.Position)
		}
		sub.Bool("d", false)
		sub.Require("e", "an e")
	}
	s.Problem("", "wrong as a whole", "")

	want := map[string]Position{
		"spec.n": bad.Position, "spec.list[1]": item.Position, "spec.map.k": entry.Position,
		"spec.subs[0]": sub.Position, "spec.subs[1].d": deep.Fields[0].Value.Position,
		"spec.subs[1].e": deep.Position, "spec": node.Position,
	}
	got := map[string]Position{}
	for _, p := range s.Problems(false) {
		got[p.Field] = p.Position
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("problems are at\n%v, want\n%v", got, want)
	}
}

func TestSpecUnknown(t *testing.T) {
	var m file
	tls := m.mapping("cert", m.text("f"), "certt", m.text("f"), "key", m.text("k"))
	node := m.mapping("b", m.text("1"), "tls", tls, "x", m.mapping("deep", m.text("")), "empty", &Node{})
	for _, lenient := range []bool{false, true} {
		s := NewSpec("spec", node)
		s.String("b", "")
		s.String("a", "")
		// Twice: the fields of both times are known, and what is unknown is reported once.
		s.Sub("tls").String("cert", "")
		s.Sub("tls").String("key", "")

		var got []string
		for _, p := range s.Problems(lenient) {
			if p.Warning != lenient || p.Message != "unknown field" {
				t.Errorf("lenient=%v: %+v", lenient, p)
			}
			got = append(got, p.Field+" | "+p.Hint)
		}
		want := []string{
			"spec.x | the fields here are a, b, tls",
			"spec.empty | the fields here are a, b, tls",
			"spec.tls.certt | the fields here are cert, key",
		}
		if !slices.Equal(got, want) {
			t.Errorf("unknown fields are %q, want %q", got, want)
		}
	}
}

// A mapping that is not there is a nil spec, which has no fields and in which nothing is wrong.
func TestSpecNil(t *testing.T) {
	var m file
	parent := NewSpec("spec", m.mapping())
	s := parent.Sub("tls")
	if s != nil || parent.Subs("list") != nil {
		t.Fatal("what is not there is not nil")
	}
	s.Require("cert", "a file")
	s.Problem("cert", "wrong", "")
	if s.Has("cert") || s.String("cert", "x") != "x" || s.Int("n", 3, 0, 9) != 3 || !s.Bool("b", true) ||
		s.OneOf("o", "a", "a") != "a" || s.Duration("d", 5, 0, 9) != 5 || s.Bytes("m", 6, 0, 9) != 6 ||
		s.Strings("l") != nil || s.Map("m") != nil || s.Sub("s") != nil || s.Subs("s") != nil ||
		s.Position() != (Position{}) {
		t.Error("a nil spec has fields")
	}
	if p := parent.Problems(false); len(p) > 0 {
		t.Errorf("problems %v", p)
	}
}

// What was typed is shown, but neither all of a long text nor what a terminal would act on.
func TestSpecQuotes(t *testing.T) {
	var m file
	for in, want := range map[string]string{
		"\x1b[31m\n":                  `"\x1b[31m\n"`,
		strings.Repeat("a", 999):      `"` + strings.Repeat("a", 80) + `…"`,
		strings.Repeat("é", 80) + "a": `"` + strings.Repeat("é", 40) + `…"`,
		"x" + strings.Repeat("é", 80): `"x` + strings.Repeat("é", 39) + `…"`,
	} {
		s := NewSpec("spec", m.mapping("f", m.text(in)))
		s.Bool("f", false)
		if got := s.Problems(false)[0].Message; got != want+": want true or false" {
			t.Errorf("%q is shown as %s, want %s", in, got, want)
		}
	}
}

// What a variable holds may be secret, so a problem shows the variable.
func TestProblemsShowVariables(t *testing.T) {
	port := &Node{Shape: Scalar, Text: "hunter2", Written: "${PORT}"}
	s := NewSpec("spec", &Node{Shape: Mapping, Fields: []Field{{Name: "port", Value: port}}})
	s.Int("port", 1, 1, 65535)
	problems := s.Problems(false)
	if len(problems) != 1 || !strings.Contains(problems[0].Error(), `"${PORT}" holds something else: want`) || strings.Contains(problems[0].Error(), "hunter2") {
		t.Errorf("problems %v", problems)
	}
}
