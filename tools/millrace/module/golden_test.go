// SPDX-License-Identifier: Apache-2.0

package module

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/engine/kind"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// environment is what the variables of all test files see.
func environment(name string) (string, bool) {
	value, ok := map[string]string{
		"HOST": "fns", "PORT": "8090", "WORD": "much", "EMPTY": "",
		"YAML": "x\"\nspec: {address: 0.0.0.0:1}\n# ${HOST}",
	}[name]
	return value, ok
}

func options() Options { return Options{Kinds: kinds(), Env: environment} }

// Every golden file is all that Load says of a broken module, word for word: these messages are what a
// user has to go by.
func TestBroken(t *testing.T) {
	golden(t, "testdata/broken", func(t *testing.T, files []string) string {
		app, problems := Load(files, options())
		if app != nil {
			t.Error("there is an application")
		}
		return messages(problems)
	})
}

// Every golden file is what is warned of, and the wiring.
func TestGood(t *testing.T) {
	golden(t, "testdata/good", func(t *testing.T, files []string) string {
		app, problems := Load(files, options())
		if app == nil {
			t.Fatalf("no application:\n%s", messages(problems))
		}
		wiring, err := json.MarshalIndent(app.Wiring(), "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		return messages(problems) + string(wiring) + "\n"
	})
}

func messages(problems []kind.Problem) string {
	var s strings.Builder
	for _, p := range problems {
		s.WriteString(p.Error() + "\n")
	}
	return s.String()
}

// golden compares the result for each file of a folder, and for the files of each folder in it, with the
// golden file beside it.
func golden(t *testing.T, folder string, load func(t *testing.T, files []string) string) {
	t.Chdir(folder)
	single, _ := filepath.Glob("*.yaml")
	several, _ := filepath.Glob("*/*.yaml")
	cases := map[string][]string{}
	for _, file := range single {
		cases[strings.TrimSuffix(file, ".yaml")] = []string{file}
	}
	for _, file := range several {
		cases[filepath.Dir(file)] = append(cases[filepath.Dir(file)], file)
	}
	if len(cases) < 8 {
		t.Fatalf("%s has %d cases only", folder, len(cases))
	}
	for name, files := range cases {
		t.Run(name, func(t *testing.T) {
			got := load(t, files)
			if *update {
				if err := os.WriteFile(name+".golden", []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(name + ".golden")
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}
