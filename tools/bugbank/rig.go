// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// rig is a test that finds bugs.
type rig struct {
	name string
	dir  string // Of the package.
	test string
	skip string
	seed bool // It takes seeds.
}

var (
	simulation = rig{name: "sim", dir: "engine/enginetest/sim", test: "^TestSeeds$", seed: true}
	states     = rig{name: "states", dir: "engine/internal/driver", test: "^TestEveryState$"}
	store      = rig{name: "store", dir: "backends/file", test: "^TestStore$", skip: "TestStore/conformance"}
)

// program is a rig that has been built.
type program struct {
	rig
	path, dir string
}

// build builds the rigs of bugs.
func build(ctx context.Context, dir, name string, chosen []bug, flags ...string) (map[rig]program, error) {
	root, err := repository(ctx)
	if err != nil {
		return nil, err
	}
	programs := map[rig]program{}
	for _, r := range rigsOf(chosen) {
		p := program{rig: r, path: filepath.Join(dir, name+"-"+r.name+".test"), dir: filepath.Join(root, r.dir)}
		cmd := exec.CommandContext(ctx, "go", slices.Concat([]string{"test", "-c", "-o", p.path}, flags, []string{"."})...)
		cmd.Dir = p.dir
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build %s: %w\n%s", r.dir, err, out)
		}
		programs[r] = p
	}
	return programs, nil
}

// repository is the folder of the workspace.
func repository(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOWORK").Output()
	path := strings.TrimSpace(string(out))
	if err != nil || path == "" || path == "off" {
		return "", fmt.Errorf("no workspace: go env GOWORK is %q, %v", path, err)
	}
	return filepath.Dir(path), nil
}

// finding is what has come of a test.
type finding struct {
	found bool
	seed  int    // Of the simulation; 0 of others.
	where string // The rig, and its seed.
	says  string
}

// patience is how long a test may take. A bug may make it endless.
const patience = 5 * time.Minute

// find runs the test with a bug, or with none. The test fails, or panics, when it finds one.
func (p program) find(ctx context.Context, name string, seeds int) finding {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	args := []string{"-test.run=" + p.test, "-test.skip=" + p.skip, "-test.timeout=0", "-test.failfast"}
	if p.seed {
		args = append(args, "-seeds="+strconv.Itoa(seeds), "-stop")
	}
	cmd := exec.CommandContext(ctx, p.path, args...)
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), "MILLRACE_BUG="+name)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return finding{found: true, where: p.name, says: fmt.Sprintf("it does not end within %v", patience)}
	case err == nil && p.seed:
		return finding{seed: seeds, says: fmt.Sprintf("%s: %d seeds pass", p.name, seeds)}
	case err == nil:
		return finding{says: p.name + ": it passes"}
	case !errors.As(err, &exit):
		return finding{says: err.Error()}
	}
	return p.read(string(out))
}

var (
	seedFailed  = regexp.MustCompile(`(?m)seed (\d+): (.*)$`)
	testFailed  = regexp.MustCompile(`(?m)^ +\w+\.go:\d+: (.*)$`)
	partFailed  = regexp.MustCompile(`(?m)^ +--- FAIL: (\S+)`)
	testPanics  = regexp.MustCompile(`(?m)^panic: (.*)$`)
	seedInPanic = regexp.MustCompile(`seed (\d+) does not end`)
)

// read finds out why a test has failed.
func (p program) read(out string) finding {
	f := finding{found: true, where: p.name, says: "it fails"}
	if m := seedFailed.FindStringSubmatch(out); p.seed && m != nil {
		f.seed, _ = strconv.Atoi(m[1])
		f.where, f.says = p.name+" seed "+m[1], clip(m[2])
		return f
	}
	if m := seedInPanic.FindStringSubmatch(out); p.seed && m != nil {
		f.where = p.name + " seed " + m[1]
	}
	if m := testPanics.FindStringSubmatch(out); m != nil {
		f.says = clip(m[0])
		return f
	}
	if m := partFailed.FindAllStringSubmatch(out, -1); m != nil {
		f.where = p.name + " " + m[len(m)-1][1]
	}
	// What was logged by parts that have passed comes first.
	if m := testFailed.FindAllStringSubmatch(out, -1); m != nil {
		f.says = clip(m[len(m)-1][1])
	}
	return f
}
