// SPDX-License-Identifier: Apache-2.0

package archcheck

import (
	"go/ast"
	"slices"
	"strconv"
	"strings"
)

// checkImports holds every import against the rules: those of our packages against who may import
// whom, those of module engine also against the list of its dependencies.
func (c *checker) checkImports() {
	for dir, files := range c.packages {
		r := ruleOf(dir)
		if r == nil {
			c.report(files[0], files[0].syntax.Package, "no rule knows package %s; add one to tools/archcheck/rules.go", dir)
			continue
		}
		for _, f := range files {
			for _, spec := range f.syntax.Imports {
				c.checkImport(r, dir, f, spec)
			}
		}
	}
}

func (c *checker) checkImport(r *rule, dir string, f *file, spec *ast.ImportSpec) {
	imported, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		return // The parser has accepted it.
	}
	if to, ok := strings.CutPrefix(imported, prefix); ok {
		switch {
		case to == dir: // An external test package imports what it tests.
		case matchesAny(r.may, to), f.test && matchesAny(r.tests, to):
		case top(dir) != "engine" && !r.alone && c.moduleOf(dir) == c.moduleOf(to):
		default:
			c.report(f, spec.Pos(), "%s may not import %s: %s", dir, to, r.why)
		}
		return
	}
	if domain, _, _ := strings.Cut(imported, "/"); !strings.Contains(domain, ".") || top(dir) != "engine" {
		return // The standard library, or a module that may have its own dependencies.
	}
	i := slices.IndexFunc(dependencies, func(d dependency) bool { return matches(d.path+"/...", imported) })
	switch {
	case i < 0:
		c.report(f, spec.Pos(), "module engine may not depend on %s: every application would", imported)
	case dependencies[i].tests && !f.test && !matchesAny(kits, dir):
		c.report(f, spec.Pos(), "module engine may import %s in tests only: %s", imported, dependencies[i].why)
	}
}

func ruleOf(dir string) *rule {
	for i := range rules {
		if matches(rules[i].from, dir) {
			return &rules[i]
		}
	}
	return nil
}

// moduleOf returns the folder of the module that a package is in.
func (c *checker) moduleOf(dir string) string {
	longest := ""
	for _, mod := range c.modules {
		folder := strings.TrimSuffix(mod.Syntax.Name, "/go.mod")
		if len(folder) > len(longest) && matches(folder+"/...", dir) {
			longest = folder
		}
	}
	return longest
}

func matchesAny(patterns []string, dir string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, dir) })
}

func matches(pattern, dir string) bool {
	if tree, ok := strings.CutSuffix(pattern, "/..."); ok {
		return dir == tree || strings.HasPrefix(dir, tree+"/")
	}
	return dir == pattern
}

func top(dir string) string {
	first, _, _ := strings.Cut(dir, "/")
	return first
}
