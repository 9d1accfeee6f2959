// SPDX-License-Identifier: Apache-2.0

package module

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/millrace-io/millrace/engine/kind"
)

// scalar puts variables into a value. What it becomes is that one value, whatever the variables hold.
func (t *tree) scalar(n *kind.Node) *kind.Node {
	if !strings.Contains(n.Text, "${") {
		return n
	}
	var value strings.Builder
	var places []place
	wrong := false
	rest := n.Text
	for nth := 0; ; nth++ {
		i := strings.Index(rest, "${")
		if i < 0 {
			break
		}
		if i > 0 && rest[i-1] == '$' {
			value.WriteString(rest[:i-1] + "${")
			rest = rest[i+2:]
			continue
		}
		v := t.variable(rest[i:])
		if v.message != "" {
			if !wrong && t.reported[t.file] <= problemsMax {
				places = t.places(n.Position, strings.Count(n.Text, "${"))
			}
			wrong = true
			p := t.problem(n.Position, v.message, v.hint)
			first, _, _ := strings.Cut(rest[i:i+v.length], "\n")
			if nth < len(places) && strings.HasPrefix(places[nth].text, first) {
				p.Position = places[nth].at
			}
			t.fault(n.Position, p)
		}
		value.WriteString(rest[:i] + v.value)
		rest = rest[i+v.length:]
	}
	value.WriteString(rest)
	n.Written = n.Text
	if n.Text = value.String(); wrong {
		n.Text = ""
	}
	return n
}

// variable is a ${…} at the beginning of a text: its length there and its value, or what is wrong with it.
type variable struct {
	length        int
	value         string
	message, hint string
}

func (t *tree) variable(text string) variable {
	end := strings.IndexByte(text, '}')
	if end < 0 {
		return variable{length: len(text), message: shown(text) + " is not closed", hint: "end it with }; for the text itself write $${"}
	}
	whole, body := text[:end+1], text[2:end]
	name, fallback, hasFallback := strings.Cut(body, ":")
	v := variable{length: len(whole)}
	switch {
	case strings.Contains(body, "${"):
		// What follows is likely to be the rest of it.
		return variable{length: len(text), message: "a variable inside of a variable", hint: "use two, one behind the other"}
	case hasFallback && (name == "file" || name == "env"):
		v.message = fmt.Sprintf("%s: there is no ${%s:…}", shown(whole), name)
		v.hint = "write ${NAME} for the variable NAME of the environment; files are not read"
	case name == "function.name":
		v.message, v.hint = shown(whole)+" is no variable", "the place of a function's name is {function.name}, without $"
	case !isName(name):
		v.message = shown(whole) + " is no variable: want ${NAME} or ${NAME:default}"
		v.hint = "a name has letters, digits and _; for the text itself write $${"
	case fallback != "" && strings.Contains("-=?+", fallback[:1]):
		v.message = shown(whole) + " is a form of the shell"
		v.hint = fmt.Sprintf("write ${%s:%s}", name, clip(fallback[1:]))
	default:
		t.lookUp(&v, name, fallback, hasFallback)
	}
	return v
}

func (t *tree) lookUp(v *variable, name, fallback string, hasFallback bool) {
	value, ok := "", false
	if t.options.Env != nil {
		value, ok = t.options.Env(name)
	}
	switch {
	case !ok && !hasFallback:
		v.message = fmt.Sprintf("the variable %s is not set", clip(name))
		v.hint = fmt.Sprintf("set it, or give a default: ${%s:default}", clip(name))
		return
	case !ok:
		value = fallback
	}
	if t.expanded += len(value); t.expanded > bytesMax {
		v.message, v.hint = fmt.Sprintf("variables bring more than %d bytes", bytesMax), "use fewer or shorter ones"
		return
	}
	v.value = value
}

func isName(s string) bool {
	for i, r := range s {
		if r != '_' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}

// clip shortens a text that is shown without quotes.
func clip(s string) string {
	s = shown(s)
	return s[1 : len(s)-1]
}

// place is where "${" stands in the source, and what follows in its line.
type place struct {
	at   kind.Position
	text string
}

// places finds the first n "${" of a value that begins at a position. There may be fewer to be seen: it can
// be written with escapes.
func (t *tree) places(begin kind.Position, n int) (found []place) {
	for i, row := range t.rows()[begin.Line-t.line-1:] {
		column := 1
		if i == 0 {
			row, column = behind(row, begin.Column), begin.Column
		}
		for len(found) < n {
			next := strings.Index(row, "${")
			if next < 0 {
				break
			}
			column += utf8.RuneCountInString(row[:next])
			row = row[next:]
			found = append(found, place{t.at(begin.Line-t.line+i, column), row})
			row, column = row[2:], column+2
		}
		if len(found) == n {
			break
		}
	}
	return found
}
