// SPDX-License-Identifier: Apache-2.0

// Package release turns the working tree into published modules: in a folder that serves as a module
// proxy, each module is what a tag of it would be, without the replacements that hold the workspace
// together. Its test rehearses a release and uses the result as a user would.
package release

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

// prefix is what the paths of our modules share.
const prefix = "github.com/millrace-io/millrace/"

// Publish writes every module below root into proxy, in the layout of the GOPROXY protocol, as the given
// version, and returns their paths. Its go.mod files require their siblings in the same version.
func Publish(root, proxy, version string) ([]string, error) {
	folders, err := modules(root)
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, folder := range folders {
		p, err := publish(root, folder, proxy, version)
		if err != nil {
			return nil, fmt.Errorf("release: publish %s: %w", folder, err)
		}
		paths = append(paths, p)
	}
	return paths, nil
}

// modules returns the folders below root that hold a go.mod.
func modules(root string) ([]string, error) {
	var folders []string
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != root && (entry.Name() == "testdata" || entry.Name()[0] == '.'):
			return fs.SkipDir
		case entry.Name() == "go.mod":
			folders = append(folders, filepath.Dir(name))
		}
		return nil
	})
	return folders, err
}

func publish(root, folder, proxy, version string) (string, error) {
	data, err := os.ReadFile(filepath.Join(folder, "go.mod"))
	if err != nil {
		return "", err
	}
	goMod, modulePath, err := released(data, version)
	if err != nil {
		return "", err
	}
	escaped, err := module.EscapePath(modulePath)
	if err != nil {
		return "", err
	}
	info, err := json.Marshal(map[string]any{"Version": version, "Time": time.Unix(0, 0).UTC()})
	if err != nil {
		return "", err
	}
	var archive bytes.Buffer
	files, err := contents(root, folder, goMod)
	if err != nil {
		return "", err
	}
	if err := zip.Create(&archive, module.Version{Path: modulePath, Version: version}, files); err != nil {
		return "", err
	}
	dir := filepath.Join(proxy, filepath.FromSlash(escaped), "@v")
	return modulePath, errors.Join(
		os.MkdirAll(dir, 0o755),
		os.WriteFile(filepath.Join(dir, "list"), []byte(version+"\n"), 0o644),
		os.WriteFile(filepath.Join(dir, version+".info"), info, 0o644),
		os.WriteFile(filepath.Join(dir, version+".mod"), goMod, 0o644),
		os.WriteFile(filepath.Join(dir, version+".zip"), archive.Bytes(), 0o644),
	)
}

// released returns a go.mod as a release has it, and the path of its module. A module with replacements
// cannot be installed with go install, and users would not see what they replace.
func released(data []byte, version string) (goMod []byte, modulePath string, err error) {
	f, err := modfile.Parse("go.mod", data, nil)
	if err != nil {
		return nil, "", err
	}
	for _, r := range f.Require {
		if !strings.HasPrefix(r.Mod.Path, prefix) {
			continue
		}
		if err := f.AddRequire(r.Mod.Path, version); err != nil {
			return nil, "", err
		}
	}
	for _, r := range f.Replace {
		if err := f.DropReplace(r.Old.Path, r.Old.Version); err != nil {
			return nil, "", err
		}
	}
	f.Cleanup()
	goMod, err = f.Format()
	return goMod, f.Module.Mod.Path, err
}

// contents lists what goes into the archive of a module: its files with the released go.mod, and the
// repository's licence, as the go command takes it from the root of a repository.
func contents(root, folder string, goMod []byte) ([]zip.File, error) {
	checked, err := zip.CheckDir(folder)
	if err != nil {
		return nil, err
	}
	files := []zip.File{file{name: "LICENSE", source: filepath.Join(root, "LICENSE")}}
	for _, name := range checked.Valid {
		rel, err := filepath.Rel(folder, name)
		if err != nil {
			return nil, err
		}
		f := file{name: filepath.ToSlash(rel), source: name}
		switch f.name {
		case "LICENSE":
			continue
		case "go.mod":
			f.content = goMod
		}
		files = append(files, f)
	}
	return files, nil
}

// file is a member of an archive: the file at source, or content when that is set.
type file struct {
	name, source string
	content      []byte
}

func (f file) Path() string { return f.name }

func (f file) Lstat() (os.FileInfo, error) {
	info, err := os.Lstat(f.source)
	if err == nil && f.content != nil {
		info = sized{info, int64(len(f.content))}
	}
	return info, err
}

func (f file) Open() (io.ReadCloser, error) {
	if f.content != nil {
		return io.NopCloser(bytes.NewReader(f.content)), nil
	}
	return os.Open(f.source)
}

// sized is the description of a file whose content has been exchanged.
type sized struct {
	os.FileInfo
	size int64
}

func (s sized) Size() int64 { return s.size }
