// SPDX-License-Identifier: Apache-2.0

package archcheck

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
)

// goVersion is the floor for users, written the same everywhere. A higher one in a single module would
// raise it for the whole workspace.
const goVersion = "1.26.0"

// checkModules holds go.work and every go.mod to one shape: path and folder agree, or a tag would be
// unfetchable; a sibling is required as v0.0.0 and replaced by its folder, so that the module also
// builds alone; nothing else is replaced, because a replacement does not reach users.
func (c *checker) checkModules() error {
	data, err := os.ReadFile(filepath.Join(c.root, "go.work"))
	if err != nil {
		return err
	}
	work, err := modfile.ParseWork("go.work", data, nil)
	if err != nil {
		return err
	}
	if work.Go == nil || work.Go.Version != goVersion {
		c.reportLine("go.work", 1, "go.work must say go %s", goVersion)
	}
	for _, mod := range c.modules {
		folder := strings.TrimSuffix(mod.Syntax.Name, "/go.mod")
		if !slices.ContainsFunc(work.Use, func(u *modfile.Use) bool { return filepath.ToSlash(filepath.Clean(u.Path)) == folder }) {
			c.reportLine(mod.Syntax.Name, mod.Module.Syntax.Start.Line, "go.work does not use ./%s: it would not be tested", folder)
		}
		c.checkModule(mod, folder)
	}
	return nil
}

func (c *checker) checkModule(mod *modfile.File, folder string) {
	name := mod.Syntax.Name
	if mod.Module.Mod.Path != module(folder) {
		c.reportLine(name, mod.Module.Syntax.Start.Line, "module path must be %s, as the folder", module(folder))
	}
	switch {
	case mod.Go == nil || mod.Go.Version != goVersion:
		c.reportLine(name, mod.Module.Syntax.Start.Line, "%s must say go %s", name, goVersion)
	case mod.Toolchain != nil:
		c.reportLine(name, mod.Toolchain.Syntax.Start.Line, "a toolchain line would raise what users need")
	}
	replaced := map[string]bool{}
	for _, r := range mod.Replace {
		folderOf := filepath.ToSlash(filepath.Join(folder, r.New.Path))
		// Nobody imports benchmarks: what foreign systems need to build there stays there.
		if sibling := r.Old.Version == "" && r.Old.Path == module(folderOf); !sibling && (folder != "benchmarks" || strings.HasPrefix(r.Old.Path, prefix)) {
			c.reportLine(name, r.Syntax.Start.Line, "only a sibling may be replaced, by its folder: users never see a replacement")
		}
		replaced[r.Old.Path] = true
	}
	for _, r := range mod.Require {
		if !strings.HasPrefix(r.Mod.Path, prefix) {
			continue
		}
		if r.Mod.Version != "v0.0.0" || !replaced[r.Mod.Path] {
			c.reportLine(name, r.Syntax.Start.Line, "a sibling is required as v0.0.0 and replaced by its folder: %s", r.Mod.Path)
		}
	}
}

func (c *checker) reportLine(name string, line int, format string, args ...any) {
	c.problems = append(c.problems, Problem{name, line, fmt.Sprintf(format, args...)})
}
