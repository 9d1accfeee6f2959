// SPDX-License-Identifier: Apache-2.0

package sdktest

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The document has a line for each of the 25 points, names every test of compatibility, and none that does not
// exist.
func TestCompatibilityDocument(t *testing.T) {
	document, err := os.ReadFile("../../docs/statefun-compatibility.md")
	if err != nil {
		t.Fatal(err)
	}
	exists := testsBelow(t, "../..")
	named := map[string]bool{}
	for _, match := range regexp.MustCompile("`(Test[A-Za-z0-9]+)(?:/([^`]+))?`").FindAllSubmatch(document, -1) {
		test, part := string(match[1]), string(match[2])
		if !exists[test] {
			t.Errorf("there is no test %s", test)
		}
		if test == "TestStateFun" && part != "" {
			if named[part] = true; compatibility[part] == nil {
				t.Errorf("TestStateFun has no part %s", part)
			}
		}
	}
	for name := range compatibility {
		if !named[name] {
			t.Errorf("%s is not in the document", name)
		}
	}
	for n := 1; n <= 25; n++ {
		if !bytes.Contains(document, fmt.Appendf(nil, "\n| %d | ", n)) {
			t.Errorf("point %d is not in the document", n)
		}
	}
}

// testsBelow returns the names of all tests in the files below a folder.
func testsBelow(t *testing.T, root string) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func (Test[A-Za-z0-9]+)\(`)
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := os.ReadFile(path)
		for _, match := range declared.FindAllSubmatch(file, -1) {
			names[string(match[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
