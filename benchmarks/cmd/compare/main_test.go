// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// repository is a git repository with two packages, of which one has a benchmark, and has another one in the
// working tree.
func repository(t *testing.T) (dir string) {
	t.Helper()
	t.Setenv("GOWORK", "off")
	dir = t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const head = "package p\n\nimport (\n\t\"os\"\n\t\"testing\"\n)\n\n"
	// The benchmark reads a file of its package, as those do that have test data.
	const body = "(b *testing.B) {\n\tif _, err := os.ReadFile(\"data\"); err != nil {\n\t\tb.Fatal(err)\n\t}\n\tfor b.Loop() {\n\t}\n}\n"
	write("go.mod", "module example.test\n\ngo 1.26\n")
	write("p/data", "")
	write("p/p_test.go", head+"func BenchmarkOld"+body)
	write("q/q_test.go", "package q\n\n// It is about func BenchmarkNone.\n")
	for _, args := range [][]string{
		{"init", "-q"},
		{"add", "-A"},
		{"-c", "user.name=t", "-c", "user.email=t@example.test", "commit", "-q", "-m", "first"},
	} {
		if _, err := output(t.Context(), dir, "git", args...); err != nil {
			t.Fatal(err)
		}
	}
	write("p/p_test.go", head+"func BenchmarkOld"+body+"\nfunc BenchmarkNew"+body)
	return dir
}

// Both sides run as often as asked, each its own code, and no work tree is left behind.
func TestMeasure(t *testing.T) {
	dir := repository(t)
	var progress bytes.Buffer
	c := comparison{tree: filepath.Join(dir, "p"), base: "HEAD", packages: []string{"..."}, bench: ".", time: "1x", count: 2, progress: &progress}
	before, after, err := c.measure(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, text string
		want       int
	}{
		{"BenchmarkOld", before, 2},
		{"BenchmarkNew", before, 0},
		{"BenchmarkOld", after, 2},
		{"BenchmarkNew", after, 2},
	} {
		if got := strings.Count(tt.text, tt.name); got != tt.want {
			t.Errorf("%s ran %d times, want %d:\n%s", tt.name, got, tt.want, tt.text)
		}
	}
	if trees, err := output(t.Context(), dir, "git", "worktree", "list"); err != nil || strings.Count(trees, "\n") != 1 {
		t.Errorf("work trees: %q, %v", trees, err)
	}
	if got, want := progress.String(), "round 1 of 2\nround 2 of 2\n"; got != want {
		t.Errorf("progress %q, want %q", got, want)
	}
}

// A tree that does not build is an error that says so, and no work tree is left behind.
func TestMeasureBroken(t *testing.T) {
	dir := repository(t)
	c := comparison{tree: dir, base: "HEAD", packages: []string{"..."}, bench: ".", time: "1x", count: 1, progress: io.Discard}
	if err := os.WriteFile(filepath.Join(dir, "p", "p_test.go"), []byte("package p\n\nfunc BenchmarkX() {}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.measure(t.Context()); err == nil || !strings.Contains(err.Error(), "wrong signature") {
		t.Errorf("broken tree: %v", err)
	}
	c.bench = "Nothing"
	if err := os.Remove(filepath.Join(dir, "p", "p_test.go")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.measure(t.Context()); err == nil || !strings.Contains(err.Error(), "Nothing") {
		t.Errorf("no benchmark: %v", err)
	}
	c.base = "nothing-is-named-so"
	if _, _, err := c.measure(t.Context()); err == nil || !strings.Contains(err.Error(), c.base) {
		t.Errorf("no revision: %v", err)
	}
	if trees, err := output(t.Context(), dir, "git", "worktree", "list"); err != nil || strings.Count(trees, "\n") != 1 {
		t.Errorf("work trees: %q, %v", trees, err)
	}
}

func TestBadUse(t *testing.T) {
	for _, args := range []string{"", "-base", "-base HEAD -count 0", "-base HEAD extra", "-base=--force", "-count x"} {
		var stdout, stderr bytes.Buffer
		if got := run(t.Context(), strings.Fields(args), &stdout, &stderr); got != 2 || stderr.Len() == 0 {
			t.Errorf("compare %s: exit code %d, stderr %q", args, got, stderr.String())
		}
	}
}
