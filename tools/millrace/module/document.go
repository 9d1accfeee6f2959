// SPDX-License-Identifier: Apache-2.0

package module

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"

	"github.com/millrace-io/millrace/engine/kind"
)

const (
	// valuesMax bounds the values of a file. One costs up to a kilobyte while it is read.
	valuesMax = 50_000
	// depthMax bounds mappings and lists inside each other, those in brackets and the others apart.
	depthMax = 32
)

// documents returns what is in a file, without empty documents. broken says that some could not be read.
func (l *loader) documents(file string, content []byte) (docs []*kind.Node, broken bool) {
	text := strings.TrimPrefix(string(content), "\ufeff")
	if p, bad := unreadable(text); bad {
		p.File = file
		l.report(p)
		return nil, true
	}
	t := &tree{loader: l, file: file}
	for _, part := range split(text) {
		t.source, t.line, t.lines = part.text, part.line, nil
		found, err := t.parse()
		docs = append(docs, found...)
		if err != nil {
			l.report(t.syntax(err))
			broken = true
		}
	}
	return docs, broken
}

// unreadable finds what no YAML file may hold, and where.
func unreadable(text string) (p kind.Problem, bad bool) {
	values := 0
	for i, r := range text {
		switch {
		case r == utf8.RuneError && strings.HasPrefix(text[i:], "\ufffd"):
		case r == utf8.RuneError:
			p = kind.Problem{Message: "not UTF-8", Hint: "save the file as UTF-8"}
		case r < ' ' && r != '\t' && r != '\n' && r != '\r', r >= 0x7f && r <= 0x9f && r != 0x85, r == 0xfffe, r == 0xffff:
			p = kind.Problem{Message: fmt.Sprintf("the control character %U", r), Hint: "remove it"}
		case r == '[', r == '{', r == ',', (r == ':' || r == '-' || r == '?') && blank(text[i+1:]):
			// Each begins a value or two, except in texts. To count them costs nothing beside reading them.
			if values++; values > valuesMax {
				p = kind.Problem{Message: fmt.Sprintf("more than %d values", valuesMax), Hint: "divide the file: several can be given"}
			}
		}
		if p.Message != "" {
			p.Line, p.Column = endOf(text[:i])
			return p, true
		}
	}
	return p, false
}

// blank reports whether nothing or white space comes first.
func blank(text string) bool { return text == "" || strings.ContainsRune(" \t\r\n", rune(text[0])) }

// endOf returns the line and the column behind a text.
func endOf(text string) (line, column int) {
	text = breaks.Replace(text)
	return strings.Count(text, "\n") + 1, utf8.RuneCountInString(text[strings.LastIndexByte(text, '\n')+1:]) + 1
}

// breaks makes one of all that ends a line in YAML 1.1.
var breaks = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n")

// part is a piece of a file that can be read by itself.
type part struct {
	text string
	line int // Lines before it.
}

// split divides a file into its documents, so that a mistake in one hides no mistakes in others: "---" and
// "..." at the beginning of a line end a document wherever they stand. It leaves out what is empty.
func split(text string) (parts []part) {
	begin, line := 0, 0
	opened, filled := false, false // There was a "---"; there was anything but comments and directives.
	cut := func(end int) {
		if filled {
			parts = append(parts, part{text[begin:end], line})
		}
		lines, _ := endOf(text[begin:end])
		begin, line = end, line+lines-1
		opened, filled = false, false
	}
	for at := 0; at < len(text); {
		end := len(text)
		if i := strings.IndexByte(text[at:], '\n'); i >= 0 {
			end = at + i + 1
		}
		row := text[at:end]
		switch {
		case strings.HasPrefix(row, "---") && blank(row[3:]):
			if opened || filled { // Else directives before it belong to what comes.
				cut(at)
			}
			opened, filled = true, said(row[3:])
		case strings.HasPrefix(row, "...") && blank(row[3:]):
			cut(end)
		case row[0] != '%':
			filled = filled || said(row)
		}
		at = end
	}
	cut(len(text))
	return parts
}

// said reports whether there is more in a row than a comment.
func said(row string) bool {
	row = strings.TrimSpace(row)
	return row != "" && row[0] != '#'
}

// parse reads the documents of t.source, up to the first mistake in the syntax.
func (t *tree) parse() (docs []*kind.Node, err error) {
	loader, err := yaml.NewLoader(strings.NewReader(t.source),
		yaml.WithPlugin(loaderlimits.New(loaderlimits.DepthValue(depthMax)), aliases{}))
	for err == nil {
		var node yaml.Node
		if err = loader.Load(&node); err == nil && len(node.Content) > 0 {
			if doc := t.node(node.Content[0]); doc.Shape != kind.Null {
				docs = append(docs, doc)
			}
		}
	}
	if err == io.EOF {
		err = nil
	}
	return docs, err
}

// aliases lets the parser go on behind an alias, whether there is an anchor or not: tree refuses all of
// them, each in its place.
type aliases struct{}

func (aliases) NewAliasDataContext(yaml.AliasDataServices) (yaml.AliasDataContext, error) {
	return aliases{}, nil
}
func (aliases) BeginDocument() error                  { return nil }
func (aliases) EndDocument() error                    { return nil }
func (aliases) DefineAnchor(string, *yaml.Node) error { return nil }
func (aliases) ResolveAlias(string) (*yaml.Node, bool, error) {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str"}, true, nil
}

// syntax says what is wrong with the YAML.
func (t *tree) syntax(err error) kind.Problem {
	var e *yaml.LoadError
	if !errors.As(err, &e) {
		return kind.Problem{Position: t.at(1, 1), Message: "not YAML: " + err.Error()}
	}
	line, column := max(1, e.Mark.Line), max(1, e.Mark.Column)
	// What is missing at the end is missing behind the last thing that is there.
	if last, end := endOf(strings.TrimRight(t.source, " \t\r\n")); line > last {
		line, column = last, end
	}
	p := kind.Problem{Position: t.at(line, column), Message: "not YAML: " + e.Message}
	if strings.Contains(e.Message, "max depth") {
		p.Message, p.Hint = fmt.Sprintf("mappings and lists inside each other, more than %d", depthMax), "no component needs so many"
		return p
	}
	if e.ContextMark.Line > 0 && e.ContextMark != e.Mark {
		begin := t.at(e.ContextMark.Line, e.ContextMark.Column)
		if strings.Contains(e.Message, "unexpected end of stream") {
			p.Position = begin // The end says nothing about where the mistake is.
		} else {
			p.Message += fmt.Sprintf(", %s that begins at %d:%d", e.ContextMsg, begin.Line, begin.Column)
		}
	}
	p.Hint = t.advice(e.Message+" "+e.ContextMsg, p.Position)
	return p
}
