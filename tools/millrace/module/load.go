// SPDX-License-Identifier: Apache-2.0

package module

import (
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/millrace-io/millrace/engine/kind"
)

// Options say what a module file may hold.
type Options struct {
	// Kinds are the kinds that there are. Two of the same name are a mistake of the program: Load panics.
	Kinds []kind.Kind
	// Env looks up the variables of ${NAME}, as os.LookupEnv does. nil: there are none.
	Env func(name string) (value string, ok bool)
	// Strict makes errors of all warnings.
	Strict bool
}

// problemsMax bounds what is reported of one file, so that a file of nothing but mistakes stays readable,
// and cheap to refuse.
const problemsMax = 1000

// Load reads all files and returns what they describe together, with everything that is wrong in any of
// them, in the order of files and lines. If one of the problems is more than a warning, there is no
// application.
func Load(files []string, options Options) (*Application, []kind.Problem) {
	l := newLoader(options)
	for _, file := range files {
		if content, ok := l.read(file); ok {
			l.content(file, content)
		}
	}
	return l.result(files)
}

// loader is one call of Load.
type loader struct {
	options Options
	kinds   map[string]kind.Kind
	names   []string // Of kinds, sorted.

	given    []given
	app      Application
	problems []kind.Problem
	reported map[string]int // Problems by file.
	// faulty holds the values that something is wrong with already. What a kind has to say of the value
	// that stands in for one would only mislead.
	faulty map[kind.Position]bool
}

// given is a file that has been given.
type given struct {
	name string
	info fs.FileInfo
}

func newLoader(options Options) *loader {
	l := &loader{
		kinds:    map[string]kind.Kind{},
		options:  options,
		faulty:   map[kind.Position]bool{},
		reported: map[string]int{},
	}
	for _, k := range options.Kinds {
		if _, twice := l.kinds[k.Name]; twice {
			panic("module: two kinds are named " + k.Name)
		}
		l.kinds[k.Name] = k
	}
	l.names = slices.Sorted(maps.Keys(l.kinds))
	return l
}

// content reads what is in a file.
func (l *loader) content(file string, content []byte) {
	docs, broken := l.documents(file, content)
	switch {
	case len(docs) == 1 && legacy(docs[0]):
		l.version(docs[0])
	case len(docs) == 0 && !broken:
		l.report(kind.Problem{
			Position: kind.Position{File: file}, Message: "no component in it",
			Hint: "a component has a kind and a spec",
		})
	default:
		for _, doc := range docs {
			l.document(doc)
		}
	}
}

// result is what all files come to.
func (l *loader) result(files []string) (*Application, []kind.Problem) {
	l.collisions()
	slices.SortStableFunc(l.problems, func(a, b kind.Problem) int {
		return cmp.Or(
			cmp.Compare(slices.Index(files, a.File), slices.Index(files, b.File)),
			cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
		)
	})
	fatal := false
	for i := range l.problems {
		p := &l.problems[i]
		p.Warning = p.Warning && !l.options.Strict
		fatal = fatal || !p.Warning
	}
	if fatal {
		return nil, l.problems
	}
	return &l.app, l.problems
}

// report notes a problem, unless it follows from one that is noted already.
func (l *loader) report(p kind.Problem) {
	if !l.faulty[p.Position] {
		l.note(p)
	}
}

// fault notes a problem with the value at a position, which may stand before the problem itself.
func (l *loader) fault(value kind.Position, p kind.Problem) {
	l.faulty[value] = true
	l.note(p)
}

func (l *loader) note(p kind.Problem) {
	switch n := l.reported[p.File]; {
	case n < problemsMax:
		l.problems = append(l.problems, p)
	case n == problemsMax:
		l.problems = append(l.problems, kind.Problem{
			Position: p.Position, Message: fmt.Sprintf("more than %d problems: further ones are left out", problemsMax),
		})
	}
	l.reported[p.File]++
}
