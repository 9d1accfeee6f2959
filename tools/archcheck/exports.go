// SPDX-License-Identifier: Apache-2.0

package archcheck

import (
	"bytes"
	"fmt"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"strings"
)

// newExports returns an importer for what the package in folder imports. It reads the compiler's export
// data, which the go command builds, or has in its cache.
func newExports(fset *token.FileSet, folder string) (types.Importer, error) {
	out, err := goList(folder, "-deps", "-export", "-f", "{{.ImportPath}} {{.Export}}", ".")
	if err != nil {
		return nil, err
	}
	exports := map[string]string{}
	for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
		imported, export, _ := strings.Cut(line, " ")
		exports[imported] = export
	}
	return importer.ForCompiler(fset, "gc", func(imported string) (io.ReadCloser, error) {
		return os.Open(exports[imported])
	}), nil
}

// goList runs go list in folder as a user of that module would, without the workspace.
func goList(folder string, args ...string) (string, error) {
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "GOWORK=off")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("archcheck: go list %s in %s: %w\n%s", strings.Join(args, " "), folder, err, stderr.Bytes())
	}
	return stdout.String(), nil
}
