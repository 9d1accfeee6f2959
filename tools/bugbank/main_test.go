// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The constants, the variables that stand for them, and the bank are the same bugs, and each of them is planted
// somewhere.
func TestBugsAreTheSame(t *testing.T) {
	code := source(t)
	for _, package_ := range planted {
		read := func(file, pattern string) (found []string) {
			b, err := os.ReadFile(filepath.Join("..", "..", package_, file))
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(b), -1) {
				found = append(found, m[1])
			}
			return found
		}
		constants := read("off.go", `(?m)^\t(\w+) += false // .+\.$`)
		if variables := read("on.go", `(?m)^\t(\w+) +bool$`); len(constants) == 0 || !slices.Equal(constants, variables) {
			t.Errorf("%s: the constants are %v, the variables %v", package_, constants, variables)
		}
		if named := read("on.go", `": +&(\w+),`); !slices.Equal(constants, named) {
			t.Errorf("%s: the constants are %v, and those with a name %v", package_, constants, named)
		}
		for _, name := range read("on.go", `"([a-z-]+)": +&`) {
			if !slices.ContainsFunc(bugs, func(b bug) bool { return b.name == name }) {
				t.Errorf("%s: %s is not in the bank", package_, name)
			}
		}
		for _, c := range constants {
			if !bytes.Contains(code, []byte("planted."+c)) {
				t.Errorf("%s: %s is not planted", package_, c)
			}
		}
	}
}

// planted are the packages with bugs.
var planted = []string{"engine/internal/planted", "backends/logstore/internal/planted"}

// source is all code that ships.
func source(t *testing.T) (code []byte) {
	t.Helper()
	for _, dir := range []string{"engine", "backends"} {
		err := filepath.WalkDir(filepath.Join("..", "..", dir), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			b, err := os.ReadFile(path)
			code = append(code, b...)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return code
}

// A bug is found, and without it the same test passes.
func TestOneBug(t *testing.T) {
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"-clean", "2", "next-cut-before-parts"}, &stdout, &stderr)
	want := regexp.MustCompile(`^next-cut-before-parts +P5 +sim seed [0-9]+: .+\nwithout bugs +sim: 2 seeds pass\nbugbank: 2 passed, 0 failed\n$`)
	if code != 0 || !want.MatchString(stdout.String()) {
		t.Errorf("exit code %d: %s%s", code, stdout.String(), stderr.String())
	}
}

// A bug that no test finds is a failure of the bank.
func TestNotFound(t *testing.T) {
	var stdout bytes.Buffer
	blind := bug{name: "", rule: "P0", rig: simulation}
	if passed, failed, err := check(t.Context(), []bug{blind}, 1, 1, &stdout); passed != 1 || failed != 1 || err != nil {
		t.Errorf("%d passed, %d failed, %v: %s", passed, failed, err, stdout.String())
	}
}

// What a test has failed of is told, however it has failed.
func TestRead(t *testing.T) {
	tests := []struct {
		name, out string
		rig       rig
		want      finding
	}{
		{"a seed", "sim: 3 passed, 1 failed\n    x_test.go:3: seed 4: order: lost\n\tmore\n", simulation, finding{true, 4, "sim seed 4", "order: lost"}},
		{"a panic", "panic: broken [recovered]\n", simulation, finding{true, 0, "sim", "panic: broken [recovered]"}},
		{"an endless seed", "panic: seed 7 does not end\n", simulation, finding{true, 0, "sim seed 7", "panic: seed 7 does not end"}},
		{"a test", "--- FAIL: TestX\n    x_test.go:1: passed\n    x_test.go:2: stuck\n        more\nFAIL\n", states, finding{true, 0, "states", "stuck"}},
		{"a part", "    --- FAIL: TestStore (0s)\n        --- FAIL: TestStore/full (0s)\n            x_test.go:2: lost\n", store, finding{true, 0, "store TestStore/full", "lost"}},
		{"nothing", "", states, finding{true, 0, "states", "it fails"}},
	}
	for _, tt := range tests {
		if got := (program{rig: tt.rig}).read(tt.out); got != tt.want {
			t.Errorf("%s: %+v; want %+v", tt.name, got, tt.want)
		}
	}
}

func TestBadUse(t *testing.T) {
	for _, args := range []string{"-seeds 0", "-clean -1", "-seeds x", "no-such-bug"} {
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), strings.Fields(args), &stdout, &stderr); code != 2 || stderr.Len() == 0 {
			t.Errorf("bugbank %s: exit code %d, stderr %q; want 2 and a reason", args, code, stderr.String())
		}
	}
}
