// SPDX-License-Identifier: Apache-2.0

package module

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/kind"
)

// write makes a file and returns its name.
func write(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "module.yaml")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// Problems come in the order of the files as they were given, then of lines and columns, whoever found
// them: the parser, the loader, a kind or the comparison of components.
func TestLoadOrder(t *testing.T) {
	t.Chdir("testdata/broken")
	files := []string{"several/c.yaml", "missing.yaml", "twice.yaml", "everything.yaml"}
	_, problems := Load(files, options())
	last, seen := kind.Position{}, map[string]bool{}
	for _, p := range problems {
		if p.File == last.File && (p.Line < last.Line || p.Line == last.Line && p.Column < last.Column) {
			t.Errorf("%v comes behind %v", p.Position, last)
		}
		if slices.Index(files, p.File) < slices.Index(files, last.File) {
			t.Errorf("%s comes behind %s", p.File, last.File)
		}
		last, seen[p.File] = p.Position, true
	}
	if len(seen) != len(files) {
		t.Errorf("problems in %v only", seen)
	}
}

func TestLoadStrict(t *testing.T) {
	o := options()
	for _, strict := range []bool{false, true} {
		o.Strict = strict
		app, problems := Load([]string{"testdata/good/unknown-fields.yaml"}, o)
		if (app == nil) != strict || len(problems) != 3 {
			t.Fatalf("strict=%v: application %v, problems\n%s", strict, app, messages(problems))
		}
		for _, p := range problems {
			if p.Warning == strict {
				t.Errorf("strict=%v: %v", strict, p)
			}
		}
	}
}

// One file that is wrong is enough: what is right in others is not handed out either.
func TestLoadAllOrNothing(t *testing.T) {
	app, problems := Load([]string{"testdata/good/http.yaml", "testdata/broken/empty.yaml"}, options())
	if app != nil || len(problems) != 1 {
		t.Errorf("application %v, problems %v", app, problems)
	}
}

func TestLoadNothing(t *testing.T) {
	app, problems := Load(nil, Options{})
	if app == nil || len(app.Components) != 0 || len(problems) != 0 || app.HasIngress() {
		t.Errorf("application %+v, problems %v", app, problems)
	}
}

func TestLoadReportsNoMoreThanCanBeRead(t *testing.T) {
	file := write(t, strings.Repeat("kind: none\nspec: {}\n---\n", problemsMax+10))
	_, problems := Load([]string{file}, options())
	if len(problems) != problemsMax+1 {
		t.Fatalf("%d problems, want %d and one that says so", len(problems), problemsMax)
	}
	if got, want := problems[problemsMax].Message, "more than 1000 problems: further ones are left out"; got != want {
		t.Errorf("the last problem is %q, want %q", got, want)
	}
}

func TestLoadPanicsOnTwoKindsOfOneName(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	Load(nil, Options{Kinds: []kind.Kind{{Name: "a/b"}, {Name: "a/b"}}})
}

func TestHasIngress(t *testing.T) {
	for file, want := range map[string]bool{"http": true, "playground": true, "legacy": true, "okhttp": false, "json": false} {
		app, problems := Load([]string{"testdata/good/" + file + ".yaml"}, options())
		if app == nil {
			t.Fatal(messages(problems))
		}
		if got := app.HasIngress(); got != want {
			t.Errorf("%s: HasIngress() = %v, want %v", file, got, want)
		}
	}
}
