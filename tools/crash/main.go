// SPDX-License-Identifier: Apache-2.0

// Crash kills examples/bank over and over, in the middle of commits above all, and has crashverify judge what is left
// each time. With -sweep it stops the bank at each system call by which a small run of it changes its store, first
// with a kill, then with errors.
//
// The last line of stdout is the verdict. The exit code is 0 if nothing was wrong, 1 if something was, 2 if the command
// line is.
package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/millrace-io/millrace/tools/crash/rig"
	"github.com/millrace-io/millrace/tools/crash/tracer"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == tracer.Argument {
		os.Exit(tracer.Main(os.Args[2:]))
	}
	var c config
	flag.IntVar(&c.cycles, "cycles", 20, "how often the bank is ended and started again")
	flag.StringVar(&c.backend, "backend", "file", "where the bank keeps its checkpoints: file or pebble")
	flag.Uint64Var(&c.seed, "seed", uint64(time.Now().UnixNano()), "decides what is done; not how it goes")
	flag.BoolVar(&c.sweep, "sweep", false, "end it at each system call instead")
	flag.StringVar(&c.root, "root", ".", "the `folder` of the repository")
	flag.StringVar(&c.tags, "tags", "", "build tags, for the bank")
	flag.StringVar(&c.programs, "programs", "", "a `folder` that has bank, bank-watched and crashverify; default: they are built")
	flag.StringVar(&c.dir, "dir", "", "a new `folder` for the store and the journal, which is kept; default: one that goes when all went well")
	flag.Parse()
	if flag.NArg() > 0 || c.backend != "file" && c.backend != "pebble" {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(c); err != nil {
		fmt.Fprintln(os.Stderr, "crash:", err)
		os.Exit(1)
	}
}

type config struct {
	cycles   int
	backend  string
	seed     uint64
	sweep    bool
	root     string
	tags     string
	programs string
	dir      string
}

const (
	accounts = 24
	clients  = 64
)

func run(c config) (err error) {
	if err := tracer.Usable(); c.sweep && err != nil {
		if required() {
			return err
		}
		fmt.Println("crash: skipped:", err)
		return nil
	}
	keep := c.dir != ""
	if !keep {
		if c.dir, err = os.MkdirTemp("", "crash"); err != nil {
			return err
		}
	} else if err := os.Mkdir(c.dir, 0o700); err != nil {
		return err
	}
	defer func() {
		if err != nil || keep {
			fmt.Fprintln(os.Stderr, "crash: the store and the journal are in", c.dir)
		} else {
			err = os.RemoveAll(c.dir)
		}
	}()
	fmt.Fprintf(os.Stderr, "crash: seed %d\n", c.seed)
	programs := rig.In(c.programs)
	if c.programs == "" {
		if programs, err = rig.Build(c.root, c.dir, c.tags); err != nil {
			return err
		}
	}
	journal, err := rig.NewJournal(filepath.Join(c.dir, "journal"), programs.Verify)
	if err != nil {
		return err
	}
	r := &rig.Rig{
		Programs: programs, Journal: journal, Accounts: accounts,
		Store: rig.Store{Backend: c.backend, Dir: filepath.Join(c.dir, "store"), Compact: 512 << 10},
	}
	if c.sweep {
		err = sweep(r)
	} else {
		err = crashes(r, c)
	}
	verdict, judged := journal.Close()
	if err == nil {
		err = judged
	}
	fmt.Println(verdict)
	return err
}

// required reports whether MILLRACE_REQUIRE wants programs to be traced, which it calls strace.
func required() bool {
	parts := strings.FieldsFunc(os.Getenv("MILLRACE_REQUIRE"), func(r rune) bool { return r == ',' || r == ' ' })
	return slices.Contains(parts, "strace") || slices.Contains(parts, "all")
}

// crashes does all cycles on one store.
func crashes(r *rig.Rig, c config) (err error) {
	r.Clients = rig.NewClients(clients, r.Accounts, c.seed, r.Journal)
	defer func() {
		if closed := r.Clients.Close(); err == nil {
			err = closed
		}
	}()
	n := &nemesis{Rig: r, rng: rand.New(rand.NewPCG(c.seed, 1))}
	if err := n.firstBoot(); err != nil {
		return fmt.Errorf("first boot: %w", err)
	}
	for cycle := 1; cycle <= c.cycles; cycle++ {
		name, end := n.next(cycle)
		begin := time.Now()
		if err := end(); err != nil {
			return fmt.Errorf("cycle %d, %s: %w", cycle, name, err)
		}
		r.Journal.Write(rig.Event{Event: "cycle"})
		fmt.Fprintf(os.Stderr, "crash: cycle %d, %s: %d ms, the bank was back in %d ms\n",
			cycle, name, time.Since(begin).Milliseconds(), n.boot.Milliseconds())
	}
	fmt.Fprintf(os.Stderr, "crash: %d kills, %d of them within a commit\n", n.kills, n.midEpoch)
	if 2*n.midEpoch < n.kills {
		return fmt.Errorf("of %d kills only %d were within a commit", n.kills, n.midEpoch)
	}
	return n.finish()
}
