// SPDX-License-Identifier: Apache-2.0

package module

import (
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/kind"
)

// reads loads a component with field f of a kind that keeps it.
func reads(t *testing.T, value string) (text string, problems []kind.Problem) {
	t.Helper()
	keep := kind.Kind{Name: "test/keep", Bind: func(s *kind.Spec, _ kind.Target) { text = s.String("f", "absent") }}
	env := func(name string) (string, bool) {
		if name == "LONG" {
			return strings.Repeat("a", 1<<19), true
		}
		return environment(name)
	}
	_, problems = Load([]string{write(t, "kind: test/keep\nspec:\n  f: "+value+"\n")}, Options{Kinds: []kind.Kind{keep}, Env: env})
	return text, problems
}

func TestVariables(t *testing.T) {
	yaml, _ := environment("YAML")
	for value, want := range map[string]string{
		"plain":                       "plain",
		"${HOST}":                     "fns",
		"'${HOST}'":                   "fns",
		`"${HOST}\t${PORT}"`:          "fns\t8090",
		"|\n    ${HOST}\n    ${PORT}": "fns\n8090\n",
		"a${HOST}b${PORT}c":           "afnsb8090c",
		"${NONE:default}":             "default",
		"${NONE:}":                    "",
		"${NONE:http://h:1/?a=b}":     "http://h:1/?a=b",
		"${HOST:unused}":              "fns",
		"${EMPTY:unused}":             "",
		"$${HOST}":                    "${HOST}",
		"$$${HOST}":                   "$${HOST}",
		"$${HOST}${HOST}":             "${HOST}fns",
		"$HOST $ $$ {HOST} }":         "$HOST $ $$ {HOST} }",
		"${_a1:x}":                    "x",
		// Not null, not a mapping, not a variable, not a further field: one value, whatever it holds.
		"${NONE:null}":    "null",
		"${NONE:~}":       "~",
		"${NONE:{a, b}":   "{a, b",
		"${YAML}":         yaml,
		`"${YAML}"`:       yaml,
		"${NONE:$}{HOST}": "${HOST}",
		"null":            "absent",
		"":                "absent",
		"1e3":             "1e3",
		"0x10":            "0x10",
		"yes":             "yes",
		"2026-01-01":      "2026-01-01",
		"1_000":           "1_000",
		"\"null\"":        "null",
	} {
		text, problems := reads(t, value)
		if text != want || len(problems) > 0 {
			t.Errorf("%s is read as %q with problems %v, want %q", value, text, problems, want)
		}
	}
}

// A short file and a long variable make no long configuration.
func TestVariablesAreBounded(t *testing.T) {
	if _, problems := reads(t, "${LONG}${LONG}"); len(problems) > 0 {
		t.Errorf("1 MiB is refused: %v", problems)
	}
	text, problems := reads(t, "${LONG}${LONG}${PORT}"+strings.Repeat("${LONG}", 100))
	if text != "" || len(problems) != 101 || problems[0].Message != "variables bring more than 1048576 bytes" {
		t.Errorf("%d bytes are read, with %d problems", len(text), len(problems))
	}
}

// Without an environment no variable is set.
func TestVariablesWithoutEnvironment(t *testing.T) {
	file := write(t, "kind: ${HOST}\nspec: {}\n")
	_, problems := Load([]string{file}, Options{Kinds: kinds()})
	if len(problems) != 1 || problems[0].Message != "the variable HOST is not set" {
		t.Errorf("problems %v", problems)
	}
}
