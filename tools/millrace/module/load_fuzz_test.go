// SPDX-License-Identifier: Apache-2.0

package module

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/millrace-io/millrace/engine/kind"
)

// What loading a file may cost: a part for what is reported, and a part for each byte. Most of the latter
// is the parser's, for a file of nothing but brackets and commas.
const (
	costConstant = 4 << 20
	costPerByte  = 2048
)

// FuzzLoad loads whatever it is given, with the kinds of the command. See checkContent.
func FuzzLoad(f *testing.F) {
	for _, pattern := range []string{"testdata/*/*.yaml", "testdata/*/*/*.yaml"} {
		seeds, _ := filepath.Glob(pattern)
		for _, seed := range seeds {
			content, err := os.ReadFile(seed)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(content)
		}
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		if len(content) > bytesMax {
			t.Skip("such a file is not read")
		}
		checkContent(t, content)
	})
}

// checkContent loads a file and checks that
//   - it does not panic and allocates in proportion to the file,
//   - there is an application, or a problem that is no warning,
//   - each problem lies in the file, says something, and holds nothing that a terminal would act on,
//   - each value without quotes stands in the file where its position says.
func checkContent(t *testing.T, content []byte) []kind.Problem {
	t.Helper()
	const name = "fuzz.yaml"
	var app *Application
	var problems []kind.Problem
	cost := allocated(func() {
		l := newLoader(options())
		l.content(name, content)
		app, problems = l.result([]string{name})
	})
	if most := costConstant + costPerByte*len(content); cost > most {
		t.Errorf("%d bytes allocated for a file of %d, want at most %d", cost, len(content), most)
	}

	rows := strings.Split(breaks.Replace(strings.TrimPrefix(string(content), "\ufeff")), "\n")
	fatal := false
	for _, p := range problems {
		fatal = fatal || !p.Warning
		if p.File != name || p.Message == "" || p.Line < 0 || p.Line > len(rows) || (p.Line == 0) != (p.Column == 0) {
			t.Errorf("a problem of no file, no place or no meaning: %+v", p)
		}
		if strings.ContainsFunc(p.Error(), func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("a problem with control characters: %q", p.Error())
		}
	}
	if (app == nil) != fatal {
		t.Errorf("application %v with problems\n%s", app, messages(problems))
	}

	docs, _ := newLoader(Options{Kinds: kinds()}).documents(name, content)
	for _, doc := range docs {
		checkPlaces(t, rows, doc)
	}
	return problems
}

func checkPlaces(t *testing.T, rows []string, n *kind.Node) {
	for _, f := range n.Fields {
		checkPlaces(t, rows, f.Value)
	}
	for _, item := range n.Items {
		checkPlaces(t, rows, item)
	}
	if n.Shape != kind.Scalar || !n.Plain {
		return
	}
	first, _, _ := strings.Cut(n.Text, " ") // Lines of a value are joined by blanks.
	first, _, _ = strings.Cut(first, "\n")
	if n.Line < 1 || n.Line > len(rows) {
		t.Errorf("%q is at %v, of %d lines", n.Text, n.Position, len(rows))
		return
	}
	row := rows[n.Line-1]
	if len(row) > 10_000 || strings.Contains(row, "${") {
		return // To count columns would take too long, or the text stands nowhere.
	}
	if there := behind(row, n.Column); !strings.HasPrefix(there, first) && !strings.HasPrefix(there, "&") {
		t.Errorf("%q is not at %v, where there is %q", n.Text, n.Position, there)
	}
}
