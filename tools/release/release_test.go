// SPDX-License-Identifier: Apache-2.0

package release

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	repository = "../.."
	version    = "v0.1.0"
)

const emptyModule = "module example.com/app\n\ngo 1.26.0\n"

var promise = regexp.MustCompile("(?m)^It prints (`.*`)\\.")

// The program under "As a library" in the README is what a newcomer pastes into an empty folder. It is
// built there from published modules, runs, and brings nothing along that it did not ask for.
func TestLibraryProgram(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join(repository, "README.md"))
	if err != nil {
		t.Fatalf("the README's library program is what this test runs: %v", err)
	}
	program, ok := firstGoBlock(string(readme), "As a library")
	if !ok {
		t.Fatal(`README.md has no go code block under a heading "As a library"`)
	}
	u := newUser(t)
	u.write("main.go", program)
	u.run("go", "get", prefix+"engine@"+version)

	for _, imported := range strings.Fields(u.run("go", "list", "-f", `{{join .Imports "\n"}}`)) {
		if strings.Contains(imported, ".") && imported != prefix+"engine" && !strings.HasPrefix(imported, prefix+"engine/") {
			t.Errorf("the program imports %s, which is not in module engine", imported)
		}
	}
	for _, dep := range strings.Fields(u.run("go", "list", "-deps")) {
		folder, ours := strings.CutPrefix(dep, prefix)
		if dep == "net/http" || ours && !strings.HasPrefix(folder, "engine/") && folder != "engine" {
			t.Errorf("the program depends on %s", dep)
		}
	}
	u.run("go", "build", "-o", "app")
	out := u.run("./app")
	promised := promise.FindStringSubmatch(string(readme))
	if promised == nil {
		t.Fatal("README.md does not say what the program prints: It prints `…`, `…`.")
	}
	for _, line := range strings.Split(strings.Trim(promised[1], "`"), "`, `") {
		if !slices.ContainsFunc(strings.Split(out, "\n"), func(s string) bool { return strings.HasPrefix(s+" ", line+" ") }) {
			t.Errorf("the program printed %q; README.md promises %q", out, line)
		}
	}
}

// Every package of every module builds from what would be published. The peers of the benchmarks are
// for the working tree only and take long to build.
func TestPublishedModulesBuild(t *testing.T) {
	u := newUser(t)
	u.write("main.go", "package main\n\nfunc main() {}\n")
	for _, modulePath := range u.published {
		if modulePath == prefix+"benchmarks" {
			continue
		}
		u.write("go.mod", emptyModule) // Each by itself: what one brings along must not help the next.
		// Not go get, which takes the path for a package, and may look for it in the module of the folder above.
		u.run("go", "mod", "edit", "-require="+modulePath+"@"+version)
		u.run("go", "build", modulePath+"/...")
		if goMod := u.run("go", "list", "-m", "-f", "{{.GoMod}}", modulePath); len(replaceLines(t, goMod)) > 0 {
			t.Errorf("%s is published with replacements: go install %s@%s would refuse it", modulePath, modulePath, version)
		}
	}
}

func TestFirstGoBlock(t *testing.T) {
	const readme = "# A\n```go\nno\n```\n## As a library\ntext\n```sh\nno\n```\n```go\npackage main\n```\n```go\nno\n```\n## B\n"
	tests := []struct {
		heading, want string
		ok            bool
	}{
		{"As a library", "package main\n", true},
		{"A", "no\n", true},
		{"B", "", false},
		{"As", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.heading, func(t *testing.T) {
			if got, ok := firstGoBlock(readme, tt.heading); got != tt.want || ok != tt.ok {
				t.Errorf("firstGoBlock(%q) = %q, %v; want %q, %v", tt.heading, got, ok, tt.want, tt.ok)
			}
		})
	}
}

// firstGoBlock returns the first block of Go code between a heading and the next one.
func firstGoBlock(markdown, heading string) (code string, ok bool) {
	under, fence := false, ""
	for line := range strings.Lines(markdown) {
		text := strings.TrimSpace(line)
		switch {
		case fence == "" && strings.HasPrefix(text, "#"):
			under = strings.TrimSpace(strings.TrimLeft(text, "#")) == heading
		case fence == "" && strings.HasPrefix(text, "```"):
			fence = text
		case text == "```":
			if under && fence == "```go" {
				return code, true
			}
			fence = ""
		case under && fence == "```go":
			code += line
		}
	}
	return "", false
}

// A user is a folder with a module of its own, outside of the workspace, that finds our modules in a
// proxy made from the working tree, and those of others where this machine finds them.
type user struct {
	t         *testing.T
	dir       string
	env       []string
	published []string
}

func newUser(t *testing.T) *user {
	t.Helper()
	proxy := t.TempDir()
	published, err := Publish(repository, proxy, version)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(published, prefix+"engine") {
		t.Fatalf("module engine was not published, only %v", published)
	}
	u := &user{t: t, dir: t.TempDir(), env: os.Environ(), published: published}
	known := u.run("go", "env", "GOMODCACHE", "GOPROXY")
	cache, upstream, _ := strings.Cut(strings.TrimSpace(known), "\n")
	u.env = append(
		os.Environ(),
		"GOWORK=off",
		// What is published here must not stay in the user's own cache, where it would be taken for the
		// real version. The cache serves what it has of others, so that no network is needed.
		"GOMODCACHE="+filepath.Join(t.TempDir(), "mod"),
		"GOPROXY=file://"+proxy+",file://"+filepath.Join(cache, "cache", "download")+","+upstream,
		"GONOPROXY=none",
		"GONOSUMDB="+prefix+"*",
		// Writable, so that it can be removed; with trimmed paths, so that the next run need not compile.
		"GOFLAGS=-mod=mod -modcacherw -trimpath -buildvcs=false",
	)
	u.write("go.mod", emptyModule)
	u.write("go.sum", u.sums())
	return u
}

// sums returns the checksums of other people's modules, as our own go.sum files have them.
func (u *user) sums() string {
	u.t.Helper()
	names, err := filepath.Glob(filepath.Join(repository, "*", "go.sum"))
	if err != nil {
		u.t.Fatal(err)
	}
	deeper, err := filepath.Glob(filepath.Join(repository, "*", "*", "go.sum"))
	if err != nil {
		u.t.Fatal(err)
	}
	var sums strings.Builder
	for _, name := range append(names, deeper...) {
		data, err := os.ReadFile(name)
		if err != nil {
			u.t.Fatal(err)
		}
		sums.Write(data)
	}
	return sums.String()
}

func (u *user) write(name, content string) {
	u.t.Helper()
	if err := os.WriteFile(filepath.Join(u.dir, name), []byte(content), 0o644); err != nil {
		u.t.Fatal(err)
	}
}

// run returns what the command printed to its standard output. A library program that does not end is
// as wrong as one that fails.
func (u *user) run(name string, args ...string) string {
	u.t.Helper()
	ctx, cancel := context.WithTimeout(u.t.Context(), 5*time.Minute)
	defer cancel()
	var stdout, stderr strings.Builder
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = u.dir, u.env, &stdout, &stderr
	if err := cmd.Run(); err != nil {
		u.t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, stdout.String(), stderr.String())
	}
	return stdout.String()
}

func replaceLines(t *testing.T, goMod string) []string {
	t.Helper()
	data, err := os.ReadFile(strings.TrimSpace(goMod))
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(line, "replace") {
			found = append(found, line)
		}
	}
	return found
}
