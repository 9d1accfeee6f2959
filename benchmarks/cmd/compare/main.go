// SPDX-License-Identifier: Apache-2.0

// Command compare runs the benchmarks of the working tree beside those of another revision and prints what
// benchstat makes of them.
//
// The revision is checked out into a temporary folder. Test binaries of both sides are built first; then they run
// in turns, one benchmark run each, so that a slow minute of the machine hits both. Needs git, go, and, for
// benchstat, the Go module proxy or cache.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/millrace-io/millrace/benchmarks/rounds"
)

// benchstat is pinned by commit, because it has no tags.
const benchstat = "golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (code int) {
	c := comparison{tree: ".", progress: stderr}
	set := flag.NewFlagSet("compare", flag.ContinueOnError)
	set.SetOutput(stderr)
	set.StringVar(&c.base, "base", "", "revision to compare with")
	set.StringVar(&c.bench, "bench", ".", "which benchmarks, as in go test -bench")
	set.IntVar(&c.count, "count", 10, "how often each benchmark runs")
	set.StringVar(&c.time, "benchtime", "1s", "as in go test -benchtime")
	packages := set.String("packages", "engine/...,protocols/requestreply/...", "packages of the tree, with commas between them")
	if err := set.Parse(args); err != nil {
		return 2
	}
	c.packages = strings.Split(*packages, ",")
	if c.base == "" || strings.HasPrefix(c.base, "-") || c.count < 1 || set.NArg() > 0 {
		fmt.Fprintln(stderr, "compare: want -base REVISION, -count of at least 1, and no arguments")
		return 2
	}
	before, after, err := c.measure(ctx)
	if err == nil {
		err = report(ctx, c.base, before, after, stdout, stderr)
	}
	if err != nil {
		fmt.Fprintln(stderr, "compare:", err)
		return 1
	}
	return 0
}

// report has benchstat compare the output of both sides.
func report(ctx context.Context, base, before, after string, stdout, stderr io.Writer) error {
	dir, err := os.MkdirTemp("", "compare")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	files := []string{filepath.Join(dir, "before"), filepath.Join(dir, "after")}
	for i, text := range []string{before, after} {
		if err := os.WriteFile(files[i], []byte(text), 0o644); err != nil {
			return err
		}
	}
	cmd := exec.CommandContext(ctx, "go", "run", benchstat, base+"="+files[0], "tree="+files[1])
	cmd.Stdout, cmd.Stderr = stdout, stderr
	return cmd.Run()
}

// output runs a command in a folder.
func output(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	out, err := rounds.Output(cmd)
	return string(out), err
}
