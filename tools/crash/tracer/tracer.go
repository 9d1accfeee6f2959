// SPDX-License-Identifier: Apache-2.0

// Package tracer runs a program and stops it at one system call: the Nth that concerns a directory, whichever
// thread makes it. There the program is killed, or the call fails.
//
// strace can do that too, but it counts for each thread by itself, and the calls of a Go program's goroutine are
// made by whatever thread it is on: their numbers differ from run to run, and some calls are never met.
package tracer

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// Plan says which calls count and what happens at one of them.
type Plan struct {
	Dir   string   // Calls count that name something in this directory, or have an open file of it.
	Calls []string // The names of those that count; none: Changes.
	At    int      // Which one is met, from 1; 0: none.
	Error string   // The name of the error with which it fails, and does nothing; empty: the program dies before the call.
	Times int      // How many calls of its name fail, from it on; 0 is one.
}

// Changes are the calls by which a store changes what is on the disk.
var Changes = []string{
	"openat", "mkdirat", "write", "pwrite64", "ftruncate", "fallocate", "fsync", "fdatasync", "sync_file_range",
	"renameat", "linkat", "unlinkat",
}

// Call is a system call that counted.
type Call struct {
	Number int
	Name   string
	Met    bool
	Path   string
}

func (c Call) String() string { return fmt.Sprintf("%d %s %t %s", c.Number, c.Name, c.Met, c.Path) }

// Command returns a command that runs a program as planned: this program, with arguments that it hands on to
// [Main]. Its exit code is the program's. It passes SIGTERM on, and takes the program along when it dies. The calls
// are written to a file, for [ReadLog].
func Command(plan Plan, log string, program string, args ...string) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if len(plan.Calls) == 0 {
		plan.Calls = Changes
	}
	own := []string{
		Argument, "-dir", plan.Dir, "-calls", strings.Join(plan.Calls, ","), "-log", log,
		"-at", strconv.Itoa(plan.At), "-error", plan.Error, "-times", strconv.Itoa(plan.Times), "--", program,
	}
	return exec.Command(self, append(own, args...)...), nil
}

// Argument is the first argument of a program that is to call [Main] with those behind it.
const Argument = "trace"

// Main runs the program that the arguments name, and returns its exit code.
func Main(args []string) int {
	var plan Plan
	var calls, log string
	f := flag.NewFlagSet(Argument, flag.ContinueOnError)
	f.StringVar(&plan.Dir, "dir", "", "")
	f.StringVar(&calls, "calls", "", "")
	f.IntVar(&plan.At, "at", 0, "")
	f.StringVar(&plan.Error, "error", "", "")
	f.IntVar(&plan.Times, "times", 0, "")
	f.StringVar(&log, "log", "", "")
	if err := f.Parse(args); err != nil {
		return 2
	}
	plan.Calls = strings.Split(calls, ",")
	code, err := runLogged(plan, log, f.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "tracer:", err)
		return 2
	}
	return code
}

func runLogged(plan Plan, name string, command []string) (code int, err error) {
	log, err := os.Create(name)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	var failed error
	code, err = run(plan, command, func(c Call) {
		if _, err := fmt.Fprintln(log, c); err != nil {
			failed = err
		}
	})
	return code, errors.Join(err, failed)
}

// ReadLog returns the calls of a program that has ended.
func ReadLog(name string) (calls []Call, err error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		var c Call
		if _, err := fmt.Sscanf(line, "%d %s %t %s", &c.Number, &c.Name, &c.Met, &c.Path); err != nil {
			return nil, fmt.Errorf("tracer: %s: %q: %w", name, line, err)
		}
		calls = append(calls, c)
	}
	return calls, nil
}

// Usable reports why programs cannot be traced here.
func Usable() error {
	log, err := os.CreateTemp("", "trace")
	if err != nil {
		return err
	}
	defer os.Remove(log.Name())
	cmd, err := Command(Plan{Dir: "/"}, log.Name(), "go", "version")
	if err == nil {
		err = errors.Join(log.Close(), cmd.Run())
	}
	if err != nil {
		return fmt.Errorf("tracer: programs cannot be traced here: %w", err)
	}
	return nil
}
