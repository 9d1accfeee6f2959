// SPDX-License-Identifier: Apache-2.0

// Package archcheck holds the architecture in a form that fails a test: who may import whom, what
// module engine may depend on, what the pure packages must not contain, and how the modules of the
// repository refer to each other. The tables are in rules.go, with a reason at each line.
package archcheck

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
)

// prefix is the part that the paths of all our modules share; below it, path and folder agree.
const prefix = "github.com/millrace-io/millrace/"

// module returns the import path of a folder of the repository.
func module(folder string) string { return prefix + folder }

// A Problem is one place that breaks a rule.
type Problem struct {
	File string // Relative to the root of the repository.
	Line int
	Text string // What is wrong, and the reason of the rule.
}

func (p Problem) String() string { return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Text) }

// Check returns what breaks the rules in the repository at root, in the order of files. It fetches
// nothing from a network beyond what a build of the pure packages needs.
func Check(root string) ([]Problem, error) {
	c := &checker{root: root, fset: token.NewFileSet(), packages: map[string][]*file{}}
	if err := c.walk(); err != nil {
		return nil, err
	}
	c.checkImports()
	if err := errors.Join(c.checkModules(), c.checkPure()); err != nil {
		return nil, err
	}
	slices.SortFunc(c.problems, func(a, b Problem) int {
		if d := strings.Compare(a.File, b.File); d != 0 {
			return d
		}
		return a.Line - b.Line
	})
	return c.problems, nil
}

type checker struct {
	root     string
	fset     *token.FileSet
	modules  []*modfile.File    // Their Syntax.Name is relative to root.
	packages map[string][]*file // By folder, relative to root.
	problems []Problem
}

type file struct {
	name   string // Relative to root.
	test   bool
	syntax *ast.File
}

// walk parses every Go file and every go.mod, whatever its build tags: a rule must not hold for one
// platform only.
func (c *checker) walk() error {
	return filepath.WalkDir(c.root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := entry.Name()
		if entry.IsDir() {
			if name != c.root && (base == "testdata" || base == "bin" || base[0] == '.' || base[0] == '_') {
				return fs.SkipDir
			}
			return nil
		}
		rel, err := filepath.Rel(c.root, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		switch {
		case base == "go.mod":
			data, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			mod, err := modfile.Parse(rel, data, nil)
			if err != nil {
				return err
			}
			c.modules = append(c.modules, mod)
		case strings.HasSuffix(base, ".go"):
			syntax, err := parser.ParseFile(c.fset, name, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			dir := path.Dir(rel)
			test := strings.HasSuffix(base, "_test.go")
			c.packages[dir] = append(c.packages[dir], &file{name: rel, test: test, syntax: syntax})
		}
		return nil
	})
}

func (c *checker) report(f *file, pos token.Pos, format string, args ...any) {
	c.problems = append(c.problems, Problem{f.name, c.fset.Position(pos).Line, fmt.Sprintf(format, args...)})
}
