// SPDX-License-Identifier: Apache-2.0

package archcheck

import (
	"go/ast"
	"go/build"
	"go/token"
	"go/types"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// checkPure looks into the pure packages for whatever would make two runs on the same input differ.
// Imports and syntax are checked in all files; what needs types, in those of the default build.
//
// It does not see what an imported package does, nor an address that is used as a value, nor a select
// or a map range behind an interface.
func (c *checker) checkPure() error {
	for _, dir := range pure {
		files := slices.DeleteFunc(slices.Clone(c.packages[dir]), func(f *file) bool { return f.test })
		if len(files) == 0 {
			continue
		}
		info, err := c.typesOf(dir, files)
		if err != nil {
			return err
		}
		for _, f := range files {
			c.checkPureImports(f)
			ast.Inspect(f.syntax, func(n ast.Node) bool {
				c.checkPureNode(f, n, info)
				return true
			})
		}
	}
	return nil
}

func (c *checker) checkPureImports(f *file) {
	for _, spec := range f.syntax.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue // The parser has accepted it.
		}
		for name, why := range forbidden {
			if imported == name || name == "net" && strings.HasPrefix(imported, "net/") {
				c.report(f, spec.Pos(), "a pure package may not import %s: %s", imported, why)
			}
		}
		if domain, _, _ := strings.Cut(imported, "/"); strings.Contains(domain, ".") && !strings.HasPrefix(imported, prefix) {
			c.report(f, spec.Pos(), "a pure package may not import %s: what it does is not ours to know", imported)
		}
		if spec.Name != nil && spec.Name.Name == "." {
			c.report(f, spec.Pos(), "a pure package may not import with a dot: it hides where a name comes from")
		}
	}
}

func (c *checker) checkPureNode(f *file, n ast.Node, info *types.Info) {
	switch n := n.(type) {
	case *ast.GoStmt:
		c.report(f, n.Pos(), "a pure package may not start a goroutine: the driver is the only one")
	case *ast.SelectStmt:
		c.report(f, n.Pos(), "a pure package may not select: which case is ready is chance")
	case *ast.ChanType:
		c.report(f, n.Pos(), "a pure package may not have channels: what comes in is an argument")
	case *ast.UnaryExpr:
		if n.Op == token.ARROW {
			c.report(f, n.Pos(), "a pure package may not receive: what comes in is an argument")
		}
	case *ast.RangeStmt:
		t := info.TypeOf(n.X)
		if t == nil {
			return
		}
		if _, ok := t.Underlying().(*types.Map); ok {
			c.report(f, n.Pos(), "a pure package may not range over a map: the order is chance")
		}
	case *ast.SelectorExpr:
		c.checkPureSelector(f, n, info)
	case *ast.CallExpr:
		if id, ok := n.Fun.(*ast.Ident); ok && (id.Name == "print" || id.Name == "println") {
			c.report(f, n.Pos(), "a pure package may not print: what is worth telling is an effect")
		}
	}
}

// checkPureSelector refuses the names outside of the part of a package that pure code may use.
func (c *checker) checkPureSelector(f *file, n *ast.SelectorExpr, info *types.Info) {
	id, ok := n.X.(*ast.Ident)
	if !ok {
		return
	}
	pkg, ok := info.Uses[id].(*types.PkgName)
	if !ok {
		return
	}
	part, ok := only[pkg.Imported().Path()]
	if ok && !slices.Contains(part.names, n.Sel.Name) {
		c.report(f, n.Pos(), "a pure package may not use %s.%s: %s", id.Name, n.Sel.Name, part.why)
	}
}

// typesOf type-checks the files of a package that the default build selects.
func (c *checker) typesOf(dir string, files []*file) (*types.Info, error) {
	folder := filepath.Join(c.root, filepath.FromSlash(dir))
	selected, err := build.ImportDir(folder, 0)
	if err != nil {
		return nil, err
	}
	var syntax []*ast.File
	for _, f := range files {
		if slices.Contains(selected.GoFiles, path.Base(f.name)) {
			syntax = append(syntax, f.syntax)
		}
	}
	exports, err := newExports(c.fset, folder)
	if err != nil {
		return nil, err
	}
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}}
	config := types.Config{Importer: exports, Sizes: types.SizesFor("gc", build.Default.GOARCH)}
	_, err = config.Check(module(dir), c.fset, syntax, info)
	return info, err
}
