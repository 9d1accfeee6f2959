// SPDX-License-Identifier: Apache-2.0

// Command bugbank shows that the tests find what they are there to find. It plants one bug at a time, by the build
// tag bugbank and the environment variable MILLRACE_BUG, and runs the test that is to find it: the simulation, from
// seed 1 on until one fails; the check of every state of the coordinator; or the tests of a store, with crashes and
// a failing disk. In the end the same tests must pass without bugs, in the usual build.
//
// Each bug is a line on stdout. A bug that is not found is a failure, and so is a test that fails without one.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (code int) {
	set := flag.NewFlagSet("bugbank", flag.ContinueOnError)
	set.SetOutput(stderr)
	seeds := set.Int("seeds", 500, "how many seeds the simulation has to find a bug")
	clean := set.Int("clean", 100, "how many seeds must pass without bugs, at least: those that have found any are among them")
	if err := set.Parse(args); err != nil {
		return 2
	}
	chosen, err := choose(set.Args())
	if err == nil && (*seeds < 1 || *clean < 0) {
		err = fmt.Errorf("-seeds %d, -clean %d: want a positive number of seeds", *seeds, *clean)
	}
	if err != nil {
		fmt.Fprintln(stderr, "bugbank:", err)
		return 2
	}
	passed, failed, err := check(ctx, chosen, *seeds, *clean, stdout)
	if err != nil {
		fmt.Fprintln(stderr, "bugbank:", err)
		failed++
	}
	fmt.Fprintf(stdout, "bugbank: %d passed, %d failed\n", passed, failed)
	if failed > 0 {
		return 1
	}
	return 0
}

// choose returns the bugs of these names; all without any.
func choose(names []string) ([]bug, error) {
	if len(names) == 0 {
		return bugs, nil
	}
	var chosen []bug
	for _, name := range names {
		i := slices.IndexFunc(bugs, func(b bug) bool { return b.name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no bug %q", name)
		}
		chosen = append(chosen, bugs[i])
	}
	return chosen, nil
}

func check(ctx context.Context, chosen []bug, seeds, clean int, stdout io.Writer) (passed, failed int, err error) {
	dir, err := os.MkdirTemp("", "bugbank")
	if err != nil {
		return 0, 0, err
	}
	defer os.RemoveAll(dir)
	planted, err := build(ctx, dir, "planted", chosen, "-tags=bugbank")
	if err != nil {
		return 0, 0, err
	}
	usual, err := build(ctx, dir, "usual", chosen)
	if err != nil {
		return 0, 0, err
	}
	var mu sync.Mutex // Guards what follows, and stdout.
	tell := func(ok bool, format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		if ok {
			passed++
		} else {
			failed++
			format = "FAILED " + format
		}
		fmt.Fprintf(stdout, format+"\n", args...)
	}
	inParallel(chosen, func(b bug) {
		f := planted[b.rig].find(ctx, b.name, seeds)
		mu.Lock()
		clean = max(clean, f.seed)
		mu.Unlock()
		if !f.found {
			tell(false, "%-30s %-4s not found: %s", b.name, b.rule, f.says)
			return
		}
		tell(true, "%-30s %-4s %s: %s", b.name, b.rule, f.where, f.says)
	})
	inParallel(rigsOf(chosen), func(r rig) {
		if f := usual[r].find(ctx, "", clean); f.found {
			tell(false, "%-30s %-4s %s: %s", "without bugs", "", f.where, f.says)
		} else {
			tell(true, "%-30s %-4s %s", "without bugs", "", f.says)
		}
	})
	return passed, failed, ctx.Err()
}

// inParallel does as much at once as there are processors.
func inParallel[T any](list []T, do func(T)) {
	var group sync.WaitGroup
	turns := make(chan struct{}, runtime.NumCPU())
	for _, v := range list {
		turns <- struct{}{}
		group.Go(func() {
			do(v)
			<-turns
		})
	}
	group.Wait()
}

func rigsOf(chosen []bug) (rigs []rig) {
	for _, b := range chosen {
		if !slices.Contains(rigs, b.rig) {
			rigs = append(rigs, b.rig)
		}
	}
	return rigs
}

// clip keeps a message to a line of some length.
func clip(s string) string {
	const most = 150
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}
