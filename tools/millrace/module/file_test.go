// SPDX-License-Identifier: Apache-2.0

//go:build unix

package module

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/millrace-io/millrace/engine/kind"
)

// What is no module file is refused by name, in no time, and without being read.
func TestLoadRefusesFiles(t *testing.T) {
	t.Chdir(t.TempDir())
	const component = "kind: io.millrace.http.v1/egress\nspec: {id: test/out, url: \"http://127.0.0.1/\"}\n"
	put := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	put("good", component)
	put("full", component+strings.Repeat("#", bytesMax-len(component)))
	put("over", component+strings.Repeat("#", bytesMax-len(component)+1))
	put("sparse", "")
	must(os.Truncate("sparse", 100<<20))
	must(syscall.Mkfifo("fifo", 0o600))
	must(os.Mkdir("directory", 0o700))
	must(os.Symlink("good", "link"))
	must(os.Symlink("/dev/zero", "zero"))
	must(os.Symlink("nowhere", "dangling"))

	const tooLarge = ": larger than 1048576 bytes, the most a module file may have; divide it: several files can be given\n"
	const noFile = ": neither a file nor a directory: want a module file; what comes through a pipe has to be written to a file first\n"
	const check = "; check the path, and who may read the file\n"
	tests := []struct{ files, want string }{
		{"good", ""},
		{"link", ""},
		{"full", ""},
		{"over", "over" + tooLarge},
		{"sparse", "sparse" + tooLarge},
		{"fifo", "fifo" + noFile},
		{"zero", "zero" + noFile},
		{"/dev/zero", "/dev/zero" + noFile},
		{"directory", "directory: a directory: want a module file; give the files that are in it\n"},
		{"missing", "missing: no such file or directory" + check},
		{"dangling", "dangling: no such file or directory" + check},
		{"good/inside", "good/inside: not a directory" + check},
		{"", ": no such file or directory" + check},
		{"a\x00b", "a\x00b: invalid argument" + check},
		{"good good", "good: given twice: it is the same file as good; give it once\n"},
		{"good link", "link: given twice: it is the same file as good; give it once\n"},
		{"link ./good", "./good: given twice: it is the same file as link; give it once\n"},
		{"zero missing over", "zero" + noFile + "missing: no such file or directory" + check + "over" + tooLarge},
	}
	if runtime.GOOS == "linux" { // It says that it is an empty file, can be opened, and cannot be read.
		tests = append(tests, struct{ files, want string }{"/proc/self/mem", "/proc/self/mem: input/output error\n"})
	}
	for _, tt := range tests {
		var app *Application
		var problems []kind.Problem
		cost := allocated(func() { app, problems = Load(strings.Split(tt.files, " "), options()) })
		if got := messages(problems); got != tt.want {
			t.Errorf("%q: got\n%swant\n%s", tt.files, got, tt.want)
		}
		if (app != nil) != (tt.want == "") {
			t.Errorf("%q: application %v", tt.files, app)
		}
		if tt.want != "" && cost > 1<<20 {
			t.Errorf("%q: %d bytes allocated to refuse it", tt.files, cost)
		}
	}
}

func TestLoadUnreadableFile(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may read every file")
	}
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, nil, 0); err != nil {
		t.Fatal(err)
	}
	_, problems := Load([]string{file}, options())
	if got, want := messages(problems), file+": permission denied; check the path, and who may read the file\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
