// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What is wrong must not compile. Each program below testdata/typing differs from the correct one in a
// line or two; a comment "// ERROR text" says what the compiler has to say about the line, and it must say
// nothing else.
func TestTyping(t *testing.T) {
	programs, err := filepath.Glob("testdata/typing/*")
	if err != nil || len(programs) < 2 {
		t.Fatalf("no programs below testdata/typing: %v", err)
	}
	for _, dir := range programs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel()
			build := exec.Command("go", "build", "-gcflags=-e", "-o", os.DevNull, "./"+filepath.ToSlash(dir))
			out, err := build.CombinedOutput()
			want := expectedErrors(t, filepath.Join(dir, "main.go"))
			if (err != nil) != (len(want) > 0) {
				t.Fatalf("go build: %v, want %d errors\n%s", err, len(want), out)
			}
			for _, said := range compilerErrors(string(out)) {
				text, ok := want[said.line]
				if !ok || !strings.Contains(said.text, text) {
					t.Errorf("line %d: %s\nwant %q", said.line, said.text, text)
				}
				delete(want, said.line)
			}
			for line, text := range want {
				t.Errorf("line %d compiles; want an error with %q", line, text)
			}
		})
	}
}

var errorComment = regexp.MustCompile(`// ERROR (.*)$`)

// expectedErrors returns the ERROR comments of a file by line.
func expectedErrors(t *testing.T, file string) map[int]string {
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := map[int]string{}
	for i, line := range strings.Split(string(source), "\n") {
		if m := errorComment.FindStringSubmatch(line); m != nil {
			want[i+1] = m[1]
		}
	}
	return want
}

type compilerError struct {
	line int
	text string
}

var compilerLine = regexp.MustCompile(`(?m)main\.go:(\d+):\d+: (.*)$`)

func compilerErrors(out string) (errs []compilerError) {
	for _, m := range compilerLine.FindAllStringSubmatch(out, -1) {
		var e compilerError
		fmt.Sscan(m[1], &e.line)
		e.text = m[2]
		errs = append(errs, e)
	}
	return errs
}
