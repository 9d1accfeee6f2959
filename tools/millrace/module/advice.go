// SPDX-License-Identifier: Apache-2.0

package module

import (
	"strings"

	"github.com/millrace-io/millrace/engine/kind"
)

// advice guesses what was meant where the YAML is wrong: what the parser says is true, but it is seldom
// what the reader of the message has to do.
func (t *tree) advice(message string, at kind.Position) string {
	row := ""
	if i := at.Line - t.line - 1; i < len(t.rows()) {
		row = t.rows()[i]
	}
	has := func(s string) bool { return strings.Contains(message, s) }
	switch {
	case strings.HasPrefix(behind(row, at.Column), "\t"), has("tab"):
		return "indent with blanks, not with tabs"
	case strings.Contains(row, "${") && strings.ContainsAny(row, "[{"), strings.Contains(row, ": {function.name}"):
		return "put quotes round a value with { or } in it"
	case has("cannot start any token"):
		return "put quotes round a value that begins so"
	case has("alias"):
		return "put quotes round a value that begins with *"
	case has("mapping values are not allowed"):
		return "put quotes round a value with a colon and a blank in it, or correct the indentation"
	case has("unexpected end of stream"):
		return "close what begins here"
	case has("expected key"), has("'-' indicator"):
		return "correct the indentation of this line, or put quotes round the value"
	case has("',' or"), has("node content"):
		return "close the brackets, or remove the comma that nothing follows"
	case has("YAML document"), has("directive"):
		return "remove the line that begins with %"
	}
	return ""
}

// behind returns what of a row is at a column and behind it.
func behind(row string, column int) string {
	for i := range row {
		if column--; column == 0 {
			return row[i:]
		}
	}
	return ""
}
