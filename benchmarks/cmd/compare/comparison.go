// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// comparison is what is to be compared.
type comparison struct {
	tree, base  string // The working tree; the revision.
	packages    []string
	bench, time string
	count       int
	progress    io.Writer
}

// binary is a package's test binary. It runs in its package's folder, where its test data is.
type binary struct{ pkg, path, dir string }

// measure runs the benchmarks and returns what both sides have said.
func (c comparison) measure(ctx context.Context) (before, after string, err error) {
	temporary, err := os.MkdirTemp("", "compare")
	if err != nil {
		return "", "", err
	}
	defer os.RemoveAll(temporary)
	tree, err := output(ctx, c.tree, "git", "rev-parse", "--show-toplevel")
	if err != nil {
		return "", "", err
	}
	c.tree = strings.TrimSpace(tree)
	base := filepath.Join(temporary, "base")
	if _, err := output(ctx, c.tree, "git", "worktree", "add", "--detach", base, c.base); err != nil {
		return "", "", err
	}
	defer func() { // Also when ctx is over: a work tree that is left behind stays known to git.
		_, removed := output(context.WithoutCancel(ctx), c.tree, "git", "worktree", "remove", "--force", base)
		err = errors.Join(err, removed)
	}()
	olds, err := c.build(ctx, base, filepath.Join(temporary, "before"))
	if err != nil {
		return "", "", err
	}
	news, err := c.build(ctx, c.tree, filepath.Join(temporary, "after"))
	if err != nil {
		return "", "", err
	}
	var texts [2]strings.Builder
	for round := 1; round <= c.count; round++ {
		fmt.Fprintf(c.progress, "round %d of %d\n", round, c.count)
		// A package that only one side has runs as well: benchstat shows what is new.
		for _, pkg := range union(olds, news) {
			for side, binaries := range []map[string]binary{olds, news} {
				b, ok := binaries[pkg]
				if !ok {
					continue
				}
				out, err := output(ctx, b.dir, b.path, "-test.run=^$", "-test.bench="+c.bench, "-test.benchmem", "-test.benchtime="+c.time)
				if err != nil {
					return "", "", err
				}
				texts[side].WriteString(out)
			}
		}
	}
	before, after = texts[0].String(), texts[1].String()
	if !strings.Contains(before+after, "\nBenchmark") {
		return "", "", fmt.Errorf("no benchmark of %s matches %q", strings.Join(c.packages, ", "), c.bench)
	}
	return before, after, nil
}

// build builds the test binaries of a tree's packages that have benchmarks, by import path.
func (c comparison) build(ctx context.Context, tree, dir string) (map[string]binary, error) {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	args := []string{"list", "-f", "{{.ImportPath}}\t{{.Dir}}"}
	for _, p := range c.packages {
		args = append(args, "./"+p)
	}
	list, err := output(ctx, tree, "go", args...)
	if err != nil {
		return nil, err
	}
	binaries := map[string]binary{}
	for line := range strings.Lines(list) {
		pkg, folder, _ := strings.Cut(strings.TrimSpace(line), "\t")
		has, err := hasBenchmarks(folder)
		if err != nil {
			return nil, err
		}
		if !has {
			continue
		}
		b := binary{pkg, filepath.Join(dir, strings.ReplaceAll(pkg, "/", "-")), folder}
		if _, err := output(ctx, folder, "go", "test", "-c", "-o", b.path); err != nil {
			return nil, err
		}
		binaries[pkg] = b
	}
	return binaries, nil
}

// hasBenchmarks reports whether one of the tests of a folder has a benchmark.
func hasBenchmarks(folder string) (bool, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil {
		return false, err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return false, err
		}
		if strings.Contains("\n"+string(text), "\nfunc Benchmark") {
			return true, nil
		}
	}
	return false, nil
}

// union is the packages of both sides, in order.
func union(a, b map[string]binary) []string {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return slices.Sorted(maps.Keys(all))
}
