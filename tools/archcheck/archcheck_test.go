// SPDX-License-Identifier: Apache-2.0

package archcheck

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const repository = "../.."

// The repository keeps its own rules. A failure names the import and the reason; when the reason no
// longer holds, change the rule in the same commit and write an ADR.
func TestRepository(t *testing.T) {
	problems, err := Check(repository)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Error(p)
	}
}

// Every line of testdata/bad that ends in a want comment is a problem with that text; no other line is.
func TestViolationsAreCaught(t *testing.T) {
	root := filepath.Join("testdata", "bad")
	want := wants(t, root)
	problems, err := Check(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		place := fmt.Sprintf("%s:%d", p.File, p.Line)
		text, ok := want[place]
		if !ok || !strings.Contains(p.Text, text) {
			t.Errorf("%v: not expected", p)
			continue
		}
		delete(want, place)
	}
	for place, text := range want {
		t.Errorf("%s: no problem was reported, want %q", place, text)
	}
}

func wants(t *testing.T, root string) map[string]string {
	t.Helper()
	comment := regexp.MustCompile(`// want "(.*)"$`)
	found := map[string]string{}
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		for i, line := range strings.Split(string(data), "\n") {
			if m := comment.FindStringSubmatch(line); m != nil {
				found[fmt.Sprintf("%s:%d", filepath.ToSlash(rel), i+1)] = m[1]
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// Every package that module engine ships to users, with all that it imports, is free of net/http: an
// application that has no HTTP has none through us.
func TestEngineStaysLight(t *testing.T) {
	out, err := goList(filepath.Join(repository, "engine"), "-deps", "-f", "{{.ImportPath}}", "./...")
	if err != nil {
		t.Fatal(err)
	}
	for imported := range strings.Lines(out) {
		if imported = strings.TrimSpace(imported); imported == "net/http" {
			t.Errorf("module engine depends on %s; find the way with: go mod why -m, go list -deps", imported)
		}
	}
}

// A rule that names a package twice, or comes after one that already matches all it could, would be
// dead and would mislead its reader.
func TestRulesAreAlive(t *testing.T) {
	for i, later := range rules {
		if later.why == "" {
			t.Errorf("rule for %s has no reason", later.from)
		}
		for _, earlier := range rules[:i] {
			if matches(earlier.from, strings.TrimSuffix(later.from, "/...")) {
				t.Errorf("rule for %s never applies, because %s comes first", later.from, earlier.from)
			}
		}
	}
}
