// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/millrace-io/millrace/tools/crash/rig"
	"github.com/millrace-io/millrace/tools/crash/tracer"
)

var programs rig.Programs

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == tracer.Argument {
		os.Exit(tracer.Main(os.Args[2:]))
	}
	dir, err := os.MkdirTemp("", "crash")
	if err != nil {
		panic(err)
	}
	if programs, err = rig.Build("../..", dir, ""); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// backends are those whose stores are on a disk.
var backends = []string{"file", "pebble"}

// lab runs a test with each backend, and demands in the end that nothing was lost, doubled or torn.
func lab(t *testing.T, count int, test func(t *testing.T, n *nemesis)) {
	for _, name := range backends {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			journal, err := rig.NewJournal(filepath.Join(dir, "journal"), programs.Verify)
			if err != nil {
				t.Fatal(err)
			}
			r := &rig.Rig{
				Programs: programs, Journal: journal, Accounts: 6,
				Store: rig.Store{Backend: name, Dir: filepath.Join(dir, "store"), Compact: 64 << 10},
			}
			const seed = 1
			r.Clients = rig.NewClients(count, r.Accounts, seed, r.Journal)
			test(t, &nemesis{Rig: r, rng: rand.New(rand.NewPCG(seed, 1))})
			if err := r.Clients.Close(); err != nil {
				t.Error(err)
			}
			verdict, err := journal.Close() // That too little happened to prove much is no error here.
			if !strings.HasSuffix(verdict, "0 lost, 0 duplicated, 0 torn") && !strings.Contains(verdict, "nothing is proved") {
				t.Errorf("%q, %v", verdict, err)
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Each way in which a bank can end, once.
func TestEnds(t *testing.T) {
	lab(t, 16, func(t *testing.T, n *nemesis) {
		must(t, n.firstBoot())
		for _, end := range []func() error{n.withinCommit, n.asked, n.recovering, n.fooled, n.replaced, n.withinCommit} {
			must(t, end())
		}
		must(t, n.finish())
	})
}

// Whose directory is removed has no store any more, and says so at the next epoch (D10).
func TestDirectoryRemoved(t *testing.T) {
	lab(t, 4, func(t *testing.T, n *nemesis) {
		b, address, err := n.open(n.Bank, rig.Options{})
		must(t, err)
		must(t, n.Clients.Do(address, 2))
		must(t, b.Stop()) // What is written to meanwhile is no copy.
		kept, err := n.Store.Copy(n.Store.Dir + ".kept")
		must(t, err)
		must(t, os.RemoveAll(n.Store.Dir))
		must(t, b.Signal(syscall.SIGCONT))
		must(t, n.Clients.Do(address, 1)) // Nobody is told that anything was committed.
		must(t, b.Wait())
		if log := b.Log(); b.ExitCode() != 1 || !strings.Contains(log, "engine: commit") {
			t.Errorf("exit code %d: %s", b.ExitCode(), log)
		}
		must(t, n.Clients.Pause())
		must(t, os.Rename(kept.Dir, n.Store.Dir))
		must(t, n.finish())
	})
}

// traced starts a bank under the tracer.
func traced(t *testing.T, n *nemesis, plan tracer.Plan) (b *rig.Bank, calls func() []tracer.Call) {
	t.Helper()
	needTracer(t)
	log := filepath.Join(t.TempDir(), "calls")
	plan.Dir = n.Store.Dir
	cmd, err := tracer.Command(plan, log, n.Bank, rig.Options{Shards: 2, EpochInterval: epochInterval}.Arguments(n.Store)...)
	must(t, err)
	b, err = rig.StartCommand(cmd, rig.Options{}, n.Journal)
	must(t, err)
	return b, func() []tracer.Call {
		calls, err := tracer.ReadLog(log)
		must(t, err)
		return calls
	}
}

// needTracer skips a test where programs may not be traced, unless that is required.
func needTracer(t *testing.T) {
	t.Helper()
	if err := tracer.Usable(); err != nil {
		if required() {
			t.Fatal(err)
		}
		t.Skip(err)
	}
}

// made has a store made that has something in it.
func made(t *testing.T, n *nemesis) {
	t.Helper()
	b, address, err := n.open(n.Bank, rig.Options{})
	must(t, err)
	must(t, n.Clients.Do(address, 3))
	must(t, b.Kill())
	must(t, n.Bury(false))
}

// contents are the files of a store, but for the lock, which names its owner.
func contents(t *testing.T, n *nemesis) map[string]string {
	t.Helper()
	all := map[string]string{}
	must(t, filepath.WalkDir(n.Store.Dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.EqualFold(d.Name(), "lock") {
			return err
		}
		b, err := os.ReadFile(path)
		all[path] = string(b)
		return err
	}))
	return all
}

// A directory that cannot be written to is refused before anything is taken in (D8).
func TestReadOnly(t *testing.T) {
	lab(t, 4, func(t *testing.T, n *nemesis) {
		made(t, n)
		before := contents(t, n)
		b, _ := traced(t, n, tracer.Plan{Calls: []string{"openat"}, At: 1, Times: 1 << 20, Error: "EROFS"})
		if _, err := b.WaitReady(); !errors.Is(err, rig.ErrEnded) || b.ExitCode() != 1 || !strings.Contains(err.Error(), "read-only") {
			t.Errorf("exit code %d, %v", b.ExitCode(), err)
		}
		if after := contents(t, n); fmt.Sprint(after) != fmt.Sprint(before) {
			t.Error("the store has changed")
		}
		must(t, n.finish())
	})
}

// What cannot be read is not taken for empty, or for something older: the bank refuses to run (D7).
func TestReadError(t *testing.T) {
	lab(t, 1, func(t *testing.T, n *nemesis) {
		made(t, n)
		kept, err := n.Store.Copy(n.Store.Dir + ".kept")
		must(t, err)
		for at := 1; ; at++ {
			// From the same store each time: a bank that got as far as its generation has written that.
			must(t, os.RemoveAll(n.Store.Dir))
			_, err := kept.Copy(n.Store.Dir)
			must(t, err)
			b, calls := traced(t, n, tracer.Plan{Calls: []string{"pread64", "read"}, At: at, Error: "EIO"})
			address, err := b.WaitReady()
			all := calls()
			met := slices.IndexFunc(all, func(c tracer.Call) bool { return c.Met })
			if met < 0 {
				must(t, err)
				t.Logf("%d reads", at-1)
				must(t, n.Rest(b, address))
				return
			}
			must(t, b.Kill())
			refused := errors.Is(err, rig.ErrEnded) && b.ExitCode() == 1
			if !refused && filepath.Base(all[met].Path) != "witness" { // That is there twice.
				t.Fatalf("%v, and then: %v", all[met], err)
			}
			must(t, n.Bury(false))
			if !refused { // It may have committed: that is where the next one goes on.
				must(t, os.RemoveAll(kept.Dir))
				_, err = n.Store.Copy(kept.Dir)
				must(t, err)
			}
		}
	})
}

// While the disk is full the same epoch is committed again and again, until there is room (D5).
func TestFullDisk(t *testing.T) {
	lab(t, 4, func(t *testing.T, n *nemesis) {
		b, calls := traced(t, n, tracer.Plan{Calls: []string{"pwrite64", "write", "fallocate", "openat"}, At: 60, Times: 5, Error: "ENOSPC"})
		address, err := b.WaitReady()
		must(t, err)
		must(t, n.Clients.Do(address, 30))
		must(t, n.Rest(b, address))
		if !slices.ContainsFunc(calls(), func(c tracer.Call) bool { return c.Met }) {
			t.Error("the disk was never full")
		}
	})
}

// After a sync that failed the bank halts. It does not sync again: the system may have dropped what it could not
// write (D6).
func TestFailedSync(t *testing.T) {
	lab(t, 4, func(t *testing.T, n *nemesis) {
		plan := tracer.Plan{Calls: []string{"fdatasync"}, At: 30, Error: "EIO"}
		b, calls := traced(t, n, plan)
		address, err := b.WaitReady()
		must(t, err)
		must(t, n.Clients.Do(address, 1000))
		must(t, b.Wait())
		all := calls()
		if err := judge(plan, b.ExitCode(), true, &all[29], all[30:]); err != nil || b.ExitCode() != 1 {
			t.Errorf("%v: %v, exit code %d: %s", all[29], err, b.ExitCode(), b.Log())
		}
		must(t, n.Bury(false))
		must(t, n.finish())
	})
}

// The command says what it was, and what is wrong with the command line.
func TestCommand(t *testing.T) {
	exe := filepath.Join(t.TempDir(), "crash")
	if out, err := exec.Command("go", "build", "-o", exe, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	cmd := exec.Command(exe, "-cycles", "4", "-programs", filepath.Dir(programs.Bank))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	var cycles, kills int
	if _, bad := fmt.Sscanf(string(out), "crash: %d cycles, %d kills mid-epoch, 0 lost, 0 duplicated, 0 torn\n", &cycles, &kills); bad != nil || err != nil || cycles != 4 || kills < 2 {
		t.Errorf("%q, %v, %v", out, bad, err)
	}
	for _, args := range [][]string{{"-backend", "paper"}, {"more"}, {"-cycles", "many"}} {
		cmd := exec.Command(exe, args...)
		if _ = cmd.Run(); cmd.ProcessState.ExitCode() != 2 {
			t.Errorf("%v: exit code %d", args, cmd.ProcessState.ExitCode())
		}
	}
}
